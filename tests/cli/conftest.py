"""Fixtures that call the command line in this process, and a small corpus to call it on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.run import ingest
from pipeline.search import open_corpus
from tests.run.small import archive, config


@dataclass(frozen=True)
class Ran:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Return the JSON object on standard output."""
        record = json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert isinstance(record, dict)
        return record

    def assert_refused(self, code: int, *words: str) -> None:
        """Check that the command printed one line on standard error and nothing else."""
        assert (self.code, self.out) == (code, ""), self
        assert self.err.startswith("lookalike: ")
        assert self.err.count("\n") == 1
        for word in words:
            assert word in self.err

    def assert_misused(self, *words: str) -> None:
        """Check that the command printed its usage and exited with code 2."""
        assert (self.code, self.out) == (2, ""), self
        assert self.err.startswith("Usage: lookalike ")
        for word in words:
            assert word in self.err


Lookalike = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def lookalike(capsys: pytest.CaptureFixture[str]) -> Lookalike:
    """Run one command line."""

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main(list(map(str, arguments)))
        said = capsys.readouterr()
        return Ran(exit_.value.code or 0, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of three scans: scan0.h5, scan1.fil, scan2.h5. Tests must not change it."""
    return archive(tmp_path_factory.mktemp("cli") / "data", 3)


@pytest.fixture(scope="session")
def corpus(data: Path) -> Path:
    """Corpus of the scans of ``data``. Tests must not change it.

    It is searched once: the first search by its encoder says that it has encoded the unrelated signals.
    """
    root = data.parent / "corpus"
    ingest([data], root, config=config(), serial=True)
    opened = open_corpus(root)
    source_id = min(opened._corpus.manifest.sources)
    opened.search(window=f"{source_id}/{opened._corpus.numbers(source_id)[0]}", k=1)
    return root


@pytest.fixture(scope="session")
def kept(corpus: Path) -> str:
    """A stored window, as ``SOURCE/NUMBER``."""
    from pipeline.store import CorpusStore, SourceGroup

    source_id = min(CorpusStore.open(corpus).manifest().sources)
    return f"{source_id}/{SourceGroup.open(corpus, source_id).numbers[0]}"


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object], columns: int = 200) -> str:
    """Return what an action writes to standard error if standard error is a terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with monkeypatch.context() as patch, os.fdopen(follower, "w") as terminal:
        patch.setattr(sys, "stderr", terminal)
        action()
    pieces = []
    with os.fdopen(leader, "rb", buffering=0) as screen, contextlib.suppress(OSError):  # EIO: all is read
        while piece := screen.read(65_536):
            pieces.append(piece)
    return b"".join(pieces).decode()


def environment() -> dict[str, str]:
    """Return the environment of a process that uses this checkout and treats warnings as errors."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONWARNINGS": "error", "COLUMNS": "80"}
