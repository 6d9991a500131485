"""Teaching ``spectral``: the contrast between pairs of windows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.encoders import spectral
from pipeline.encoders.backend import keras, save_weights, use_precision
from pipeline.support.prefetch import prefetch
from pipeline.train.batches import BATCHES_AHEAD, PAIRS, views

TEMPERATURE = 0.07
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4
WARM_UP = 0.03
"""Share of the steps in which the learning rate rises from nothing; then it falls to nothing, as a cosine."""
SAVE_EVERY = 500


def contrast(vectors: Any, pairs: int) -> Any:
    """Return the mean loss of telling each view's partner from all other windows (NT-Xent, arXiv 2002.05709).

    Parameters
    ----------
    vectors : (2 × pairs + noise, d) tensor
        Views in the order of :func:`views`; noise is a candidate, never a question.
    """
    ops = keras().ops
    vectors = ops.cast(vectors, "float32")
    unit = vectors / ops.sqrt(ops.sum(vectors * vectors, axis=1, keepdims=True) + 1e-12)
    asked = 2 * pairs
    likeness = ops.matmul(unit[:asked], ops.transpose(unit)) / TEMPERATURE
    itself = ops.one_hot(ops.arange(asked), vectors.shape[0])
    partner = (ops.arange(asked) + pairs) % asked
    return ops.mean(keras().losses.sparse_categorical_crossentropy(
        partner, likeness - 1e9 * itself, from_logits=True))


def train(
    out: Path,
    *,
    steps: int,
    on_step: Callable[[int, float], None],
    seed: int = 0,
    pairs: int = PAIRS,
    precision: str = "float32",
) -> None:
    """Teach a network from its beginning and write its weights to ``out``.

    Parameters
    ----------
    out : Path
        A ``.npz``. Every :data:`SAVE_EVERY` steps the weights so far go to ``*.partial.npz`` beside it.
    steps : int
        Each of ``pairs`` pairs of windows and :data:`NOISE_WINDOWS` of noise.
    seed : int
        Decides the weights' beginning and every window; threads still move the last bits of sums.
    precision : str
        What it computes with (:data:`pipeline.encoders.backend.PRECISIONS`); weights are float32 in any case.
    on_step : callable
        Told each step's number, from 1, and its loss.
    """
    keras().utils.set_random_seed(seed)
    with use_precision(precision):
        network = spectral.build()
        learner = _learner(network, pairs)
    warm_up = max(1, round(WARM_UP * steps))
    rate = keras().optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=LEARNING_RATE, warmup_steps=warm_up)
    learner.compile(optimizer=keras().optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY))
    unfinished = out.with_suffix(".partial.npz")
    for step, cutouts in enumerate(prefetch(partial(views, seed, pairs=pairs), steps, BATCHES_AHEAD), 1):
        nothing = np.zeros(len(cutouts), np.float32)  # Keras asks for labels; the windows' order says all
        on_step(step, float(learner.train_on_batch(spectral.inputs(cutouts), nothing)))
        if step % SAVE_EVERY == 0:
            save_weights(unfinished, network)
    save_weights(out, network)
    unfinished.unlink(missing_ok=True)


def _learner(network: Any, pairs: int) -> Any:
    """Wrap a network such that Keras' own training step, of any backend, lowers the contrast loss."""

    class Learner(keras().Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def call(self, images: Any, training: bool = False) -> Any:
            return self.network(images, training=training)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                         training: bool = True) -> Any:
            return contrast(y_pred, pairs)

    return Learner()
