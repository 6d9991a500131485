"""Training of version 3 of ``spectral``: a smaller network learns the vectors of version 2.

It starts as version 2 with fewer channels (:mod:`pipeline.train.prune`), which already gives nearly the same vectors.
It then learns from simulated windows what version 2 answers (distillation, arXiv 1503.02531). At last, the discriminant
of kinds is computed from its own features.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import keras, load_arrays, save_weights, spectral, use_precision
from pipeline.encoders.parts import EMITTER_DIMENSION, KIND_DIMENSION, join_parts
from pipeline.train.batches import PAIRS_PER_STEP, simulate_kind_views, simulate_views
from pipeline.train.loop import learner_of, learning_rate, run_steps
from pipeline.train.prune import prune
from pipeline.train.spectral import BLOCKS, fit_kinds

TEACHER, LEARNER = 2, 3
"""Version of the network that is imitated, and of the one that learns."""
STEPS_PER_KIND_BLOCK = 7
"""One step in seven has patterns of all kinds instead of pairs."""
FEATURE_WEIGHT, COSINE_WEIGHT = 0.05, 5.0
"""Weights of the losses of features and of cosines, relative to that of vectors."""
LEARNING_RATE, MEMORY = 1e-3, 0.99
"""Largest learning rate of the Adam optimiser, and share of its mean square of gradients that a step keeps."""
FROZEN = ("scales", "kind")
"""Layers that the steps leave as they are. One is the same in both networks, and the other is computed at last."""
CLIP = 1.0
"""Length to which longer gradients are shortened."""
SAMPLE_BLOCKS = 5
"""Steps whose windows the pruning sees."""


def imitation_loss(made: Any, wanted: Any) -> Any:
    """Return the loss of a step, averaged over the windows.

    It is the squared distance of the vectors, plus that of the features, each in units of its standard deviation, plus
    that of the cosines of all pairs of windows.

    Parameters
    ----------
    made, wanted : (n, features + EMITTER_DIMENSION + KIND_DIMENSION) tensor
        What the networks answer: the inputs of the layer that makes the vector, then the two parts of the vector before
        they are joined.

    Returns
    -------
    scalar tensor
    """
    ops = keras().ops
    size = wanted.shape[1] - EMITTER_DIMENSION - KIND_DIMENSION

    def joined(parts: Any) -> Any:
        return join_parts(parts[:, size : size + EMITTER_DIMENSION], parts[:, size + EMITTER_DIMENSION :], ops)

    def cosines(vectors: Any) -> Any:
        unit = vectors / ops.sqrt(ops.sum(vectors * vectors, axis=1, keepdims=True) + 1e-12)
        return ops.matmul(unit, ops.transpose(unit))

    mine, aims = joined(made), joined(wanted)
    features = (made[:, :size] - wanted[:, :size]) / (ops.std(wanted[:, :size], axis=0) + 1e-3)
    return (ops.mean(ops.sum((mine - aims) ** 2, axis=1)) + FEATURE_WEIGHT * ops.mean(features**2)
            + COSINE_WEIGHT * ops.mean((cosines(mine) - cosines(aims)) ** 2))


def train(
    out: Path,
    *,
    steps: int,
    on_step: Callable[[int, float], None],
    seed: int = 0,
    pairs: int = PAIRS_PER_STEP,
    blocks: int = BLOCKS,
    precision: str = "float32",
) -> None:
    """Train a network of version 3 and write its weights to ``out``. The write is atomic.

    Every :data:`~pipeline.train.loop.STEPS_PER_CHECKPOINT` steps, the state of the training is written to
    ``*.checkpoint.npz`` beside ``out``. If that file exists at the start, the training goes on from it. It is removed
    at the end.

    Parameters
    ----------
    out : Path
        Path of the ``.npz`` to write.
    steps : int
        Number of steps; 0 leaves the pruned network as it is, and computes the discriminant.
    on_step : callable
        Called after each step with its number, from 1, and its loss.
    seed : int
        Seed of every window. Two runs still differ in the last bits of sums, because threads add in no fixed order.
    pairs : int
        Pairs of windows per step.
    blocks : int
        Blocks of windows from which the discriminant is computed.
    precision : str
        Arithmetic of the steps, one of :data:`pipeline.encoders.backend.PRECISIONS`. All else is computed in float32,
        and the weights are always float32.

    Raises
    ------
    EncoderError
        The checkpoint cannot be read, or is that of another training.
    """
    keras().utils.set_random_seed(seed)
    with use_precision(precision):
        network = spectral.build(LEARNER)
        learner = learner_of(_answers(network), imitation_loss)
    for layer in FROZEN:
        network.get_layer(layer).trainable = False
    rate = learning_rate(LEARNING_RATE, steps)
    learner.compile(optimizer=keras().optimizers.Adam(rate, beta_2=MEMORY, global_clipnorm=CLIP))
    learner.build((None, spectral.INTEGRATIONS, spectral.CHANNELS, 1))
    teacher = _teacher()
    unfinished = out.with_suffix(".checkpoint.npz")
    settings = {"steps": steps, "seed": seed, "pairs": pairs, "precision": precision, "version": LEARNER}
    answers = _answers(teacher)

    def lesson(step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        images = _images(seed, step, pairs)
        return images, answers.predict_on_batch(images)

    run_steps(learner, lesson, steps, unfinished=unfinished, settings=settings, on_step=on_step,
              begin=lambda: network.set_weights(_pruned(teacher, seed, steps, pairs)))
    fit_kinds(network, seed, blocks, LEARNER)
    save_weights(out, network)
    unfinished.unlink(missing_ok=True)


def _images(seed: int, step: int, pairs: int) -> NDArray[np.float32]:
    """Simulate the windows of a step, as the networks take them. No block of kinds is one of the discriminant's."""
    if step % STEPS_PER_KIND_BLOCK == STEPS_PER_KIND_BLOCK - 1:
        return spectral.inputs(simulate_kind_views(seed, BLOCKS + step).cutouts)
    return spectral.inputs(simulate_views(seed, step, pairs=pairs).cutouts)


def _teacher() -> Any:
    """Build the network that is imitated, in float32."""
    network = spectral.build(TEACHER)
    network.set_weights(list(load_arrays(spectral.SHIPPED[TEACHER], spectral.NAME).values()))
    return network


def _pruned(teacher: Any, seed: int, steps: int, pairs: int) -> list[NDArray[np.float32]]:
    """Prune the teacher by windows that no step sees, and return the weights of the smaller network."""
    small = spectral.build(LEARNER)
    images = [spectral.inputs(simulate_views(seed, steps + i, pairs=pairs).cutouts) for i in range(SAMPLE_BLOCKS)]
    prune(teacher, small, np.concatenate(images))
    weights: list[NDArray[np.float32]] = small.get_weights()
    return weights


def _answers(network: Any) -> Any:
    """Let a network answer what :func:`imitation_loss` compares."""
    layers = keras().layers
    vector, kind = network.get_layer("vector"), network.get_layer("kind")
    joined = layers.Concatenate(dtype="float32")([vector.input, vector.output, kind.output])
    return keras().Model(network.input, joined)
