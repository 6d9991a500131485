"""A safe place for compiled code: numba's cache is used only if nobody else can write to it.

numba stores compiled functions as pickle files, and reading a pickle file can run any code. So another user who can
write to the cache folder can run code as this user. numba itself takes the first folder that it can write to:
``NUMBA_CACHE_DIR`` if it is set, else ``__pycache__`` beside the source, else a folder in the user's cache.

This module adds one condition: no other user may be able to write to the folder. If others can, the next folder is
tried. The last one is ``$XDG_CACHE_HOME/lookalike/numba`` (by default ``~/.cache/lookalike/numba``), which only this
user can enter. If no folder is safe, every process compiles its functions again.

Loading this module changes numba for the whole process, so the condition also holds for pynndescent's functions. Every
module of this program takes ``njit`` from here, so that the change is made before anything is compiled.

It also keeps compilation short: functions of this program and of pynndescent are compiled only if they are used
(:func:`compiled_when_used`), and not again for each literal number in a call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, event
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.target_extension import dispatcher_registry, target_registry
from numba.core.types.misc import unliteral

from pipeline.support.private_paths import Exposure, exposures, file_exposures, make_closed_folder, user_cache

__all__ = ["cache_folder", "compiled_when_used", "is_compiled", "njit", "refused_folders", "watching_compilation"]

logger = logging.getLogger(__name__)

_PICKLE_SUFFIXES = (".nbi", ".nbc")
"""Suffixes of the pickle files in numba's cache."""
_CACHED_PACKAGES = ("pipeline", "pynndescent")
"""Packages whose compiled functions are stored in a cache."""
_refused: dict[Path, tuple[Exposure, ...]] = {}
"""Folders that this process rejected because others can write to them, and the reasons."""


class _Function(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function that numba compiles no more often than needed.

    Signatures that are given to its decorator are compiled when it is first used. numba may compile a function again
    for a call with a literal number. This class uses the code for any number of that type instead.
    """

    _signatures: tuple[Any, ...] = ()

    def compile(self, signature: Any) -> Any:
        if isinstance(signature, tuple):  # types of the arguments of a call
            return super().compile(signature)
        self._signatures += (signature,)
        return None

    def disable_compile(self, is_disabled: bool = True) -> None:
        if not self._signatures:
            super().disable_compile(is_disabled)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        self._compile_signatures()
        numbers = {name: unliteral(kind) for name, kind in kws.items()}
        return super().get_call_template(tuple(map(unliteral, args)), numbers)

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        self._compile_signatures()
        return super()._compile_for_args(*args, **kws) if self._can_compile else self  # numba calls what this returns

    def _compile_signatures(self) -> None:
        with global_compiler_lock:  # other threads wait until all are compiled
            signatures, self._signatures = self._signatures, ()
            for signature in signatures:
                super().compile(signature)
            if signatures:
                super().disable_compile()


@contextmanager
def compiled_when_used() -> Iterator[None]:
    """Compile what is decorated inside a ``with`` block only if it is used.

    A decorator of numba that lists signatures compiles them at once. So importing a library compiles functions that are
    never called.
    """
    dispatcher_registry.update({target_registry["cpu"]: _Function})
    try:
        yield
    finally:
        dispatcher_registry.update({target_registry["cpu"]: CPUDispatcher})


def njit(*given: Any, **options: Any) -> Any:
    """Compile a function as :func:`numba.njit` does, in less time: without the entry point for C, and no more often
    than needed.
    """
    with compiled_when_used():
        return numba.njit(*given, no_cfunc_wrapper=True, **options)


@cache  # every compiled function asks this, and one answer for each folder is enough for a process
def _is_private(folder: Path) -> bool:
    """Tell whether nobody except this user and root can have written the files in ``folder``.

    The folder is made if it does not exist.
    """
    faults = exposures(folder)
    if not faults and not folder.is_dir():
        make_closed_folder(folder)
        faults = exposures(folder)  # another process may have made the folder first
    faults = faults or file_exposures(folder, _PICKLE_SUFFIXES)
    if faults:
        _refused[folder] = faults
        logger.info("compiled code is neither read from nor stored in %s: %s", folder, ", ".join(map(str, faults)))
    return not faults


def cache_folder() -> str:
    """Return the folder that holds this package's compiled code, or an empty string if no folder is safe."""
    return str(caching.FunctionCache(cache_folder).cache_path or "")


def is_compiled(function: Any) -> bool:
    """Tell whether a function made by ``njit`` is compiled for this processor, in this process or in the cache."""
    if function.signatures:
        return True
    file = getattr(function._cache, "_cache_file", None)  # None if nothing is stored
    processor = function.targetctx.codegen().magic_tuple()
    return file is not None and any(key[1] == processor for key in file._load_index())


class _CompilationCounter(event.Listener):  # type: ignore[misc]  # numba has no types
    """Counts functions as numba compiles them. Functions that are read from the cache are not counted."""

    def __init__(self, on_compiled: Callable[[int], None]) -> None:
        self._on_compiled, self._count = on_compiled, 0

    def on_start(self, event: Any) -> None:
        pass

    def on_end(self, event: Any) -> None:
        self._count += 1
        self._on_compiled(self._count)


@contextmanager
def watching_compilation(on_compiled: Callable[[int], None]) -> Iterator[None]:
    """Call ``on_compiled`` each time that a function has been compiled in the block, with their number so far."""
    with event.install_listener("numba:compile", _CompilationCounter(on_compiled)):
        yield


def refused_folders() -> dict[Path, tuple[Exposure, ...]]:
    """Return the cache folders that this package or pynndescent cannot use because others can write to them.

    Returns
    -------
    dict of Path to tuple of Exposure
        The reasons for each folder.
    """
    for name in _CACHED_PACKAGES:
        spec = find_spec(name)
        if spec is not None and spec.origin:
            any(locator.from_function(cache_folder, spec.origin) for locator in caching.CacheImpl._locator_classes)
    return dict(_refused)


def _make_checked_locator(locator: Any) -> Any:
    """Return a subclass of a numba cache locator. It rejects folders that others can write to."""

    class CheckedLocator(locator):  # type: ignore[misc]  # numba has no types
        def ensure_cache_path(self) -> None:
            folder = Path(self.get_cache_path())
            if not _is_private(folder):
                raise PermissionError(f"{folder}: others can write to it")  # numba then asks the next locator
            super().ensure_cache_path()

    return CheckedLocator


def _make_private_locator(of_user: Any) -> Any:
    """Return a subclass of numba's user-wide cache locator. It uses a folder that only this user can enter.

    Parameters
    ----------
    of_user : type
        numba's locator for a folder of the user, already checked (:func:`_make_checked_locator`).
    """

    class PrivateFolderLocator(of_user):  # type: ignore[misc]  # numba has no types
        def __init__(self, py_func: Any, py_file: str) -> None:
            super().__init__(py_func, py_file)
            self._own = user_cache() / "numba"
            self._cache_path = str(self._own / self.get_suitable_cache_subpath(py_file))

        def ensure_cache_path(self) -> None:
            if not exposures(self._own):
                make_closed_folder(self._own, 0o700)
            super().ensure_cache_path()

    return PrivateFolderLocator


def _install_checks() -> None:
    """Make numba use checked locators for every function that is decorated from now on in this process."""
    choose_locator = caching.CacheImpl.__init__

    def choose_checked_locator(self: Any, py_func: Any) -> None:
        choose_locator(self, py_func)
        folder = Path(self._locator.get_cache_path())  # NUMBA_CACHE_LOCATOR_CLASSES may add other locators
        if not _is_private(folder):
            raise RuntimeError(f"{folder}: others can write to it")

    def make_cache(cls: Any, py_func: Any) -> Any:
        try:
            cls._impl_class(py_func)
        except (RuntimeError, OSError) as error:
            _warn_once(error)
            return caching.NullCache()
        return object.__new__(cls)

    of_user = getattr(caching, "UserWideCacheLocator", None) or caching._UserWideCacheLocator  # older numba
    locators = [_make_checked_locator(locator) for locator in caching.CacheImpl._locator_classes]
    caching.CacheImpl._locator_classes = [*locators, _make_private_locator(_make_checked_locator(of_user))]
    caching.CacheImpl.__init__ = choose_checked_locator
    caching.Cache.__new__ = make_cache


_warnings_given: set[str] = set()
"""Warnings that this process has logged."""


def _warn_once(error: Exception) -> None:
    """Log that compiled code cannot be stored. Only the first call in a process does anything."""
    if not _warnings_given:
        _warnings_given.add(str(error))
        logger.warning("compiled code cannot be kept, so each process spends a minute on compiling: "
                       "`lookalike doctor` says what to do (%s)", error)


_install_checks()
