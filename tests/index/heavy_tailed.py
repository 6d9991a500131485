"""Vectors distributed like those of real interference, which are the hardest for an index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.index import Segment

SOURCES = [f"GBT_57436_{second}_HIP{second}" for second in range(7)]


@dataclass(frozen=True)
class Built:
    """A segment, what it was built from, and queries: half of them new, half stored vectors."""

    segment: Segment
    vectors: NDArray[np.float32]
    row_source: NDArray[np.int64]
    row_number: NDArray[np.int64]
    queries: NDArray[np.float32]


def distinct_vectors(segment: Segment) -> int:
    """Return the number of vectors that a segment stores: equal ones are stored once."""
    return len(np.load(segment.folder / "vectors.npy", mmap_mode="r"))


def heavy_tailed(count: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Draw unit vectors: half in 40 clusters of Zipf sizes, 30 % in groups of five, the rest each on its own.

    The clusters' spreads run from near-duplicates (0.3 %) to loose (30 %). All lie near a curved surface of
    16 dimensions, as the outputs of an encoder do.
    """
    rng = np.random.default_rng(seed)
    n_dense, n_tiny = count // 2, count * 3 // 10
    weights = 1 / np.arange(1, 41) ** 1.2
    sizes = rng.multinomial(n_dense, weights / weights.sum())
    spreads = np.repeat(10 ** rng.uniform(-2.5, -0.5, 40), sizes)[:, None]
    dense = np.repeat(_directions(rng, 40), sizes, axis=0) + rng.standard_normal((n_dense, 16)) * spreads / 4
    tiny = np.repeat(_directions(rng, n_tiny // 5 + 1), 5, axis=0)[:n_tiny]
    tiny = tiny + rng.standard_normal((n_tiny, 16)) * 0.3 / 4
    latent = np.concatenate([dense, tiny, rng.standard_normal((count - n_dense - n_tiny, 16))])
    latent /= np.linalg.norm(latent, axis=1, keepdims=True)
    curved = np.tanh(2 * latent @ rng.standard_normal((16, dimension)))
    curved += 0.02 * rng.standard_normal(curved.shape)
    curved /= np.linalg.norm(curved, axis=1, keepdims=True)
    shuffled: NDArray[np.float32] = curved[rng.permutation(count)].astype(np.float32)
    return shuffled


def recall_by_distance(found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """Return the share of found scores that reach the lowest exact score. Both arrays are (queries, k), descending."""
    return float((found >= exact[:, -1:] - 1e-6).mean())


def _directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    vectors = rng.standard_normal((count, 16))
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
