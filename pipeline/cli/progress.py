"""Show progress on standard error: a line that rewrites itself on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time

from pipeline.run import Progress

QUIET_S = 30.0
"""Between two lines where there is no terminal."""


class Show:
    """A listener for :func:`pipeline.run.ingest`."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Show one snapshot."""
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{_bar(progress)} {_line(progress)}")
        elif time.monotonic() - self._last > QUIET_S:
            self._last = time.monotonic()
            sys.stderr.write(f"{progress.stage}: {_line(progress)}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal's line clean."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _bar(progress: Progress, width: int = 20) -> str:
    done, total = progress.done
    filled = width * done // total if total else 0
    return f"{progress.stage} [{'#' * filled}{'.' * (width - filled)}]"


def _line(progress: Progress) -> str:
    seconds = max(progress.elapsed_s, 1e-9)
    parts = [f"{progress.files_done}/{progress.files} files"]
    if progress.windows_seen:
        parts += [
            f"{progress.windows_seen / seconds:,.0f} windows/s",
            f"{progress.bytes_decoded / seconds / 1e6:,.0f} MB/s",
            f"{100 * progress.windows_kept / progress.windows_seen:.2f} % kept",
        ]
    if progress.left_s is not None:
        parts.append(f"{duration(progress.left_s)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration as a person says it: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
