"""``lookalike warm-up``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.cli.grouped import command
from pipeline.cli.output import put, remark
from pipeline.support.progress_line import duration
from pipeline.support.text import counted

STEPS = 5
"""Number of steps that the command reports."""
SIGN_OF_LIFE_S = 10.0
"""Minimum time between two lines of one step."""
COARSE_WIDTH = 2**17
"""Fine channels of the scanned coarse channel. From 65,536 on, other code flattens channels in stretches."""
VECTORS = (2000, 256)
"""Vectors of the graph. From 1 MiB on, pynndescent divides them with other code."""


@command("warm-up")
def warm_up() -> None:
    """Compile the numerical code once, before the first run.

    Without it, the first run on a machine compiles this code and takes a minute
    longer. Run it when you install a machine or build an image. make setup
    includes it. It takes a few minutes. On standard error, it says what it is
    compiling, and how many functions are done. Only what the cache lacks
    for this processor is compiled, so a second warm-up takes a few seconds.

    \b
    Example:
      lookalike warm-up
    """
    import numpy as np

    from pipeline.config import ScanConfig
    from pipeline.filterbank import open_filterbank
    from pipeline.index import build_segment
    from pipeline.overview import OverviewLayout, cells_of_channels
    from pipeline.scan import scan, tiling_of
    from pipeline.simulate import FAMILIES, fine_header, scatter, simulate_file, simulate_windows
    from pipeline.support.compiled import watching_compilation

    began, counts, rng = time.monotonic(), [0], np.random.default_rng(0)
    vectors = rng.standard_normal(VECTORS)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with watching_compilation(counts.append), tempfile.TemporaryDirectory() as folder:
        with _step(1, "simulated signals"):
            simulate_windows(rng, [*FAMILIES.values()])
        path, header = Path(folder) / "warm-up.h5", fine_header(coarse_width=COARSE_WIDTH, source_name="WARM-UP")
        with _step(2, "simulated files"):
            simulate_file(path, header, scatter(rng, header, count=8), coarse_width=COARSE_WIDTH)
        config = ScanConfig(coarse_width=COARSE_WIDTH, views=("f4",))
        with _step(3, "reading, flattening and the gate"), open_filterbank(path) as filterbank:
            tiling = tiling_of(filterbank, config)
            cells = cells_of_channels(OverviewLayout.of(tiling.header), *tiling.coarse_span(0))
            list(scan(filterbank, tiling, range(1), config, cells))
        with _step(4, "the graph of the index, which takes longest"):
            numbers = np.arange(len(vectors))
            segment = build_segment(Path(folder) / "warm-up", vectors, 0 * numbers, numbers, ["warm-up"])
        with _step(5, "the search in it"):
            segment.search(vectors[:1], 10)
    put(_summary(counts[-1], time.monotonic() - began))


def _summary(count: int, seconds: float) -> str:
    """Say how many functions were compiled, and whether a later run finds them."""
    from pipeline.support.compiled import cache_folder

    if not cache_folder():
        return (f"compiled {counted(count, 'function')} in {duration(seconds)}, but no folder can keep them: "
                "`lookalike doctor` says what to do")
    if not count:
        return f"nothing to compile: all code for this processor is kept already (checked in {duration(seconds)})"
    return f"compiled {counted(count, 'function')} in {duration(seconds)}; later runs find them"


@contextmanager
def _step(number: int, what: str) -> Iterator[None]:
    """Say what is compiled, and from time to time how much of it."""
    from pipeline.support.compiled import watching_compilation

    began = told = time.monotonic()

    def tell(count: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= SIGN_OF_LIFE_S:
            told = now
            remark(f"[{number}/{STEPS}] … {counted(count, 'function')} in {duration(now - began)}")

    remark(f"[{number}/{STEPS}] {what} …")
    with watching_compilation(tell):
        yield
