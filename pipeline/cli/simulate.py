"""``lookalike simulate``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.options import json_option


@click.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.h5|OUT.fil")
@click.option("--signals", type=click.IntRange(0), default=96, show_default=True, help="How many signals.")
@click.option("--family", "families", multiple=True, metavar="NAME", help="Only these families of signals; may be repeated.")
@click.option("--snr", nargs=2, type=float, default=(6.0, 60.0), show_default=True, metavar="LOW HIGH", help="Range of SNR per bin.")
@click.option("--coarse-channels", type=click.IntRange(1), default=1, show_default=True)
@click.option("--coarse-width", type=click.IntRange(4096), default=2**20, show_default=True, help="Fine channels a coarse channel.")
@click.option("--spectra", type=click.IntRange(1), default=16, show_default=True)
@click.option("--f-min", type=float, default=1530.0, show_default=True, metavar="MHZ", help="Lower edge of the band.")
@click.option("--ascending", is_flag=True, help="foff > 0; default: descending, as Breakthrough Listen records.")
@click.option("--target", default="SIMULATED", show_default=True, help="source_name of the header.")
@click.option("--mjd", type=int, default=59_000, show_default=True)
@click.option("--second", type=click.IntRange(0, 86_399), default=10_000, show_default=True, help="UTC second of the start.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def simulate(
    out: Path, signals: int, families: tuple[str, ...], snr: tuple[float, float], coarse_channels: int, coarse_width: int,
    spectra: int, f_min: float, ascending: bool, target: str, mjd: int, second: int, seed: int, as_json: bool,
) -> None:
    """Write a filterbank file of noise, instrument and known signals; print where each signal is."""
    import numpy as np

    from pipeline.simulate import FAMILIES, fine_header, scatter, simulate_file

    header = fine_header(coarse_channels=coarse_channels, coarse_width=coarse_width, nsamples=spectra, f_min_mhz=f_min,
                         ascending=ascending, source_name=target, mjd=mjd, second=second)
    placed = scatter(np.random.default_rng(seed), header, count=signals, families=families or tuple(FAMILIES), snr=snr,
                     coarse_width=coarse_width)
    truth = simulate_file(out, header, placed, coarse_width=coarse_width, seed=seed)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in truth], indent=1))
        return
    for one in truth:
        signal = one.placed.signal
        click.echo(f"{one.f_start_mhz:.6f}–{one.f_stop_mhz:.6f} MHz  {one.t_start_s:6.1f}–{one.t_stop_s:6.1f} s  "
                   f"SNR {signal.snr:5.1f}  drift {signal.drift_hz_per_s:+.3f} Hz/s  {signal.name}")
