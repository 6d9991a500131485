"""Compiled code is kept, and read again, only where nobody else can write.

numba keeps what it compiles as pickles, and a pickle runs code as it is read. It takes the first folder that it can
write, of ``NUMBA_CACHE_DIR`` (or ``__pycache__`` beside the source) and a folder in the user's cache. Here it also asks
whether others can write it; then it takes the next, at last ``$XDG_CACHE_HOME/lookalike/numba`` (by default
``~/.cache/lookalike/numba``), which only the user can enter. Where there is none, every process compiles anew.

That holds for all that is compiled in a process once this module is loaded, pynndescent's functions, too: whatever is
compiled takes ``njit`` from here.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import caching

from pipeline.private import Exposure, exposures, make_closed_folder, of_files

__all__ = ["cache_folder", "njit", "refused_folders"]

logger = logging.getLogger(__name__)

_PICKLES = (".nbi", ".nbc")
_CACHED = ("pipeline", "pynndescent")
"""Packages whose functions are kept compiled."""
_refused: dict[Path, tuple[Exposure, ...]] = {}
"""Folders that would have been taken in this process, could others not write them: why they were not."""


@cache  # each function asks, and a verdict counts for the process
def _is_own(folder: Path) -> bool:
    """Tell whether nobody else can have written what a folder holds; make the folder where it is not there."""
    faults = exposures(folder)
    if not faults and not folder.is_dir():
        make_closed_folder(folder)
        faults = exposures(folder)  # another may have been faster
    faults = faults or of_files(folder, _PICKLES)
    if faults:
        _refused[folder] = faults
        logger.info("compiled code in %s is neither read nor kept: %s", folder, ", ".join(map(str, faults)))
    return not faults


def cache_folder() -> str:
    """Return the folder in which this package's compiled code is kept; empty where there is none."""
    return str(caching.FunctionCache(cache_folder).cache_path or "")


def refused_folders() -> dict[Path, tuple[Exposure, ...]]:
    """Return the folders that this package or pynndescent would take, could others not write them: why they do not."""
    for name in _CACHED:
        spec = find_spec(name)
        if spec is not None and spec.origin:
            any(locator.from_function(cache_folder, spec.origin) for locator in caching.CacheImpl._locator_classes)
    return dict(_refused)


def _checked(locator: Any) -> Any:
    """Return a locator that passes over a folder that others can write."""

    class Checked(locator):  # type: ignore[misc]  # numba has no types
        def ensure_cache_path(self) -> None:
            folder = Path(self.get_cache_path())
            if not _is_own(folder):
                raise PermissionError(f"{folder}: others can write it")  # numba then asks the next locator
            super().ensure_cache_path()

    return Checked


def _last_resort(of_user: Any) -> Any:
    """Make a checked locator of one for a folder of the user: of a folder that only the user can enter."""

    class OwnFolder(of_user):  # type: ignore[misc]  # numba has no types
        def __init__(self, py_func: Any, py_file: str) -> None:
            super().__init__(py_func, py_file)
            named = os.environ.get("XDG_CACHE_HOME", "")
            folder = Path(named) if os.path.isabs(named) else Path(os.path.expanduser("~/.cache"))
            self._own = folder / "lookalike" / "numba"
            self._cache_path = str(self._own / self.get_suitable_cache_subpath(py_file))

        def ensure_cache_path(self) -> None:
            if not exposures(self._own):
                make_closed_folder(self._own, 0o700)
            super().ensure_cache_path()

    return OwnFolder


def _check_all() -> None:
    """Have numba ask, for every function that is decorated from now on in this process."""
    found_by_numba = caching.CacheImpl.__init__

    def found(self: Any, py_func: Any) -> None:
        found_by_numba(self, py_func)
        folder = Path(self._locator.get_cache_path())  # NUMBA_CACHE_LOCATOR_CLASSES may name locators of its own
        if not _is_own(folder):
            raise RuntimeError(f"{folder}: others can write it")

    def made(cls: Any, py_func: Any) -> Any:
        try:
            cls._impl_class(py_func)
        except (RuntimeError, OSError) as error:
            _tell_once(error)
            return caching.NullCache()
        return object.__new__(cls)

    of_user = getattr(caching, "UserWideCacheLocator", None) or caching._UserWideCacheLocator  # of older numba
    locators = [_checked(locator) for locator in caching.CacheImpl._locator_classes]
    caching.CacheImpl._locator_classes = [*locators, _last_resort(_checked(of_user))]
    caching.CacheImpl.__init__ = found
    caching.Cache.__new__ = made


_told: set[str] = set()


def _tell_once(error: Exception) -> None:
    if not _told:
        _told.add(str(error))
        logger.warning("compiled code cannot be kept, so each process takes a minute to compile: `lookalike doctor` "
                       "says what to do (%s)", error)


_check_all()
