"""Trainings that stop before their end, to test how they go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


class Stopped(Exception):
    """Ends a training, as a kill does."""


def losses_of(train: Callable[..., None], out: Path, stop_after: int | None = None, **settings: Any) -> list[float]:
    """Run a training and return the losses of its steps. Raise :class:`Stopped` after the step ``stop_after``."""
    losses = []

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        if step == stop_after:
            raise Stopped

    train(out, on_step=on_step, **settings)
    return losses
