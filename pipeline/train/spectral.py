"""Training of ``spectral`` by a contrastive loss on pairs of windows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.encoders import keras, save_weights, spectral, use_precision
from pipeline.support.prefetch import prefetch
from pipeline.train.batches import BATCHES_AHEAD, PAIRS_PER_STEP, simulate_pairs

TEMPERATURE = 0.07
"""Divisor of the cosines in the loss."""
LEARNING_RATE = 1e-3
"""Largest learning rate of the AdamW optimiser."""
WEIGHT_DECAY = 1e-4
WARM_UP_SHARE = 0.03
"""Share of the steps in which the learning rate rises from 0. It then falls to 0 as a cosine."""
STEPS_PER_CHECKPOINT = 500
"""Steps between two writes of the unfinished weights."""


def contrastive_loss(vectors: Any, pairs: int) -> Any:
    """Return the NT-Xent loss (arXiv 2002.05709) of a step, averaged over the views.

    The loss of a view is the cross-entropy of picking its partner among all other windows, by cosine similarity.
    Windows of noise are candidates, but have no loss of their own.

    Parameters
    ----------
    vectors : (2 × pairs + noise, d) tensor
        Vectors of the windows, in the order of :func:`pipeline.train.batches.simulate_pairs`.
    pairs : int
        Number of pairs.

    Returns
    -------
    scalar tensor
    """
    ops = keras().ops
    vectors = ops.cast(vectors, "float32")
    unit = vectors / ops.sqrt(ops.sum(vectors * vectors, axis=1, keepdims=True) + 1e-12)
    count = 2 * pairs
    similarity = ops.matmul(unit[:count], ops.transpose(unit)) / TEMPERATURE
    itself = ops.one_hot(ops.arange(count), vectors.shape[0])
    partner = (ops.arange(count) + pairs) % count
    return ops.mean(keras().losses.sparse_categorical_crossentropy(
        partner, similarity - 1e9 * itself, from_logits=True))


def train(
    out: Path,
    *,
    steps: int,
    on_step: Callable[[int, float], None],
    seed: int = 0,
    pairs: int = PAIRS_PER_STEP,
    precision: str = "float32",
) -> None:
    """Train a network from random weights and write its weights to ``out``. The write is atomic.

    Parameters
    ----------
    out : Path
        Path of the ``.npz`` to write. Every :data:`STEPS_PER_CHECKPOINT` steps, the unfinished weights are written to
        ``*.partial.npz`` beside it; that file is removed at the end.
    steps : int
        Number of steps. Each step takes ``pairs`` pairs of windows and
        :data:`~pipeline.train.batches.NOISE_WINDOWS_PER_STEP` windows of noise.
    on_step : callable
        Called after each step with its number, from 1, and its loss.
    seed : int
        Seed of the initial weights and of every window. Two runs still differ in the last bits of sums, because threads
        add in no fixed order.
    pairs : int
        Pairs of windows per step.
    precision : str
        Arithmetic, one of :data:`pipeline.encoders.backend.PRECISIONS`. The weights are always float32.
    """
    keras().utils.set_random_seed(seed)
    with use_precision(precision):
        network = spectral.build()
        learner = _learner(network, pairs)
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    rate = keras().optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=LEARNING_RATE, warmup_steps=warm_up)
    learner.compile(optimizer=keras().optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY))
    unfinished = out.with_suffix(".partial.npz")
    for step, cutouts in enumerate(prefetch(partial(simulate_pairs, seed, pairs=pairs), steps, BATCHES_AHEAD), 1):
        unused_labels = np.zeros(len(cutouts), np.float32)  # Keras wants labels; the order of the windows replaces them
        on_step(step, float(learner.train_on_batch(spectral.inputs(cutouts), unused_labels)))
        if step % STEPS_PER_CHECKPOINT == 0:
            save_weights(unfinished, network)
    save_weights(out, network)
    unfinished.unlink(missing_ok=True)


def _learner(network: Any, pairs: int) -> Any:
    """Wrap a network so that Keras' training step, with any backend, minimises :func:`contrastive_loss`."""

    class Learner(keras().Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def call(self, images: Any, training: bool = False) -> Any:
            return self.network(images, training=training)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                         training: bool = True) -> Any:
            return contrastive_loss(y_pred, pairs)

    return Learner()
