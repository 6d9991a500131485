"""Simulated nights: the same kinds of signals every night, and sometimes a new kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config import Config, EncoderConfig, NightlyConfig, ScanConfig
from pipeline.model import Header
from pipeline.simulate import Axes, Instrument, PlacedSignal, family, fine_header, place_in_window, simulate_file, vary

WIDTH, N_COARSE = 8192, 8
PER_COARSE = WIDTH // 256
KNOWN = ("rising", "falling", "pulsed", "steady")
CONFIG = Config(ScanConfig(coarse_width=WIDTH, views=()), EncoderConfig("power-spectrum"),
                nightly=NightlyConfig(least_earlier=100, novel_share=0.02))
INSTRUMENT = Instrument(edge_depth=0.0, ripple=0.0)


def header(night: int, scan: int) -> Header:
    return fine_header(coarse_channels=N_COARSE, coarse_width=WIDTH, source_name=f"N{night}S{scan}",
                       mjd=59_000 + night, second=10_000 + 400 * scan)


def placed(
    rng: np.random.Generator, like: Header, name: str, windows: Sequence[int], snr: float = 30.0
) -> list[PlacedSignal]:
    """Place variants of one kind of signal in the windows of the given numbers."""
    found = []
    for number in windows:
        signal = replace(vary(rng, family(name)), snr=snr * rng.uniform(0.9, 1.1))
        offset, t_s = place_in_window(rng, signal, Axes.of(like), CONFIG.scan.grid)
        found.append(PlacedSignal(signal, like.channel_edge_mhz(256 * number + offset), t_s))
    return found


def usual_windows(rng: np.random.Generator, count: int) -> list[int]:
    """Draw window numbers. Windows are a few apart, away from edges and DC bins, and at most two share channels."""
    per_coarse = [place for place in range(3, PER_COARSE - 3, 3) if abs(place - PER_COARSE / 2) > 2]
    both = [(coarse, place) for place in per_coarse for coarse in rng.choice(N_COARSE, 4, replace=False)]
    return [coarse * PER_COARSE + place for coarse, place in (both[i] for i in rng.permutation(len(both))[:count])]


def write_scan(folder: Path, night: int, scan: int, others: Sequence[PlacedSignal] = (), count: int = 28) -> Path:
    """Write a scan with ``count`` signals of known kinds, and others."""
    folder.mkdir(parents=True, exist_ok=True)
    like, rng = header(night, scan), np.random.default_rng([night, scan])
    taken = {round((other.f_mhz - like.f_min_mhz) / like.channel_width_mhz) // 256 for other in others}
    windows = [number for number in usual_windows(rng, count) if not taken & {number - 1, number, number + 1}]
    usual = [each for i, number in enumerate(windows) for each in placed(rng, like, KNOWN[i % len(KNOWN)], [number])]
    path = folder / f"n{night}s{scan}.h5"
    simulate_file(path, like, [*usual, *others], coarse_width=WIDTH, instrument=INSTRUMENT, seed=100 * night + scan)
    return path
