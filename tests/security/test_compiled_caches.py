"""Compiled code is stored as pickles, and reading a pickle runs it. So no pickle is read where others can write."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
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
CALL = """
import importlib, os, sys
from numba.core import config
import pipeline.support.compiled
for root, given in zip(sys.argv[1::2], sys.argv[2::2]):
    os.environ |= {"XDG_CACHE_HOME": f"{root}/xdg", "NUMBA_CACHE_DIR": given}
    config.reload_config()
    sys.modules.pop("small", None)
    sys.path.insert(0, f"{root}/source")
    small = importlib.import_module("small")
    sys.path.pop(0)
    print(small.one_more(41), small.one_more._cache.cache_path)
"""


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

    def kept_in(self, *, given: bool) -> Path | None:
        """Compile or load the function in a new process; return the folder of its compiled code."""
        return kept_in([self], given=given)[0]

    def poison(self, folder: Path) -> None:
        """Replace the compiled code by a pickle that shows that it ran."""
        files = list(folder.rglob("*.nbi"))
        assert files
        for path in files:
            path.write_bytes(pickle.dumps(_Poison(self.marker)))


def run(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def call(places: Sequence[Place], *, given: bool) -> subprocess.CompletedProcess[str]:
    """Call the function of each place in one new process."""
    return run(CALL, *(text for one in places for text in (str(one.root), str(one.given) if given else "")))


def kept_in(places: Sequence[Place], *, given: bool) -> list[Path | None]:
    """Compile or load the function of each place in one new process; return the folders of compiled code."""
    lines = [line.split() for line in call(places, given=given).stdout.splitlines()]
    assert [number for number, _ in lines] == ["42"] * len(places)
    return [None if folder == "None" else Path(folder) for _, folder in lines]


def new_place(root: Path) -> Place:
    place = Place(root)
    place.given.mkdir(parents=True)
    (root / "source").mkdir()
    (root / "xdg").mkdir()
    (root / "source" / "small.py").write_text(SMALL)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return new_place(tmp_path)


def as_anybodys(folder: Path, how: str) -> None:
    """Let other users write to a folder or to its files."""
    kind, _, mode = how.partition(" ")
    if kind == "owner":
        os.chown(folder, 12345, -1)
    elif kind == "files":
        for path in folder.glob("*.nb?"):
            path.chmod(int(mode, 8))
    else:
        (folder.parent if kind == "parent" else folder).chmod(int(mode, 8))


HOW = ["folder 777", "folder 775", "folder 1777", "parent 777", "files 666", "owner"]


@dataclass(frozen=True)
class Outcome:
    """What became of poisoned code in a folder that others can write."""

    place: Place
    before: Path
    """Folder of the compiled code that was poisoned."""
    after: Path | None
    """Folder that the next process took."""


def poisoned(folder: Path, hows: Sequence[str], *, given: bool) -> dict[str, Outcome]:
    """Poison the code of a place for each way to let others write, then call all functions again."""
    places = {how: new_place(folder / how.replace(" ", "-")) for how in hows if how != "owner" or os.geteuid() == 0}
    before = kept_in([*places.values()], given=given)
    for (how, place), kept in zip(places.items(), before, strict=True):
        assert kept is not None
        place.poison(kept)
        if how != "intact":
            as_anybodys(kept, how)
    after = kept_in([*places.values()], given=given)
    return {how: Outcome(places[how], *kept) for how, *kept in zip(places, before, after, strict=True)}


def outcome_of(outcomes: dict[str, Outcome], how: str) -> Outcome:
    if how not in outcomes:
        pytest.skip("only root can give a folder away")
    return outcomes[how]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return poisoned(tmp_path_factory.mktemp("given"), ["intact", *HOW], given=True)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return poisoned(tmp_path_factory.mktemp("beside"), HOW, given=False)


@pytest.mark.parametrize("how", ["intact", *HOW])
def test_a_given_folder_that_others_can_write_is_not_read(given: dict[str, Outcome], how: str) -> None:
    """If it is intact, only the user can write to it: the poison is read and runs, so this test can fail."""
    one = outcome_of(given, how)
    assert one.before.parent == one.place.given
    assert one.place.marker.exists() is (how == "intact")
    assert one.after == (one.before if how == "intact" else one.place.in_tree)


@pytest.mark.parametrize("how", HOW)
def test_nor_is_one_beside_the_source(beside: dict[str, Outcome], how: str) -> None:
    one = outcome_of(beside, how)
    assert one.before == one.place.in_tree
    assert not one.place.marker.exists()
    assert one.after is not None
    assert one.after.parent == one.place.of_user


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
    done = call([place], given=True)
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
    lines = [line.split() for line in run(EVERY_INDEX, NUMBA_CACHE_DIR=str(place.given)).stdout.splitlines()]
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
    said = run(REFUSED, NUMBA_CACHE_DIR=str(place.given)).stdout
    assert f"chmod go-w {place.given}" in said
    place.given.chmod(0o755)
    assert str(place.given) not in run(REFUSED, NUMBA_CACHE_DIR=str(place.given)).stdout
