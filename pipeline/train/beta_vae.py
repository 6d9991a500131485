"""Teaching ``beta-vae``: windows are drawn again through a latent vector, without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import beta_vae
from pipeline.encoders.backend import keras, save_weights, use_precision
from pipeline.model import WindowGrid

LEARNING_RATE = 1e-3
"""Of Adam, as published."""


def train(
    batches: Iterator[NDArray[np.uint8]],
    steps: int,
    out: Path,
    seed: int,
    on_step: Callable[[int, float], None],
    precision: str = "float32",
) -> None:
    """Teach a network from its beginning and write the encoder's weights to ``out``, whole or not at all.

    Parameters
    ----------
    batches : iterator of (b, T, F) uint8
        Cutouts, ``steps`` batches or more, all of one shape.
    steps : int
        Batches to learn from, at least one.
    out : Path
        The .npz to write; :func:`pipeline.encoders.beta_vae.BetaVae` takes it as weights.
    seed : int
        Of the first weights and of the latent vectors drawn. Batches bring their own.
    on_step : callable
        Told (steps done, loss of the last one in nats a window) after every step.
    precision : str
        What it computes with (:data:`pipeline.encoders.backend.PRECISIONS`); weights are float32 in any case.

    Raises
    ------
    EncoderError
        For windows whose channels are no multiple of 32.
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
