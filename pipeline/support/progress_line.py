"""Show progress on standard error. On a terminal or in a notebook, one line is rewritten. Elsewhere, a new line is
written from time to time.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Protocol

LINE_INTERVAL_S = 30.0
"""Minimum time between two lines where standard error is not a terminal."""
CLEAR = "\r\x1b[K"
"""Return to the start of the line and erase it, on a terminal."""
NOTEBOOK_COLUMNS = 80
"""Width of the line in a notebook, in characters."""
BAR_WIDTH = 12
"""Characters of the progress bar."""


class Snapshot(Protocol):
    """Part of :class:`pipeline.run.Progress` that is shown."""

    @property
    def stage(self) -> str:
        """Name of the stage."""

    @property
    def files(self) -> int:
        """Number of files, sources or objects."""

    @property
    def files_done(self) -> int:
        """Number of these that are done."""

    @property
    def windows_seen(self) -> int:
        """Number of windows searched for signals."""

    @property
    def windows_kept(self) -> int:
        """Number of windows kept."""

    @property
    def windows_embedded(self) -> int:
        """Number of vectors made."""

    @property
    def bytes_decoded(self) -> int:
        """Number of bytes read."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began."""

    @property
    def left_s(self) -> float | None:
        """Estimated seconds left in the stage; None if unknown."""

    @property
    def note(self) -> str:
        """What the user should know of the stage; may be empty."""

    @property
    def done(self) -> tuple[int, int]:
        """Finished and total number of steps in the stage."""


def is_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


class Show:
    """Shows the progress of a run. Give it to a run as ``progress``."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        # a notebook returns to the start of a line, but cannot erase it
        self._clear = CLEAR if self._is_terminal else f"\r{' ' * (NOTEBOOK_COLUMNS - 1)}\r" if is_notebook() else ""
        self._last = time.monotonic()
        self._noted = ""

    def __call__(self, progress: Snapshot) -> None:
        """Show one snapshot. A note is shown once, as a line that stays."""
        if progress.note and progress.note != self._noted:
            self._noted = progress.note
            self._write(f"{self._clear}{progress.note}\n")
        if self._clear:
            # cut to the width of the terminal: a line that wraps could not be rewritten
            columns = _columns() if self._is_terminal else NOTEBOOK_COLUMNS
            self._write(self._clear + f"{_bar(progress)} {_line(progress)}"[: columns - 1])
        elif time.monotonic() - self._last >= LINE_INTERVAL_S:
            self._last = time.monotonic()
            self._write(f"{progress.stage}: {_line(progress)}\n")

    def close(self) -> None:
        """Erase the progress line from the terminal or the notebook."""
        if self._clear:
            self._write(self._clear)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal is closed; the run continues
            sys.stderr.write(text)
            sys.stderr.flush()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: the terminal does not know its width
    except OSError:
        return 80


def _bar(progress: Snapshot) -> str:
    done, total = progress.done
    filled = BAR_WIDTH * done // total if total else 0
    return f"{progress.stage} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"


_THINGS = {"fit": "sources", "embed": "sources", "index": "segments", "verify": "objects", "repair": "objects",
           "windows cut": "windows", "encoded": "rows", "searched": "rows"}
"""Stage → what its files are."""


def _line(progress: Snapshot) -> str:
    seconds, stage = max(progress.elapsed_s, 1e-9), progress.stage
    parts = [f"{progress.files_done:,}/{progress.files:,} {_THINGS.get(stage, 'files')}"]
    if progress.left_s is not None:
        parts.append(f"{duration(progress.left_s)} left")
    if progress.stage == "embed":
        parts.append(f"{progress.windows_embedded / seconds:,.0f} windows/s")
    elif progress.stage == "verify":
        parts.append(f"{progress.bytes_decoded / seconds / 1e6:,.0f} MB/s")
    elif progress.windows_seen:
        parts += [
            f"{progress.windows_seen / seconds:,.0f} windows/s",
            f"{progress.bytes_decoded / seconds / 1e6:,.0f} MB/s",
            f"{100 * progress.windows_kept / progress.windows_seen:.2f} % kept",
        ]
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration as text with at most two units: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
