"""Training of ``beta-vae``: the network learns to reconstruct windows from a latent vector, without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import beta_vae, keras, save_weights, use_precision
from pipeline.model import WindowGrid

LEARNING_RATE = 1e-3
"""Learning rate of the Adam optimiser, as published."""


def train(
    batches: Iterator[NDArray[np.uint8]],
    steps: int,
    out: Path,
    seed: int,
    on_step: Callable[[int, float], None],
    precision: str = "float32",
) -> None:
    """Train a network from random weights and write the encoder's weights to ``out``. The write is atomic.

    Parameters
    ----------
    batches : iterator of (b, T, F) uint8
        At least ``steps`` batches of cutouts, all of the same shape.
    steps : int
        Number of steps, at least 1; a step takes one batch.
    out : Path
        Path of the .npz to write; :class:`pipeline.encoders.beta_vae.BetaVae` takes it as weights.
    seed : int
        Seed of the initial weights and of the latent vectors. The batches do not depend on it.
    on_step : callable
        Called after each step with its number, from 1, and its loss in nats per window.
    precision : str
        Arithmetic, one of :data:`pipeline.encoders.backend.PRECISIONS`. The weights are always float32.

    Raises
    ------
    EncoderError
        The number of channels is not a multiple of 32.
    """
    keras().utils.set_random_seed(seed)
    first = next(batches)
    _, integrations, channels = first.shape
    with use_precision(precision):
        encoder, trainable = beta_vae.build(WindowGrid(channels, channels, integrations), seed)
    trainable.compile(keras().optimizers.Adam(LEARNING_RATE))
    for step in range(1, steps + 1):
        batch = first if step == 1 else next(batches)
        on_step(step, float(trainable.train_on_batch(beta_vae.inputs(batch))))
    save_weights(out, encoder)
