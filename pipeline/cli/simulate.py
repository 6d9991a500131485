"""``lookalike simulate``."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import json_option
from pipeline.cli.output import name_unwritable, put, put_json
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.simulate import Truth

SUFFIXES = (".h5", ".hdf5", ".fil")
PICTURES = (".png", ".pdf", ".svg")


@command(groups={
    "Signals": ("--signals", "--family", "--snr", "--seed"),
    "Band and instrument": ("--f-min", "--coarse-channels", "--coarse-width", "--spectra", "--ascending",
                            "--gain-spread"),
    "Header": ("--target", "--mjd", "--second"),
    "Sheet": ("--beside",),
})
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.h5|OUT.fil|OUT.png")
@click.option("--signals", type=click.IntRange(0), default=96, show_default=True, metavar="N",
              help="Number of signals.")
@click.option("--family", "families", multiple=True, metavar="NAME",
              help="Family of the signals, or kind of interference. May be repeated. random: another shape for each "
                   "signal. Default: the twelve standard families, or all kinds on a sheet.")
@click.option("--gain-spread", type=click.FloatRange(0, 1), default=0.01, show_default=True, metavar="SHARE",
              help="Relative spread of the gain from spectrum to spectrum. Strong interference causes about 0.08.")
@click.option("--snr", nargs=2, type=float, default=(6.0, 60.0), show_default=True, metavar="LOW HIGH",
              help="Lowest and highest signal-to-noise ratio per bin.")
@click.option("--coarse-channels", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Number of coarse channels.")
@click.option("--coarse-width", type=click.IntRange(4096), default=2**20, show_default=True, metavar="CHANNELS",
              help="Width of a coarse channel, in fine channels.")
@click.option("--spectra", type=click.IntRange(1), default=16, show_default=True, metavar="N",
              help="Number of spectra, of 18.25 s each.")
@click.option("--f-min", type=float, default=1530.0, show_default=True, metavar="MHZ", help="Lower edge of the band.")
@click.option("--ascending", is_flag=True,
              help="Store frequencies in ascending order (foff > 0). Default: descending order, as Breakthrough Listen "
                   "records.")
@click.option("--target", default="SIMULATED", show_default=True, metavar="NAME", help="Value of source_name.")
@click.option("--mjd", type=click.IntRange(1), default=59_000, show_default=True, metavar="DAY",
              help="Day of the start (UTC), as a modified Julian date.")
@click.option("--second", type=click.IntRange(0, 86_399), default=10_000, show_default=True, metavar="S",
              help="Second of that day (UTC) at which the scan starts.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Seed of the random numbers. Another seed gives other noise and signals.")
@click.option("--beside", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="FOLDER",
              help="On a sheet, draw real windows of the same kinds beside the simulated ones. FOLDER holds "
                   "power_ascending.npy and one file labels*.json.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option
def simulate(
    out: Path, signals: int, families: tuple[str, ...], snr: tuple[float, float], coarse_channels: int,
    gain_spread: float, coarse_width: int, spectra: int, f_min: float, ascending: bool, target: str, mjd: int,
    second: int, seed: int, beside: Path | None, force: bool, as_json: bool,
) -> None:
    """Write a filterbank file with known signals.

    The file contains noise and signals. A simulated instrument, similar to that
    of Green Bank, shapes the band. Prints the frequency and time of each signal.
    An existing file is replaced only with --force, since it may be an observation.

    If OUT is a picture (.png, .pdf, .svg), draws a sheet instead: a row of
    waterfalls for each kind of interference. A sheet uses --family, --seed and
    --beside.

    \b
    Examples:
      lookalike simulate scan.h5 --signals 20 --snr 10 30 --seed 1
      lookalike simulate banded.h5 --family banded --family hatching
      lookalike simulate sheet.png --beside labelled_windows
    """
    _check_usage(out, snr, f_min, beside)
    if not force and os.path.lexists(out):
        raise ConfigError(f"{out}: already exists; choose another file, or replace this one with --force")
    if out.suffix.lower() in PICTURES:
        _draw_sheet(out, families, beside, seed)
        return
    import numpy as np

    from pipeline.simulate import FAMILIES, Instrument, fine_header, scatter, simulate_file

    header = fine_header(coarse_channels=coarse_channels, coarse_width=coarse_width, nsamples=spectra, f_min_mhz=f_min,
                         ascending=ascending, source_name=target, mjd=mjd, second=second)
    placed = scatter(np.random.default_rng(seed), header, count=signals, families=families or tuple(FAMILIES), snr=snr,
                     coarse_width=coarse_width)
    with name_unwritable(out):
        truth = simulate_file(out, header, placed, coarse_width=coarse_width, seed=seed,
                              instrument=Instrument(gain_spread=gain_spread))
    if as_json:
        put_json({"file": str(out), "signals": [_record(one) for one in truth]})
    elif truth:
        put("\n".join(map(_line, truth)))


def _check_usage(out: Path, snr: tuple[float, float], f_min: float, beside: Path | None) -> None:
    if out.suffix.lower() not in SUFFIXES + PICTURES:
        raise click.UsageError(f"OUT must end in one of {', '.join(SUFFIXES + PICTURES)}, got {out}")
    if not 0 < snr[0] <= snr[1] < math.inf:
        raise click.UsageError(f"--snr takes two numbers above 0, the lower first, got {snr[0]:g} {snr[1]:g}")
    if not 0 <= f_min < math.inf:
        raise click.UsageError(f"--f-min must be 0 or more, got {f_min:g}")
    if beside is not None and out.suffix.lower() not in PICTURES:
        raise click.UsageError(f"--beside is for a sheet: OUT must end in one of {', '.join(PICTURES)}, got {out}")


def _draw_sheet(out: Path, kinds: tuple[str, ...], beside: Path | None, seed: int) -> None:
    from pipeline.evaluate import draw_sheet
    from pipeline.simulate import KINDS

    put(str(draw_sheet(out, kinds=kinds or tuple(KINDS), beside=beside, seed=seed)))


def _record(truth: Truth) -> dict[str, Any]:
    signal = truth.placed.signal
    traits = signal.traits()
    return {
        "family": signal.name,
        "snr": round(signal.snr, 3),
        "width_hz": round(traits.width_hz, 3),
        "drift_hz_per_s": round(traits.drift_hz_per_s, 6),
        "spacing_hz": round(traits.spacing_hz, 3),
        "lines_per_khz": round(traits.lines_per_khz, 3),
        "envelope": traits.envelope,
        "f_start_mhz": round(truth.f_start_mhz, 9),
        "f_stop_mhz": round(truth.f_stop_mhz, 9),
        "t_start_s": round(truth.t_start_s, 6),
        "t_stop_s": round(truth.t_stop_s, 6),
        "channel_start": truth.channel_start,
        "channel_stop": truth.channel_stop,
        "spectrum_start": truth.spectrum_start,
        "spectrum_stop": truth.spectrum_stop,
    }


def _line(truth: Truth) -> str:
    signal = truth.placed.signal
    return (f"{truth.f_start_mhz:.6f}–{truth.f_stop_mhz:.6f} MHz  {truth.t_start_s:6.1f}–{truth.t_stop_s:6.1f} s  "
            f"SNR {signal.snr:5.1f}  drift {signal.traits().drift_hz_per_s:+.3f} Hz/s  {signal.name}")
