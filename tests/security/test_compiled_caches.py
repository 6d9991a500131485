"""Compiled code is stored as pickles, and reading a pickle runs it. So no pickle is read where others can write."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

import pipeline
from pipeline.support.private_paths import exposures

PACKAGE = Path(pipeline.__file__).parent
SMALL = """
from pipeline.support.compiled import njit

@njit(cache=True)
def one_more(number):
    return number + 1
"""
CALL = "import small; print(small.one_more(41), small.one_more._cache.cache_path)"


class _Poison:
    """An object whose pickle makes a folder when it is read."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.makedirs, (str(self._marker), 0o777, True)


@dataclass(frozen=True)
class Place:
    """A module to compile, and folders for its compiled code. At first, only the user can write to the folders."""

    root: Path

    @property
    def given(self) -> Path:
        """Folder that ``NUMBA_CACHE_DIR`` names."""
        return self.root / "given" / "numba"

    @property
    def in_tree(self) -> Path:
        return self.root / "source" / "__pycache__"

    @property
    def of_user(self) -> Path:
        """Folder that numba uses if it has no other."""
        return self.root / "xdg" / "numba"

    @property
    def marker(self) -> Path:
        return self.root / "was-run"

    def run(self, code: str, *, given: bool) -> subprocess.CompletedProcess[str]:
        """Run code in a new process."""
        variables = {**os.environ, "PYTHONPATH": f"{PACKAGE.parent}:{self.root / 'source'}",
                     "XDG_CACHE_HOME": str(self.root / "xdg"), "NUMBA_CACHE_DIR": str(self.given) if given else "",
                     "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=variables, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    def kept_in(self, *, given: bool) -> Path | None:
        """Compile or load the function; return the folder of its compiled code."""
        number, folder = self.run(CALL, given=given).stdout.split()
        assert number == "42"
        return None if folder == "None" else Path(folder)

    def poison(self, folder: Path) -> None:
        """Replace the compiled code by a pickle that shows that it ran."""
        files = list(folder.rglob("*.nbi"))
        assert files
        for path in files:
            path.write_bytes(pickle.dumps(_Poison(self.marker)))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.given.mkdir(parents=True)
    (tmp_path / "source").mkdir()
    (tmp_path / "xdg").mkdir()
    (tmp_path / "source" / "small.py").write_text(textwrap.dedent(SMALL))
    return place


def as_anybodys(folder: Path, how: str) -> None:
    """Let other users write to a folder or to its files."""
    kind, _, mode = how.partition(" ")
    if kind == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(folder, 12345, -1)
    elif kind == "files":
        for path in folder.glob("*.nb?"):
            path.chmod(int(mode, 8))
    else:
        (folder.parent if kind == "parent" else folder).chmod(int(mode, 8))


HOW = ["folder 777", "folder 775", "folder 1777", "parent 777", "files 666", "owner"]


@pytest.mark.parametrize("how", ["", *HOW])
def test_a_given_folder_that_others_can_write_is_not_read(place: Place, how: str) -> None:
    """Without ``how``, only the user can write to the folder: the poison is read and runs, so this test can fail."""
    folder = place.kept_in(given=True)
    assert folder is not None
    assert folder.parent == place.given
    place.poison(folder)
    if how:
        as_anybodys(folder, how)
    kept = place.kept_in(given=True)
    assert place.marker.exists() is not bool(how)
    assert kept == (place.in_tree if how else folder)


@pytest.mark.parametrize("how", HOW)
def test_nor_is_one_beside_the_source(place: Place, how: str) -> None:
    assert place.kept_in(given=False) == place.in_tree
    place.poison(place.in_tree)
    as_anybodys(place.in_tree, how)
    kept = place.kept_in(given=False)
    assert not place.marker.exists()
    assert kept is not None
    assert kept.parent == place.of_user


def test_nor_is_one_of_the_users_caches_and_then_there_is_one_nobody_else_can_enter(place: Place) -> None:
    as_anybodys(place.root / "source", "folder 777")
    folder = place.kept_in(given=False)
    assert folder is not None
    assert folder.parent == place.of_user
    place.poison(folder)
    place.of_user.chmod(0o777)
    own = place.root / "xdg" / "lookalike" / "numba"
    kept = place.kept_in(given=False)
    assert kept is not None
    assert kept.parent == own
    assert own.stat().st_mode & 0o777 == 0o700
    assert not place.marker.exists()
    assert place.kept_in(given=False) == kept, "it is taken again"


def test_without_any_folder_code_is_compiled_anew_and_that_is_said(place: Place) -> None:
    for folder in (place.given, place.root / "source", place.root / "xdg"):
        folder.chmod(0o777)
    done = place.run(CALL, given=True)
    assert done.stdout.split() == ["42", "None"]
    assert "compiled code cannot be kept" in done.stderr
    assert not [*place.root.rglob("*.nb?")]


def test_locators_that_the_environment_names_are_asked_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_LOCATOR_CLASSES", "InTreeCacheLocator")
    assert place.kept_in(given=False) == place.in_tree
    place.poison(place.in_tree)
    place.in_tree.chmod(0o777)
    assert place.kept_in(given=False) is None
    assert not place.marker.exists()


EVERY_INDEX = """
import gc, importlib, pkgutil, pipeline
from numba.core.dispatcher import Dispatcher
for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
    if module.name != "pipeline.__main__":
        importlib.import_module(module.name)
pipeline.index.graph.load_pynndescent()
for one in gc.get_objects():
    if isinstance(one, Dispatcher) and getattr(one._cache, "_cache_file", None):
        print(one.__module__, one._cache._cache_file._index_path)
"""


def test_the_whole_package_and_pynndescent_read_nothing_there(place: Place) -> None:
    place.given.chmod(0o777)
    # compiled code cannot be stored beside a source that only root can write to, so no such function is called
    lines = [line.split() for line in place.run(EVERY_INDEX, given=True).stdout.splitlines()]
    assert {"pipeline", "pynndescent"} <= {module.split(".")[0] for module, _ in lines}
    for module, path in lines:
        assert not exposures(Path(path).parent), module
    assert not [*place.given.iterdir()]


def test_all_that_is_compiled_here_asks() -> None:
    """A module that imports ``njit`` from numba itself might decorate a function before the checks are installed."""
    for path in PACKAGE.rglob("*.py"):
        taken = {alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
                 and node.module == "numba" for alias in node.names}
        assert path.name == "compiled.py" or not taken & {"njit", "jit", "vectorize", "guvectorize", "cfunc"}, path


REFUSED = """
from pipeline.support.compiled import cache_folder, refused_folders
for folder, faults in refused_folders().items():
    print(folder, [one.remedy for one in faults])
"""


def test_the_doctor_is_told_which_folder_and_what_mends_it(place: Place) -> None:
    place.given.chmod(0o777)
    said = place.run(REFUSED, given=True).stdout
    assert f"chmod go-w {place.given}" in said
    place.given.chmod(0o755)
    assert str(place.given) not in place.run(REFUSED, given=True).stdout
