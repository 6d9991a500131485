"""Training of encoders on simulated windows, which :mod:`pipeline.simulate` draws. No other data are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from pipeline.encoders import beta_vae as _beta_vae
from pipeline.encoders import spectral as _spectral
from pipeline.errors import ConfigError
from pipeline.support.prefetch import prefetch
from pipeline.train.batches import simulate_singles
from pipeline.train.loop import BATCHES_AHEAD

__all__ = ["STEPS", "default_steps", "train"]

STEPS: Mapping[str, int] = MappingProxyType({_spectral.NAME: 2000, _beta_vae.NAME: 4000})
"""Encoders that can be trained → default number of training steps; a step takes one batch.

``spectral`` goes on from the weights that come with the package. ``beta-vae`` comes without weights.
"""


LEARNERS: Mapping[int, int] = MappingProxyType({3: 1500, 4: 3600})
"""Versions of ``spectral`` that learn from version 2 → default number of training steps. Version 3 learns its vectors,
and version 4 what it answers to clear views."""


def default_steps(name: str, version: int | None = None) -> int:
    """Return the default number of training steps of an encoder's version."""
    return LEARNERS.get(version or 0, STEPS[name])


def train(
    name: str,
    out: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    version: int | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train a network and write its weights to ``out``. The write is atomic.

    A training of ``spectral`` that was interrupted goes on from the file ``*.checkpoint.npz`` beside ``out``.

    Parameters
    ----------
    name : str
        One of :data:`STEPS`.
    out : Path
        Path of the ``.npz`` to write; the option ``--weights`` takes such a file.
    steps : int, optional
        Number of steps; by default, that of :func:`default_steps`. With 0, ``spectral`` learns the kinds
        only (versions 2 and 3), or the mean vector of noise only (version 4).
    seed : int
        Seed of the initial weights and of every window. Two runs still differ in the last bits of sums, because threads
        add in no fixed order.
    precision : str
        Arithmetic: ``float32``, ``bfloat16``, ``float16``, or ``auto`` for the fastest on this machine. The weights
        are always float32.
    version : int, optional
        Version of ``spectral`` to train: 2, the default, or one of :data:`LEARNERS`.
    on_step : callable
        Called after each step with its number, from 1, and its loss.

    Raises
    ------
    ConfigError
        The encoder or its version cannot be trained, the precision does not exist, or there are too few ``steps``.
    EncoderError
        The checkpoint cannot be read, or is that of another training.
    """
    if name not in STEPS:
        raise ConfigError(f"encoder {name!r} cannot be trained; these can: {', '.join(STEPS)}")
    if version is not None and (name != _spectral.NAME or version not in (_spectral.TRAINED, *LEARNERS)):
        raise ConfigError(f"version {version} of {name} cannot be trained; these can: 2, 3 and 4 of spectral")
    steps = default_steps(name, version) if steps is None else steps
    if steps < 1 and name != _spectral.NAME:
        raise ConfigError(f"training takes at least one step, got {steps}")
    if steps < 0:
        raise ConfigError(f"training takes at least 0 steps, got {steps}")
    if precision == "auto":
        from pipeline.encoders import fastest_precision

        precision = fastest_precision()
    if version == 3:
        from pipeline.train import distil

        distil.train(out, steps=steps, seed=seed, precision=precision, on_step=on_step)
    elif version == 4:
        from pipeline.train import denoise

        denoise.train(out, steps=steps, seed=seed, precision=precision, on_step=on_step)
    elif name == _spectral.NAME:
        from pipeline.train import spectral

        spectral.train(out, steps=steps, seed=seed, precision=precision, on_step=on_step)
    else:
        from pipeline.train import beta_vae

        batches = prefetch(partial(simulate_singles, seed), steps, BATCHES_AHEAD)
        beta_vae.train(batches, steps, out, seed, on_step, precision)
