"""The wheel contains every file that it needs, installs into an empty environment, and runs ``lookalike demo``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], check=True,
                   capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel and the libraries of this one, but without this project's own."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # .pth files in the folder named here are not read, so an editable installation of this project stays unseen
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, *words: str, folder: Path) -> str:
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, *words], cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "pipeline", "lookalike"], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout.split()
    assert {"pipeline/py.typed", "lookalike/py.typed", "pipeline/__init__.pyi"} <= set(tracked)
    assert set(tracked) <= held
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == {"pipeline", "lookalike"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_runs_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    code = "import lookalike, pipeline, json; print(json.dumps([lookalike.__file__, pipeline.__file__]))"
    for file in json.loads(run(python, "-c", code, folder=tmp_path)):
        assert Path(file).is_relative_to(python.parents[1])
    run(python, str(python.parent / "lookalike"), "demo", "demo", folder=tmp_path)
    code = "import lookalike; print(lookalike.open_corpus('demo/corpus').status().windows_kept)"
    assert int(run(python, "-c", code, folder=tmp_path)) > 0
