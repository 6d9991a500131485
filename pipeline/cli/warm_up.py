"""``lookalike warm-up``."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from pipeline.cli.output import put


@click.command(name="warm-up")
def warm_up() -> None:
    """Compile what is compiled once a machine.

    So the first run need not wait for it. For the installation of a machine, or
    the making of an image; make setup does it.
    """
    import numpy as np

    from pipeline.baseline import flatten
    from pipeline.gate import measure
    from pipeline.index import build_segment
    from pipeline.model import WindowGrid
    from pipeline.simulate import FAMILIES, simulate_windows

    began = time.perf_counter()
    rng = np.random.default_rng(0)
    grid = WindowGrid()
    flat = flatten(rng.standard_gamma(102, (grid.integrations, 2**14), dtype=np.float32), nominal=102)
    measure(flat, np.arange(0, 2**14, grid.step), grid, 1e-3)
    simulate_windows(rng, [*FAMILIES.values()])
    vectors = rng.standard_normal((1000, 256))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        segment = build_segment(Path(folder) / "warm-up", vectors, np.zeros(1000), np.arange(1000), ["warm-up"])
        segment.search(vectors[:1], 10)
    put(f"compiled in {time.perf_counter() - began:.0f} s")
