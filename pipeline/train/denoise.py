"""Training of version 4 of ``spectral``: it learns to tell from a weak view what version 2 tells from a clear one.

It starts as version 3. Version 2 answers two clear views of each emitter, and their mean is what the network learns to
answer to every view of that emitter, clear, usual or weak (distillation, arXiv 1503.02531, with inputs of the student
that are noisier than those of the teacher, as in noisy student training, arXiv 1911.04252). For a window of noise, it
learns the answer of version 2 to that window. At last, the mean vector of noise is measured, which is subtracted from
all vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import keras, load_arrays, save_weights, spectral, use_precision
from pipeline.encoders.parts import EMITTER_DIMENSION, KIND_SHARE
from pipeline.train.batches import (
    EMITTERS_PER_STEP,
    NOISE_BESIDE_CLEAR,
    NOISE_KIND,
    simulate_clear_views,
    simulate_noise,
)
from pipeline.train.loop import learner_of, learning_rate, run_steps
from pipeline.train.spectral import NOISE_WEIGHT, TEMPERATURE, pick_loss

TEACHER, FIRST, LEARNER = 2, 3, 4
"""Version of the network that answers clear views, of the one to start from, and of the one that learns."""
VIEWS, CLEAR_VIEWS = 4, 2
"""Views of each emitter in a step, and how many of them are clear."""
COSINE_WEIGHT, PICK_WEIGHT = 5.0, 0.1
"""Weights of the losses of cosines and of picking the same emitter, relative to that of vectors."""
LEARNING_RATE, MEMORY = 6e-4, 0.99
"""Largest learning rate of the Adam optimiser, and share of its mean square of gradients that a step keeps."""
CLIP = 1.0
"""Length to which longer gradients are shortened."""
FROZEN = "scales"
"""Layer that the steps leave as it is: it is the same in all versions."""
NOISE_BLOCKS, NOISE_WINDOWS = 40, 128
"""Blocks of noise from which the mean vector is computed, and windows in each."""


def denoising_loss(made: Any, lesson: Any, emitters: int) -> Any:
    """Return the loss of a step.

    It is the squared distance of the vectors, averaged over the windows, plus that of the cosines of all pairs of
    windows, plus the cross-entropy of picking a view of the same emitter (NT-Xent, arXiv 2002.05709) by the first part
    of the vectors. Windows of other emitters of the same kind are no candidates, because their vectors should be alike.

    Parameters
    ----------
    made : (4 × emitters + noise, d) tensor
        Vectors that the network makes, in the order of :func:`pipeline.train.batches.simulate_clear_views`.
    lesson : (4 × emitters + noise, d + 1) tensor
        Vectors that it should make, and the number of each window's kind.
    emitters : int
        Number of emitters.

    Returns
    -------
    scalar tensor
    """
    ops = keras().ops
    made, aims, kinds = ops.cast(made, "float32"), lesson[:, :-1], lesson[:, -1]
    count, windows = VIEWS * emitters, made.shape[0]

    def cosines(vectors: Any) -> Any:
        unit = vectors / ops.sqrt(ops.sum(vectors * vectors, axis=1, keepdims=True) + 1e-12)
        return ops.matmul(unit, ops.transpose(unit))

    number = np.concatenate([np.arange(count) % emitters, np.arange(windows - count) + emitters])
    is_same = (number[:count, None] == number).astype(np.float32)
    itself = np.eye(count, windows, dtype=np.float32)
    is_alike = ops.cast(kinds[:count, None] == kinds[None], "float32") * (1 - is_same)
    is_noise = ops.cast(kinds[None] == NOISE_KIND, "float32")
    prior = math.log(NOISE_WEIGHT) * is_noise - 1e9 * (itself + is_alike)
    return (ops.mean(ops.sum((made - aims) ** 2, axis=1))
            + COSINE_WEIGHT * ops.mean((cosines(made) - cosines(aims)) ** 2)
            + PICK_WEIGHT * pick_loss(made[:, :EMITTER_DIMENSION], is_same - itself, prior, TEMPERATURE))


def mean_of_clear(answers: NDArray[np.float32], emitters: int) -> NDArray[np.float32]:
    """Return what each view should give: the mean answer to the clear views of its emitter; noise keeps its answer.

    Parameters
    ----------
    answers : (CLEAR_VIEWS × emitters + noise, d) float32
        Vectors of the clear views and of noise, as :func:`pipeline.encoders.parts.join_parts` makes them.
    emitters : int
        Number of emitters.

    Returns
    -------
    (VIEWS × emitters + noise, d) float32
        The first part of each has the same length as in all vectors.
    """
    clear = answers[: CLEAR_VIEWS * emitters].reshape(CLEAR_VIEWS, emitters, -1).mean(axis=0)
    first = clear[:, :EMITTER_DIMENSION]
    first *= np.float32((1 - KIND_SHARE) ** 0.5) / np.linalg.norm(first, axis=1, keepdims=True)
    return np.concatenate([np.tile(clear, (VIEWS, 1)), answers[CLEAR_VIEWS * emitters :]])


def train(
    out: Path,
    *,
    steps: int,
    on_step: Callable[[int, float], None],
    seed: int = 0,
    emitters: int = EMITTERS_PER_STEP,
    noise_windows: int = NOISE_BESIDE_CLEAR,
    precision: str = "float32",
) -> None:
    """Train a network of version 4 and write its weights to ``out``. The write is atomic.

    Every :data:`~pipeline.train.loop.STEPS_PER_CHECKPOINT` steps, the state of the training is written to
    ``*.checkpoint.npz`` beside ``out``. If that file exists at the start, the training goes on from it. It is removed
    at the end.

    Parameters
    ----------
    out : Path
        Path of the ``.npz`` to write.
    steps : int
        Number of steps; 0 leaves version 3 as it is, and measures the mean vector of noise.
    on_step : callable
        Called after each step with its number, from 1, and its loss.
    seed : int
        Seed of every window. Two runs still differ in the last bits of sums, because threads add in no fixed order.
    emitters, noise_windows : int
        Emitters and windows of noise per step.
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
        learner = learner_of(network, partial(denoising_loss, emitters=emitters))
    _start_from_shipped(network)
    network.get_layer(FROZEN).trainable = False
    rate = learning_rate(LEARNING_RATE, steps)
    learner.compile(optimizer=keras().optimizers.Adam(rate, beta_2=MEMORY, global_clipnorm=CLIP))
    learner.build((None, spectral.INTEGRATIONS, spectral.CHANNELS, 1))
    teacher = spectral.build(TEACHER)
    teacher.set_weights(list(load_arrays(spectral.SHIPPED[TEACHER], spectral.NAME).values()))
    unfinished = out.with_suffix(".checkpoint.npz")
    settings = {"steps": steps, "seed": seed, "emitters": emitters, "noise windows": noise_windows,
                "precision": precision, "version": LEARNER}

    def lesson(step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        views = simulate_clear_views(seed, step, emitters, noise_windows)
        images, clear = spectral.inputs(views.cutouts), CLEAR_VIEWS * emitters
        answers = teacher.predict_on_batch(np.concatenate([images[:clear], images[VIEWS * emitters :]]))
        return images, np.column_stack([mean_of_clear(answers, emitters), views.kinds.astype(np.float32)])

    run_steps(learner, lesson, steps, unfinished=unfinished, settings=settings, on_step=on_step)
    _centre(network, seed)
    save_weights(out, network)
    unfinished.unlink(missing_ok=True)


def _start_from_shipped(network: Any) -> None:
    """Give a network the weights of version 3, and a mean vector of noise of zero."""
    arrays = list(load_arrays(spectral.SHIPPED[FIRST], spectral.NAME).values())
    network.set_weights([*arrays, np.zeros_like(network.get_layer("join").centre)])


def _centre(network: Any, seed: int) -> None:
    """Measure the mean vector of windows of noise, and let the network subtract it."""
    exact = spectral.build(LEARNER)
    exact.set_weights(network.get_weights())
    blocks = map(partial(simulate_noise, seed, windows=NOISE_WINDOWS), range(NOISE_BLOCKS))
    means = [exact.predict_on_batch(spectral.inputs(block)).mean(axis=0) for block in blocks]
    network.get_layer("join").centre.assign(np.mean(means, axis=0))
