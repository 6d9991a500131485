"""Show progress on standard error: one line that is rewritten on a terminal, a new line at intervals elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.run import Progress

LINE_INTERVAL_S = 30.0
"""Least time between two lines where standard error is not a terminal."""
CLEAR = "\r\x1b[K"
"""Return to the start of the line and erase it."""
BAR_WIDTH = 12
"""Characters of the progress bar."""


class Show:
    """A listener for :func:`pipeline.run.ingest`, ``embed`` and ``verify``."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Show one snapshot."""
        if self._is_terminal:
            # cut to the width of the terminal: a line that wraps could not be rewritten
            self._write(CLEAR + f"{_bar(progress)} {_line(progress)}"[: _columns() - 1])
        elif time.monotonic() - self._last >= LINE_INTERVAL_S:
            self._last = time.monotonic()
            self._write(f"{progress.stage}: {_line(progress)}\n")

    def close(self) -> None:
        """Erase the progress line from the terminal."""
        if self._is_terminal:
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal is closed; the run continues
            sys.stderr.write(text)
            sys.stderr.flush()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: the terminal does not know its width
    except OSError:
        return 80


def _bar(progress: Progress) -> str:
    done, total = progress.done
    filled = BAR_WIDTH * done // total if total else 0
    return f"{progress.stage} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"


def _line(progress: Progress) -> str:
    seconds, stage = max(progress.elapsed_s, 1e-9), progress.stage
    things = {"fit": "sources", "embed": "sources", "verify": "objects", "repair": "objects"}.get(stage, "files")
    parts = [f"{progress.files_done:,}/{progress.files:,} {things}"]
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
