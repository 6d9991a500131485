"""``lookalike train``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from pipeline.cli.output import put, remark
from pipeline.config import PRECISIONS

TELL_EVERY_S = 10.0


@click.command()
@click.argument("name", metavar="ENCODER")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, metavar="FILE.npz",
              help="Where the weights go. Default: ENCODER.npz.")
@click.option("--steps", type=click.IntRange(1), default=None, metavar="N",
              help="Batches to learn from. Default: 4800 of spectral, as the shipped weights had, 4000 of beta-vae.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Decides first weights and windows.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto",
              show_default=True, help="What to compute in; auto: the fastest here. Weights are float32.")
def train(name: str, out: Path | None, steps: int | None, seed: int, precision: str) -> None:
    """Teach an encoder on simulated windows.

    ENCODER is spectral or beta-vae. Takes an hour or two on two cores;
    a GPU is used where Keras sees one. To try what it made on a corpus:
    lookalike embed --encoder ENCODER --weights FILE.
    """
    from pipeline.train import STEPS
    from pipeline.train import train as teach

    began = told = time.monotonic()

    def on_step(step: int, loss: float) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            remark(f"step {step} of {steps or STEPS[name]}, loss {loss:.3f}, {(told - began) / step:.2f} s a step")

    out = out or Path(f"{name}.npz")
    teach(name, out, steps=steps, seed=seed, precision=precision, on_step=on_step)
    put(f"{out}: weights of {name}, made in {(time.monotonic() - began) / 60:.0f} min")
