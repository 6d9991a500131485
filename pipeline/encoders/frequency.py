"""Frequency as part of likeness: vectors extended so that windows near in frequency score higher.

The sinusoidal position embedding of the published look-alike search (arXiv 2302.13854), with frequency in MHz as the
position. There it is added to the latent vector. Here it is appended, so that no chance product of a vector with an
embedding enters: of extended unit vectors the cosine is ::

    (cosine of the vectors + weight · nearness) / (1 + weight)

with :func:`nearness` 1 at equal frequency, .95 at 0.7 MHz, .69 at 2 MHz; further away it goes up and down, and falls on
average. It applies to any encoder, and to the scores of hits as well as to vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSION = 10
"""Components: a sine and a cosine for each of five scales, as published."""
LONGEST = 1000.0
"""Scales lie between 1 MHz and this (excluded), in equal steps of their logarithm, as published."""


def frequency_embedding(
    f_mhz: NDArray[np.floating[Any]], dimension: int = DIMENSION, longest_mhz: float = LONGEST
) -> NDArray[np.float32]:
    """Embed frequencies as sines and cosines of several scales.

    Parameters
    ----------
    f_mhz : (...) array
        Frequencies in MHz.
    dimension : int
        Even.
    longest_mhz : float
        Scale i of d/2 is ``longest_mhz ** (2 i / d)``, in MHz a radian.

    Returns
    -------
    (..., dimension) float32
        Sine and cosine in turn, unit length.

    Raises
    ------
    ValueError
        For an odd or empty dimension.
    """
    if dimension < 2 or dimension % 2:
        raise ValueError(f"a frequency embedding has an even number of components, not {dimension}")
    scales = longest_mhz ** (np.arange(0, dimension, 2) / dimension)
    angles = np.asarray(f_mhz, np.float64)[..., None] / scales
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    embedded = pairs.reshape(*angles.shape[:-1], dimension) / np.sqrt(dimension / 2)
    return np.asarray(embedded, np.float32)


def nearness(f_mhz: NDArray[np.floating[Any]], of_mhz: float) -> NDArray[np.float64]:
    """Return the scalar product of the embeddings of frequencies (...) with that of one, from −1 to 1 at the same."""
    near: NDArray[np.float64] = (frequency_embedding(f_mhz) @ frequency_embedding(np.array(of_mhz))).astype(np.float64)
    return near


def near_scores(
    scores: NDArray[np.floating[Any]], f_mhz: NDArray[np.floating[Any]], of_mhz: float, weight: float
) -> NDArray[np.float64]:
    """Score hits anew by their nearness to the query's frequency: the cosines of :func:`with_frequency`'s vectors.

    Parameters
    ----------
    scores, f_mhz : (n,) array
        The hits' cosines and centre frequencies in MHz.
    of_mhz : float
        The query's.
    weight : float
        0 leaves scores as they are; 1 lets frequency count as much as the pattern.
    """
    near: NDArray[np.float64] = (scores + weight * nearness(f_mhz, of_mhz)) / (1 + weight)
    return near


def with_frequency(
    vectors: NDArray[np.float32], f_mhz: NDArray[np.floating[Any]], weight: float
) -> NDArray[np.float32]:
    """Append embedded frequencies to unit vectors.

    Parameters
    ----------
    vectors : (n, d) float32
        Unit length, of any encoder.
    f_mhz : (n,) array
        The windows' centre frequencies in MHz.
    weight : float
        As :func:`near_scores` takes it.

    Returns
    -------
    (n, d + 10) float32
        Unit length.

    Raises
    ------
    ValueError
        For a negative weight.
    """
    if not weight >= 0:
        raise ValueError(f"the weight of frequency must not be negative, got {weight}")
    both = np.concatenate([vectors, np.sqrt(weight) * frequency_embedding(f_mhz)], axis=1)
    extended: NDArray[np.float32] = (both / np.sqrt(1 + weight)).astype(np.float32)
    return extended
