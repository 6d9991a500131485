"""Scores that favour windows near the query's frequency.

The published look-alike search (arXiv 2302.13854) adds a sinusoidal position embedding to the latent vector; the
position is the frequency in MHz. Here the embedding acts as if it were appended to the vector. Appending avoids random
products between vectors and embeddings. The cosine of two extended unit vectors is ::

    (cosine of the vectors + weight · nearness) / (1 + weight)

:func:`nearness` is 1 at equal frequency, .95 at a distance of 0.7 MHz and .69 at 2 MHz. At larger distances it
oscillates, and falls on average. The formula needs only scores and frequencies, so it works with every encoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSION = 10
"""Components of an embedding: a sine and a cosine for each of five scales, as published."""
MAX_SCALE_MHZ = 1000.0
"""Upper bound of the scales, excluded. They start at 1 MHz and are spaced evenly in their logarithm, as published."""


def frequency_embedding(
    f_mhz: NDArray[np.floating[Any]], dimension: int = DIMENSION, longest_mhz: float = MAX_SCALE_MHZ
) -> NDArray[np.float32]:
    """Embed frequencies as sines and cosines of several scales.

    Parameters
    ----------
    f_mhz : (...) array
        Frequencies in MHz.
    dimension : int
        Number of components d; even.
    longest_mhz : float
        Scale i of d/2 is ``longest_mhz ** (2 i / d)``, in MHz per radian.

    Returns
    -------
    (..., dimension) float32
        Sine and cosine alternate; unit length.

    Raises
    ------
    ValueError
        The dimension is odd or smaller than 2.
    """
    if dimension < 2 or dimension % 2:
        raise ValueError(f"a frequency embedding has an even number of components, not {dimension}")
    scales = longest_mhz ** (np.arange(0, dimension, 2) / dimension)
    angles = np.asarray(f_mhz, np.float64)[..., None] / scales
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    embedded = pairs.reshape(*angles.shape[:-1], dimension) / np.sqrt(dimension / 2)
    return np.asarray(embedded, np.float32)


def nearness(f_mhz: NDArray[np.floating[Any]], of_mhz: float) -> NDArray[np.float64]:
    """Return how near frequencies are to one frequency, as the scalar product of their embeddings.

    Parameters
    ----------
    f_mhz : (...) array
        Frequencies in MHz.
    of_mhz : float
        The frequency to compare with, in MHz.

    Returns
    -------
    (...) float64
        Between −1 and 1; 1 at equal frequency.
    """
    near: NDArray[np.float64] = (frequency_embedding(f_mhz) @ frequency_embedding(np.array(of_mhz))).astype(np.float64)
    return near


def near_scores(
    scores: NDArray[np.floating[Any]], f_mhz: NDArray[np.floating[Any]], of_mhz: float, weight: float
) -> NDArray[np.float64]:
    """Combine the scores of hits with their nearness to the query's frequency.

    Parameters
    ----------
    scores : (n,) array
        Cosines of the hits with the query.
    f_mhz : (n,) array
        Centre frequencies of the hits in MHz.
    of_mhz : float
        Centre frequency of the query in MHz.
    weight : float
        Weight of the frequency, not negative. 0 leaves the scores unchanged; at 1, frequency counts as much as the
        pattern.

    Returns
    -------
    (n,) float64
        ``(scores + weight · nearness) / (1 + weight)``.
    """
    near: NDArray[np.float64] = (scores + weight * nearness(f_mhz, of_mhz)) / (1 + weight)
    return near

