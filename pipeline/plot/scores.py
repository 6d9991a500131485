"""The histogram of scores beside the hits of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT_POINTS = 8
SMALL_TEXT_POINTS = 7
"""Sizes of the text in pictures of a search."""


def draw_scores(axes: Axes, background: Any, scores: Sequence[float]) -> None:
    """Draw the scores of the corpus, those of unrelated signals in the same number, and those of the hits.

    Parameters
    ----------
    axes : Axes
    background : pipeline.significance.Background
    scores : sequence of float
        Scores of the hits that are drawn.
    """
    scale = sum(background.counts) / max(1, sum(background.unrelated_counts))
    if scale:
        axes.stairs(background.counts, background.edges, fill=True, color="0.7", label="corpus")
    else:  # no window of the corpus is far enough from the query to compare with
        scale = 1.0
    axes.stairs(np.asarray(background.unrelated_counts) * scale, background.edges, color="tab:blue", label="unrelated")
    axes.vlines(scores, 0, 0.06, transform=axes.get_xaxis_transform(), color="tab:red", label="hits")
    axes.set(yscale="log", xlim=(-0.5, 1), ylim=(0.5, max(20, 2 * max(background.counts, default=0))))
    axes.tick_params(axis="y", which="minor", labelleft=False)  # two powers of ten suffice
    axes.set_xlabel("Score", fontsize=TEXT_POINTS)
    axes.set_ylabel("Windows", fontsize=TEXT_POINTS)
    axes.tick_params(labelsize=SMALL_TEXT_POINTS)
    # few windows score high, so the legend hides little there; "best" may put it over bars of its own grey
    axes.legend(fontsize=SMALL_TEXT_POINTS, frameon=False, loc="upper right")
