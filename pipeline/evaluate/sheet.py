"""A sheet of waterfalls: simulated windows of each kind of interference, with real ones beside them on request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.labelled_folder import LabelledFolder, read_labelled_folder
from pipeline.evaluate.picture import DOTS_PER_INCH
from pipeline.plot import save_figure
from pipeline.simulate import FINE, KINDS, simulate_kinds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_KIND = 4
"""Number of windows of a kind, real and simulated each."""
CELL_IN = (2.3, 1.0)
_LINEAR_SIGMAS = 3.0  # colours follow the power up to here, and its logarithm beyond


def draw_sheet(
    path: Path,
    *,
    kinds: Sequence[str] = tuple(KINDS),
    beside: Path | None = None,
    seed: int = 0,
    per_kind: int = PER_KIND,
) -> Path:
    """Draw a row of waterfalls for each kind, with frequency to the right and time downwards.

    Parameters
    ----------
    path : Path
        Path of the file to write. Its suffix decides the format.
    kinds : sequence of str
        Names in :data:`~pipeline.simulate.KINDS`.
    beside : Path, optional
        Folder of real windows, see :mod:`pipeline.evaluate.labelled_folder`. They stand to the left of the simulated
        ones.
    seed : int
        Seed of the simulated windows.
    per_kind : int
        Number of windows of a kind, real and simulated each.

    Raises
    ------
    ConfigError
        A kind does not exist, the folder cannot be read, the file cannot be written, or its suffix is not that of a
        picture format.
    """
    real = read_labelled_folder(beside) if beside is not None else None
    return save_figure(sheet_figure(kinds, real, seed, per_kind), path, DOTS_PER_INCH)


def sheet_figure(kinds: Sequence[str], real: LabelledFolder | None, seed: int, per_kind: int) -> Figure:
    """Make the figure of a sheet, see :func:`draw_sheet`. Without real windows, it is half as wide."""
    from matplotlib.figure import Figure

    columns = per_kind * (1 if real is None else 2)
    figure = Figure(figsize=(CELL_IN[0] * columns, CELL_IN[1] * len(kinds)))
    figure.subplots_adjust(0.005, 0.003, 0.995, 1 - 0.25 / (CELL_IN[1] * len(kinds)), 0.03, 0.3)
    axes = figure.subplots(len(kinds), columns, squeeze=False)
    for row, kind in zip(axes, kinds, strict=True):
        power, _ = simulate_kinds(np.random.default_rng([seed, *kind.encode()]), per_kind, kinds=[kind])
        shown = [] if real is None else [*real.windows(KINDS[kind].label or kind, per_kind)]
        for one in row:
            one.set_axis_off()
        for k, window in enumerate(shown):
            draw_window(row[k], window, f"{kind}, real")
        for k, window in enumerate(power):
            draw_window(row[columns - per_kind + k], window, kind if real is None else f"{kind}, simulated")
    return figure


def draw_window(
    axes: Axes, window: NDArray[np.float32], title: str, *, size: float = 6,
    extent: tuple[float, float, float, float] | None = None,
) -> None:
    """Draw a window. The colours end at the window's brightest bins, so that weak and strong ones are seen alike.

    Parameters
    ----------
    window : (T, F) float32
        Power relative to the noise.
    title : str
        Words above it.
    size : float
        Size of the title, in points.
    extent : (float, float, float, float), optional
        Left, right, bottom and top end of the axes. Default: in pixels.
    """
    shade = np.arcsinh((window - 1) / (FINE.sigma * _LINEAR_SIGMAS))
    axes.imshow(shade, aspect="auto", interpolation="nearest", extent=extent, vmin=-0.7,
                vmax=float(np.percentile(shade, 99.7)))
    axes.set_title(title, fontsize=size, pad=1.5)
