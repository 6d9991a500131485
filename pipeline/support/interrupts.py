"""Ctrl-C ends a command with a message and exit code 130, whichever code runs at that moment.

Python raises :class:`KeyboardInterrupt` in the code that runs when the signal arrives. If that is a callback of a
compiled library, the exception is printed and forgotten, or the library turns it into an error of its own, such as a
``SystemError``. So the command line notes the signal itself, and each place that handles unexpected errors asks here
whether Ctrl-C may be the cause.

Programs that use the package from Python keep their own handling of signals.
"""

from __future__ import annotations

import _thread
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipeline.support.text import counted

EXIT_CODE = 130
"""Exit code of an interrupted command."""
REPEAT_S = 0.05
"""Seconds after which an interrupt is raised again, if a callback has swallowed it."""

_noted = threading.Event()
_saved: dict[tuple[str, str], int] = {}
"""What runs of this process have saved so far (:func:`note_saved`)."""


def is_interrupted() -> bool:
    """Return True if the command that runs in this process was interrupted with Ctrl-C."""
    return _noted.is_set()


def note_saved(noun: str, count: int = 0, *, of: str = "") -> None:
    """Note that a run has saved some things, so that the user learns of them if the run is interrupted.

    Parameters
    ----------
    noun : str
        What is counted, such as ``source``.
    count : int
        How many more are saved now. A run that begins notes that it saves such things, and that none is saved yet.
    of : str
        Words before the count, such as ``the vectors of ``.
    """
    _saved[of, noun] = _saved.get((of, noun), 0) + count


def words_on_interrupt() -> str:
    """Return what the user should know when a command is interrupted: what it has saved, and what to do."""
    if not _saved:
        return "interrupted"
    parts = [(f"{of}{counted(count, noun)}", count > 1 or bool(of)) for (of, noun), count in _saved.items() if count]
    if not parts:
        return "interrupted; nothing is finished yet. Run the command again to continue"
    verb = "are" if len(parts) > 1 or parts[0][1] else "is"
    return (f"interrupted; {' and '.join(part for part, _ in parts)} {verb} saved. Run the command again to continue")


def require_not_interrupted(cause: BaseException | None = None) -> None:
    """Raise :class:`KeyboardInterrupt` if the command was interrupted, because ``cause`` may be due to that."""
    if is_interrupted():
        raise KeyboardInterrupt from cause


@contextmanager
def noting_interrupts(*, until_exit: bool) -> Iterator[None]:
    """Note Ctrl-C within the block. Ctrl-C still raises :class:`KeyboardInterrupt`, and silences all logs.

    Nothing changes in a process that was started to ignore Ctrl-C, as by ``nohup``, or in another thread than the main
    one.

    Parameters
    ----------
    until_exit : bool
        True if the process ends after the block. Then another Ctrl-C only makes it end sooner.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield
        return
    hooks = sys.unraisablehook, threading.excepthook
    _noted.clear()
    _saved.clear()
    sys.unraisablehook, threading.excepthook = _hook(hooks[0]), _hook(hooks[1])
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        if until_exit:
            signal.signal(signal.SIGINT, _end_at_once)
        else:
            signal.signal(signal.SIGINT, before)
            sys.unraisablehook, threading.excepthook = hooks


def _note(signal_number: int, frame: FrameType | None) -> None:
    _noted.set()
    logging.disable(logging.CRITICAL)  # what libraries log while they shut down is for their developers
    raise KeyboardInterrupt


def _end_at_once(signal_number: int, frame: FrameType | None) -> None:
    os._exit(EXIT_CODE)


def _hook(before: Any) -> Any:
    """Return a hook for exceptions that nobody catches. It is silent once the command is interrupted."""

    def hook(unhandled: Any) -> None:
        if not is_interrupted():
            before(unhandled)
        elif issubclass(unhandled.exc_type, KeyboardInterrupt):
            # not at once: the interrupt would be raised in this hook
            repeat = threading.Timer(REPEAT_S, _thread.interrupt_main)
            repeat.daemon = True
            repeat.start()

    return hook
