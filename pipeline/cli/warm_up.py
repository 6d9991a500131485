"""``lookalike warm-up``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.cli.grouped import command
from pipeline.cli.output import put, remark
from pipeline.support.progress_line import CLEAR, duration
from pipeline.support.text import counted

STEPS = ("simulated signals", "reading, flattening and the gate", "the graph of the index", "the search in it")
"""What the command compiles, step by step."""
COARSE_WIDTH = 2**17
"""Fine channels of the scanned coarse channel. From 65,536 on, other code flattens channels in stretches."""
VECTORS = (1200, 256)
"""Vectors of the graph. From 1 MiB on, pynndescent divides them with other code."""
INTERVAL_S = 10.0
"""Minimum time between two lines within a step where standard error is not a terminal."""


@command("warm-up")
def warm_up() -> None:
    """Compile the numerical code once, before the first run.

    Without it, the first run on a machine compiles this code and takes a minute
    longer. Run it when you install a machine or build an image. make setup
    includes it. The code is compiled for the processor at hand and kept in a
    cache. Only what the cache lacks is compiled, so a second warm-up takes a few
    seconds.

    \b
    Example:
      lookalike warm-up
    """
    import numpy as np

    from pipeline.config import ScanConfig
    from pipeline.filterbank import open_filterbank
    from pipeline.index import build_segment
    from pipeline.scan import scan, tiling_of
    from pipeline.simulate import FAMILIES, fine_header, scatter, simulate_file, simulate_windows
    from pipeline.support.compiled import cache_folder

    began, steps, rng = time.perf_counter(), _Steps(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path, header = Path(folder) / "warm-up.h5", fine_header(coarse_width=COARSE_WIDTH, source_name="WARM-UP")
        with steps.next():
            simulate_windows(rng, [*FAMILIES.values()])
            simulate_file(path, header, scatter(rng, header, count=8), coarse_width=COARSE_WIDTH)
        with steps.next(), open_filterbank(path) as filterbank:
            config = ScanConfig(coarse_width=COARSE_WIDTH)
            list(scan(filterbank, tiling_of(filterbank, config), range(1), config))
        with steps.next():
            vectors = rng.standard_normal(VECTORS)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            numbers = np.arange(len(vectors))
            segment = build_segment(Path(folder) / "warm-up", vectors, 0 * numbers, numbers, ["warm-up"])
        with steps.next():
            segment.search(vectors[:1], 10)
    took, count = duration(time.perf_counter() - began), counted(steps.compiled, "function")
    if not cache_folder():
        put(f"compiled {count} in {took}, but no folder can keep them: `lookalike doctor` says what to do")
    elif steps.compiled:
        put(f"compiled {count} in {took}; later runs find them")
    else:
        put(f"nothing to compile: all code for this processor is kept already (checked in {took})")


class _Steps:
    """Says on standard error what each step compiles."""

    def __init__(self) -> None:
        self.compiled = 0
        """Number of functions compiled in all steps."""
        self._done, self._compiled_before = 0, 0
        self._began_s = self._said_s = 0.0

    @contextmanager
    def next(self) -> Iterator[None]:
        """Watch the next step."""
        from pipeline.support.compiled import watch_compilation

        self._began_s = self._said_s = time.perf_counter()
        self._compiled_before = self.compiled
        self._say("…", is_last=False)
        with watch_compilation(self._count):
            yield
        count = self.compiled - self._compiled_before
        took = duration(time.perf_counter() - self._began_s)
        self._say(f"{counted(count, 'function')} compiled in {took}" if count else "compiled before")
        self._done += 1

    def _count(self) -> None:
        """Count one more function, and say so from time to time."""
        self.compiled += 1
        if sys.stderr.isatty() or time.perf_counter() - self._said_s >= INTERVAL_S:
            self._said_s = time.perf_counter()
            self._say(f"{counted(self.compiled - self._compiled_before, 'function')} so far …", is_last=False)

    def _say(self, what: str, *, is_last: bool = True) -> None:
        """Write a line about this step. On a terminal, the next line takes its place, unless it is the last one."""
        is_terminal = sys.stderr.isatty()
        remark(f"{CLEAR if is_terminal else ''}[{self._done + 1}/{len(STEPS)}] {STEPS[self._done]}: {what}",
               newline=is_last or not is_terminal)
