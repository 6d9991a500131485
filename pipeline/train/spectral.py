"""Training of ``spectral``: a contrastive loss on pairs of windows, then a linear discriminant of kinds.

The contrastive training starts from the weights of version 1. It may take several runs. The discriminant takes minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.encoders import keras, load_arrays, save_weights, spectral, use_precision
from pipeline.encoders.parts import EMITTER_DIMENSION, KIND_DIMENSION
from pipeline.support.prefetch import prefetch
from pipeline.train.batches import NOISE_KIND, PAIRS_PER_STEP, simulate_kind_views, simulate_views
from pipeline.train.discriminant import fit_discriminant
from pipeline.train.loop import learner_of, learning_rate, run_steps

TEMPERATURE = 0.07
"""Divisor of the cosines in the loss of emitters."""
KIND_TEMPERATURE = 0.1
"""Divisor of the cosines in the loss of kinds."""
KIND_WEIGHT = 0.5
"""Weight of the loss of kinds, relative to that of emitters."""
NOISE_WEIGHT = 8.0
"""Each window of noise counts as this many, because an archive has a larger share of noise than a step has."""
LEARNING_RATE = 4e-4
"""Largest learning rate of the AdamW optimiser."""
WEIGHT_DECAY = 1e-4
BLOCKS = 200
"""Blocks of windows for the discriminant."""


def graded_loss(vectors: Any, kinds: Any, pairs: int) -> Any:
    """Return the loss of a step: that of emitters plus that of kinds, averaged over the views.

    The loss of emitters (NT-Xent, arXiv 2002.05709) is the cross-entropy of picking a view's partner among all other
    windows by the first part of the vectors. The loss of kinds (supervised contrast, arXiv 2004.11362) is that of
    picking a window of the same kind by the second part. Windows of noise are candidates, but have no loss of their
    own.

    Parameters
    ----------
    vectors : (2 × pairs + noise, DIMENSION) tensor
        Vectors of the windows, in the order of :func:`pipeline.train.batches.simulate_views`.
    kinds : (2 × pairs + noise,) tensor
        Number of each window's kind.
    pairs : int
        Number of pairs.

    Returns
    -------
    scalar tensor
    """
    ops = keras().ops
    vectors, kinds = ops.cast(vectors, "float32"), ops.reshape(kinds, (-1,))
    count, windows = 2 * pairs, vectors.shape[0]
    itself = ops.one_hot(ops.arange(count), windows)
    partner = ops.one_hot((ops.arange(count) + pairs) % count, windows)
    alike = ops.cast(kinds[:count, None] == kinds[None], "float32") - itself
    prior = math.log(NOISE_WEIGHT) * ops.cast(kinds[None] == NOISE_KIND, "float32") - 1e9 * itself
    emitters, shapes = vectors[:, :EMITTER_DIMENSION], vectors[:, EMITTER_DIMENSION:]
    return (pick_loss(emitters, partner, prior, TEMPERATURE)
            + KIND_WEIGHT * pick_loss(shapes, alike, prior, KIND_TEMPERATURE))


def pick_loss(vectors: Any, wanted: Any, prior: Any, temperature: float) -> Any:
    """Return the cross-entropy of picking a wanted window by cosine, averaged over the wanted ones, then over rows.

    Parameters
    ----------
    vectors : (windows, d) tensor
        Vectors of any length.
    wanted : (rows, windows) tensor
        1 for each window that should be picked by the window of the row, else 0.
    prior : (rows, windows) tensor
        Logarithm of the weight of each candidate.
    temperature : float
        Divisor of the cosines.

    Returns
    -------
    scalar tensor
    """
    ops = keras().ops
    unit = vectors / ops.sqrt(ops.sum(vectors * vectors, axis=1, keepdims=True) + 1e-12)
    similarity = ops.matmul(unit[:wanted.shape[0]], ops.transpose(unit)) / temperature + prior
    odds = similarity - ops.logsumexp(similarity, axis=1, keepdims=True)
    return -ops.mean(ops.sum(wanted * odds, axis=1) / ops.sum(wanted, axis=1))


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
    """Train a network and write its weights to ``out``. The write is atomic.

    The discriminant replaces the part of the vectors from which the contrastive training has learned the kinds.

    Every :data:`~pipeline.train.loop.STEPS_PER_CHECKPOINT` steps, the state of the training is written to
    ``*.checkpoint.npz`` beside ``out``. If that file exists at the start, the training goes on from it. It is removed
    at the end.

    Parameters
    ----------
    out : Path
        Path of the ``.npz`` to write.
    steps : int
        Number of steps of the contrastive training; 0 leaves the weights of version 1 as they are, and adds the
        discriminant. Each step takes ``pairs`` pairs of windows and
        :data:`~pipeline.train.batches.NOISE_WINDOWS_PER_STEP` windows of noise.
    on_step : callable
        Called after each step with its number, from 1, and its loss.
    seed : int
        Seed of the new weights and of every window. Two runs still differ in the last bits of sums, because threads
        add in no fixed order.
    pairs : int
        Pairs of windows per step.
    blocks : int
        Blocks of windows from which the discriminant is computed.
    precision : str
        Arithmetic of the contrastive training, one of :data:`pipeline.encoders.backend.PRECISIONS`. The discriminant is
        computed in float32, and the weights are always float32.

    Raises
    ------
    EncoderError
        The checkpoint cannot be read, or is that of another training.
    """
    keras().utils.set_random_seed(seed)
    with use_precision(precision):
        network = spectral.build()
        learner = learner_of(network, partial(graded_loss, pairs=pairs), normalises=True)
    _start_from_first_version(network)
    rate = learning_rate(LEARNING_RATE, steps)
    learner.compile(optimizer=keras().optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY))
    learner.build((None, spectral.INTEGRATIONS, spectral.CHANNELS, 1))
    unfinished = out.with_suffix(".checkpoint.npz")
    settings = {"steps": steps, "seed": seed, "pairs": pairs, "precision": precision}

    def lesson(step: int) -> tuple[Any, Any]:
        views = simulate_views(seed, step, pairs=pairs)
        return spectral.inputs(views.cutouts), views.kinds

    run_steps(learner, lesson, steps, unfinished=unfinished, settings=settings, on_step=on_step)
    fit_kinds(network, seed, blocks, spectral.TRAINED)
    save_weights(out, network)
    unfinished.unlink(missing_ok=True)


def fit_kinds(network: Any, seed: int, blocks: int, version: int) -> None:
    """Set the second part of the vectors to the linear discriminant of the kinds, computed in float32.

    Parameters
    ----------
    network : keras.Model
        Network of :func:`pipeline.encoders.spectral.build`.
    seed, blocks : int
        As :func:`train` takes them.
    version : int
        Version of the network.
    """
    exact = spectral.build(version)
    exact.set_weights(network.get_weights())
    features = keras().Model(exact.input, exact.get_layer("kind").input)

    def of_block(number: int) -> tuple[Any, Any]:
        views = simulate_kind_views(seed, number)
        return features.predict_on_batch(spectral.inputs(views.cutouts)), views.kinds

    found = fit_discriminant(prefetch(of_block, blocks), KIND_DIMENSION)
    network.get_layer("kind").set_weights([found.kernel, found.bias])


def _start_from_first_version(network: Any) -> None:
    """Give a network the weights of version 1, for all layers that version 1 has."""
    arrays = load_arrays(spectral.SHIPPED[1], spectral.NAME)
    first = {key.split(" ", 1)[1]: array for key, array in arrays.items()}
    for variable in network.weights:
        if variable.path in first:
            variable.assign(first[variable.path])
