"""A corpus of the example data. The command line makes it once, in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VOYAGER = ROOT / "examples" / "data" / "voyager1"


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command with this checkout's package; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, *map(str, command)], env=environment, cwd=cwd, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lookalike(*arguments: object) -> str:
    return run("-m", "pipeline", *arguments)


@pytest.fixture(scope="session")
def voyager(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus of Voyager 1, with a segment."""
    corpus = tmp_path_factory.mktemp("docs") / "corpus"
    lookalike("ingest", VOYAGER, "--corpus", corpus, "--serial")
    lookalike("index", "--corpus", corpus, "--exact-below", 1)
    return corpus
