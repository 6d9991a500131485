"""``lookalike train``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from pipeline.cli.grouped import command
from pipeline.cli.output import put, remark
from pipeline.config import PRECISIONS
from pipeline.support.text import shown

PROGRESS_INTERVAL_S = 10.0
"""Minimum time between two lines of progress."""


@command()
@click.argument("name", metavar="ENCODER")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, metavar="FILE.npz",
              help="File to write the weights to. Default: ENCODER.npz.")
@click.option("--steps", type=click.IntRange(0), default=None, metavar="N",
              help="Number of training batches. Default: 2000 for spectral, 1500 for its version 3, 3600 for "
                   "version 4; 4000 for beta-vae. With 0, spectral learns the kinds of interference only (versions 2 "
                   "and 3), or the mean vector of noise only (version 4). That takes minutes.")
@click.option("--version", type=int, default=None, metavar="N",
              help="Version of spectral to train: 2; 3, a smaller network that learns the vectors of version 2; or 4, "
                   "which goes on from 3 and learns to see in weak windows what version 2 sees in clear ones. "
                   "Default: 2.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Seed of the first weights and of the simulated windows.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True,
              help="Number format of the computation. auto: the fastest on this machine. The weights are written as "
                   "float32.")
def train(
    name: str, out: Path | None, steps: int | None, version: int | None, seed: int, precision: str
) -> None:
    """Train an encoder on simulated windows.

    ENCODER is spectral or beta-vae. Training takes one to two hours on two
    cores. It uses a GPU if Keras finds one. spectral goes on from the weights
    that come with the package. Its training may be interrupted: run the same
    command again, and it goes on from FILE.checkpoint.npz. To compute vectors
    with the new weights, run
    lookalike embed --encoder ENCODER --weights FILE.

    \b
    Example:
      lookalike train spectral --out spectral.npz
    """
    from pipeline.train import default_steps
    from pipeline.train import train as run_train

    began = printed = time.monotonic()

    def on_step(step: int, loss: float) -> None:
        nonlocal printed
        if time.monotonic() - printed > PROGRESS_INTERVAL_S:
            printed = time.monotonic()
            remark(f"step {step} of {steps or default_steps(name, version)}, loss {loss:.3f}, "
                   f"{(printed - began) / step:.2f} s per step")

    out = out or Path(f"{name}.npz")
    run_train(name, out, steps=steps, seed=seed, precision=precision, version=version, on_step=on_step)
    put(f"{shown(out)}: weights of {name}, made in {(time.monotonic() - began) / 60:.0f} min")
