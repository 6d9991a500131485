"""The task that fits the projection of an encoder to a random sample of the windows of a corpus."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EncoderConfig
from pipeline.model import WindowGrid
from pipeline.store import CorpusStore, SourceGroup

MAX_FIT_WINDOWS = 4096
"""Maximum number of windows that a projection is fitted to."""


def fit_projection(corpus: Path, encoder: EncoderConfig, grid: WindowGrid, staged: Path) -> None:
    """Fit an encoder's projection to a sample of the windows in a corpus, and write it.

    Parameters
    ----------
    corpus : Path
        Folder of the corpus.
    encoder : EncoderConfig
        The encoder.
    grid : WindowGrid
        Shape of windows.
    staged : Path
        File to write, in a staging folder.
    """
    from pipeline.encoders import fit

    cutouts = sample(corpus, MAX_FIT_WINDOWS, grid)
    projection = fit(encoder.name, cutouts, grid=grid, weights=encoder.weights, precision=encoder.precision)
    staged.parent.mkdir(parents=True, exist_ok=True)
    projection.save(staged)


def sample(corpus: Path, count: int, grid: WindowGrid) -> NDArray[np.uint8]:
    """Read the cutouts of a random sample of the windows in a corpus (:func:`sample_keys`).

    Parameters
    ----------
    corpus : Path
        Folder of the corpus.
    count : int
        Maximum number of cutouts.
    grid : WindowGrid
        Shape of windows.

    Returns
    -------
    (n, T, F) uint8
        Cutouts of the windows with the smallest keys, in the order of the keys.
    """
    source_ids = sorted(CorpusStore.open(corpus).manifest().sources)
    keys, sources, rows = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    for i, source_id in enumerate(source_ids):
        group = SourceGroup.open(corpus, source_id)
        group.require_grid(grid)
        numbers = group.numbers
        keys = np.concatenate([keys, sample_keys(source_id, numbers)])
        sources = np.concatenate([sources, np.full(len(numbers), i)])
        rows = np.concatenate([rows, np.arange(len(numbers))])
        chosen = np.argsort(keys, kind="stable")[:count]
        keys, sources, rows = keys[chosen], sources[chosen], rows[chosen]
    blocks = [SourceGroup.open(corpus, source_ids[i]).cutouts(rows[sources == i]) for i in np.unique(sources)]
    cutouts = np.concatenate(blocks)
    in_key_order = np.empty_like(cutouts)
    in_key_order[np.argsort(sources, kind="stable")] = cutouts
    return in_key_order


def sample_keys(source_id: str, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a pseudorandom number for each window of a source.

    The windows of a corpus with the smallest numbers are a random sample. The numbers depend only on the source and the
    window. So the sample does not depend on the order in which sources were taken in, or on the machine. The numbers
    are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014).

    Parameters
    ----------
    source_id : str
    numbers : (n,) int64
        Window numbers.

    Returns
    -------
    (n,) uint64
    """
    seed = int.from_bytes(hashlib.sha256(source_id.encode()).digest()[:8], "little")
    keys = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)  # wraps on purpose
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    mixed: NDArray[np.uint64] = keys ^ (keys >> np.uint64(31))
    return mixed
