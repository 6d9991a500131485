"""The steps of a training: they may be interrupted, and go on from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.encoders import keras
from pipeline.support.prefetch import prefetch
from pipeline.train.checkpoint import load_checkpoint, save_checkpoint

STEPS_PER_CHECKPOINT = 50
"""Steps between two writes of the state of an unfinished training."""
WARM_UP_SHARE = 0.03
"""Share of the steps in which the learning rate rises from 0. It then falls to 0 as a cosine."""
BATCHES_AHEAD = 2
"""Batches that are drawn in advance, while the network learns from the current one."""


def learning_rate(largest: float, steps: int) -> Any:
    """Return the schedule of Keras that rises to ``largest`` and falls to 0 at the end of ``steps``."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    return keras().optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=largest, warmup_steps=warm_up)


def learner_of(network: Any, loss: Callable[[Any, Any], Any], *, normalises: bool = False) -> Any:
    """Wrap a network so that Keras' training step, with any backend, minimises a loss.

    Parameters
    ----------
    network : keras.Model
        The network to train.
    loss : callable
        Takes what the network makes and the second item of a lesson, and returns a scalar tensor.
    normalises : bool
        True to normalise by the statistics of each batch, and to learn them. False to normalise as when vectors are
        computed.
    """

    class Learner(keras().Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def call(self, images: Any, training: bool = False) -> Any:
            return self.network(images, training=training and normalises)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                         training: bool = True) -> Any:
            return loss(y_pred, y)

    return Learner()


def run_steps(
    learner: Any, lesson: Callable[[int], tuple[Any, Any]], steps: int, *, unfinished: Path,
    settings: Mapping[str, Any], on_step: Callable[[int, float], None], begin: Callable[[], None] = lambda: None,
) -> None:
    """Run the steps of a training, from the last checkpoint on.

    Parameters
    ----------
    learner : keras.Model
        Compiled and built model.
    lesson : callable
        Takes the number of a step, from 0, and returns its input and what the loss compares.
    steps : int
        Number of steps of the whole training.
    unfinished : Path
        File of the checkpoint. It is written every :data:`STEPS_PER_CHECKPOINT` steps. The caller removes it at the
        end.
    settings : mapping
        What must be the same when the training goes on.
    on_step : callable
        Called after each step with its number, from 1, and its loss.
    begin : callable
        Called before the first step of a training that has no checkpoint.

    Raises
    ------
    EncoderError
        The checkpoint cannot be read, or is that of another training.
    """
    if unfinished.exists():
        done = load_checkpoint(unfinished, learner, settings)
    else:
        done = 0
        begin()
    for step, (images, wanted) in enumerate(
            prefetch(lambda number: lesson(done + number), steps - done, BATCHES_AHEAD), done + 1):
        learner.reset_metrics()
        on_step(step, float(learner.train_on_batch(images, wanted)))
        if step % STEPS_PER_CHECKPOINT == 0:
            save_checkpoint(unfinished, learner, step, settings)
