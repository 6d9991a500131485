"""Teaching encoders on simulated windows: no data are needed but what :mod:`pipeline.simulate` draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from pipeline.encoders import beta_vae as _beta_vae
from pipeline.encoders import spectral as _spectral
from pipeline.errors import ConfigError
from pipeline.support.prefetch import prefetch
from pipeline.train.batches import BATCHES_AHEAD, singles

__all__ = ["STEPS", "train"]

STEPS: Mapping[str, int] = MappingProxyType({_spectral.NAME: 4800, _beta_vae.NAME: 4000})
"""Encoders that can be trained, and how many batches each learns from unless told otherwise.

Those of ``spectral`` made the shipped weights; ``beta-vae`` comes without any.
"""


def train(
    name: str,
    out: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Teach a network from its beginning and write its weights to ``out``, whole or not at all.

    Parameters
    ----------
    name : str
        One of :data:`STEPS`.
    out : Path
        A ``.npz``, which ``--weights`` takes.
    steps : int, optional
        Batches to learn from; :data:`STEPS` unless given.
    seed : int
        Decides the first weights and every window; threads still move the last bits of sums.
    precision : str
        What to compute in: ``float32``, ``bfloat16``, ``float16``, or ``auto`` for the fastest here. Weights are
        float32.
    on_step : callable
        Told each step's number, from 1, and its loss.

    Raises
    ------
    ConfigError
        Where no such encoder can be trained, or for no steps.
    """
    if name not in STEPS:
        raise ConfigError(f"encoder {name!r} cannot be trained; these can: {', '.join(STEPS)}")
    steps = STEPS[name] if steps is None else steps
    if steps < 1:
        raise ConfigError(f"training takes at least one step, got {steps}")
    if precision == "auto":
        from pipeline.encoders.backend import fastest_precision

        precision = fastest_precision()
    if name == _spectral.NAME:
        from pipeline.train import spectral

        spectral.train(out, steps=steps, seed=seed, precision=precision, on_step=on_step)
    else:
        from pipeline.train import beta_vae

        beta_vae.train(prefetch(partial(singles, seed), steps, BATCHES_AHEAD), steps, out, seed, on_step, precision)
