"""Simulation of filterbank files with known signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.filterbank import FilterbankWriter
from pipeline.model import SECONDS_PER_DAY, Header, WindowGrid
from pipeline.simulate.draw import Footprint, add_signal
from pipeline.simulate.families import FAMILIES, family, vary
from pipeline.simulate.instrument import GREEN_BANK, Instrument, noise, round_mantissa
from pipeline.simulate.kinds import KINDS, random_pattern
from pipeline.simulate.paint import add_pattern_at
from pipeline.simulate.patterns import Pattern, stretched, vary_pattern
from pipeline.simulate.population import random_signal
from pipeline.simulate.signals import FINE, Axes, Signal
from pipeline.simulate.windows import FINE_GRID, place_in_window

COARSE_WIDTH = 2**20
"""Number of fine channels per coarse channel of the fine product."""

RANDOM = "random"
"""Name of a family in which each member is a new random signal."""
_WINDOWS_PER_SLOT = 4  # no other signal is put into these windows


@dataclass(frozen=True, slots=True)
class PlacedSignal:
    """A signal or a pattern, and its position in a file."""

    signal: Signal | Pattern
    f_mhz: float
    """Frequency of the lowest line at ``t_s``; for a pattern, its lower edge."""
    t_s: float = 0.0
    """Time 0 of the signal, or the start of the pattern, in seconds after the start of the first spectrum."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The bins in which a placed signal reaches a tenth of its brightest bin. Each ``stop`` is exclusive."""

    placed: PlacedSignal
    channel_start: int
    """Fine channel, counted in ascending frequency."""
    channel_stop: int
    spectrum_start: int
    spectrum_stop: int
    f_start_mhz: float
    """Lower edge of the first channel."""
    f_stop_mhz: float
    """Upper edge of the last channel."""
    t_start_s: float
    t_stop_s: float


def fine_header(
    *,
    coarse_channels: int = 1,
    coarse_width: int = COARSE_WIDTH,
    nsamples: int = 16,
    f_min_mhz: float = 1530.0,
    ascending: bool = False,
    telescope_id: int = 6,
    source_name: str = "SIMULATED",
    mjd: int = 59_000,
    second: int = 10_000,
    axes: Axes = FINE,
) -> Header:
    """Make the header of a file of the fine product; by default, one coarse channel of Green Bank's L band.

    Parameters
    ----------
    coarse_channels, coarse_width : int
        Number of coarse channels, and of fine channels in each.
    nsamples : int
        Number of spectra.
    f_min_mhz : float
        Lower edge of the lowest channel.
    ascending : bool
        True for a positive ``foff``. Files of Breakthrough Listen have a negative one.
    telescope_id : int
        SIGPROC's number of the telescope; 6 is Green Bank.
    source_name : str
        Name of the target.
    mjd, second : int
        UTC day and second of the first spectrum.
    axes : Axes
        Resolution of the product.
    """
    nchans = coarse_channels * coarse_width
    width_mhz = axes.channel_width_hz * 1e-6
    first = f_min_mhz + width_mhz * (0.5 if ascending else nchans - 0.5)
    return Header(
        fch1_mhz=first,
        foff_mhz=width_mhz if ascending else -width_mhz,
        nchans=nchans, nifs=1, nbits=32,
        tsamp_s=axes.tsamp_s,
        nsamples=nsamples,
        tstart_mjd=mjd + second / SECONDS_PER_DAY,
        source_name=source_name,
        telescope_id=telescope_id,
        machine_id=20,
        ra_hours=15.78, dec_deg=34.9,
        rawdatafile=f"guppi_{mjd}_{second:05d}_{source_name}_0001.0000.raw",
    )


def scatter(
    rng: np.random.Generator,
    header: Header,
    *,
    count: int,
    families: Sequence[str] = tuple(FAMILIES),
    snr: tuple[float, float] = (6.0, 60.0),
    coarse_width: int = COARSE_WIDTH,
    grid: WindowGrid = FINE_GRID,
) -> list[PlacedSignal]:
    """Place ``count`` signals at random in a file, each within one window of the grid.

    Signals are at least three windows apart, and avoid DC bins and the edges of coarse channels. In a file of several
    time blocks, signals other than bursts continue before and after their window.

    Parameters
    ----------
    rng : Generator
    header : Header
        Header of the file.
    count : int
        Number of signals.
    families : sequence of str
        Families to take in turn. :data:`RANDOM` stands for another random signal each time, drawn as for training, and
        a name in :data:`~pipeline.simulate.KINDS` for another pattern of that kind.
    snr : (float, float)
        Range of the SNR per bin.
    coarse_width : int
        Fine channels per coarse channel.
    grid : WindowGrid
        Shape of the windows.

    Returns
    -------
    list of PlacedSignal

    Raises
    ------
    ConfigError
        The file has room for fewer signals, or a family does not exist.
    """
    for name in families:
        if name != RANDOM and name not in KINDS:
            family(name, also=[RANDOM, *KINDS])
    slots = _free_slots(header, coarse_width, grid)
    if count > len(slots):
        raise ConfigError(f"{count} signals do not fit into a file that has room for {len(slots)}; ask for fewer")
    placed = []
    for i, slot in enumerate(rng.choice(len(slots), count, replace=False)):
        name = families[i % len(families)]
        if name in KINDS:
            pattern = vary_pattern(rng, stretched(random_pattern(rng, name), *_per_fine_bin(header)), snr)
            placed.append(_place(rng, header, pattern, slots[slot], grid))
            continue
        signal = vary(rng, random_signal(rng, RANDOM) if name == RANDOM else family(name), snr)
        placed.append(_place(rng, header, signal, slots[slot], grid))
    return placed


def _place(
    rng: np.random.Generator, header: Header, signal: Signal | Pattern, slot: tuple[int, int], grid: WindowGrid
) -> PlacedSignal:
    """Place a signal at random into the window of a slot, as :func:`_free_slots` lists them."""
    block, channel = slot
    start_s = block * grid.integrations * header.tsamp_s
    if isinstance(signal, Pattern):
        return PlacedSignal(signal, header.channel_edge_mhz(channel), start_s)
    offset, t_s = place_in_window(rng, signal, Axes.of(header), grid)
    return PlacedSignal(signal, header.channel_edge_mhz(channel + offset), start_s + t_s)


def _per_fine_bin(header: Header) -> tuple[float, float]:
    """Return the size of a bin relative to that of the fine product, in frequency and in time."""
    return header.channel_width_mhz * 1e6 / FINE.channel_width_hz, header.tsamp_s / FINE.tsamp_s


def simulate_file(
    path: str | Path,
    header: Header,
    placed: Sequence[PlacedSignal] = (),
    *,
    coarse_width: int = COARSE_WIDTH,
    instrument: Instrument = GREEN_BANK,
    seed: int = 0,
) -> list[Truth]:
    """Write a file of noise and signals, seen through an instrument, one coarse channel after the other.

    At most one coarse channel (all spectra) is in memory. The same arguments give the same samples.

    Parameters
    ----------
    path : path
        Path of the file to write, ``.h5`` or ``.fil``.
    header : Header
        Header of the file, for example from :func:`fine_header`.
    placed : sequence of PlacedSignal
        Signals to add.
    coarse_width : int
        Fine channels per coarse channel.
    instrument : Instrument
        The receiver's properties.
    seed : int
        Seed of the noise.

    Returns
    -------
    list of Truth
        One for each placed signal that lies in the band, in the order of ``placed``.

    Raises
    ------
    ConfigError
        The number of channels is not a multiple of ``coarse_width``.
    """
    if header.nchans % coarse_width:
        raise ConfigError(f"{header.nchans} channels are not a multiple of the coarse width {coarse_width}")
    gains = instrument.row_gains(np.random.default_rng([seed, 0]), header.nsamples)
    footprints: list[Footprint | None] = [None] * len(placed)
    with FilterbankWriter(Path(path), header, chunk=(1, min(coarse_width, COARSE_WIDTH))) as writer:
        for i, start in enumerate(range(0, header.nchans, coarse_width)):
            rng = np.random.default_rng([seed, 1, i])
            power = noise(rng, (header.nsamples, coarse_width), Axes.of(header))
            _add_signals(power, placed, footprints, header, start, rng)
            _apply_instrument(power, instrument, gains, ascending=header.foff_mhz > 0)
            writer.write(0, start, power)
    return [_make_truth(header, one, seen) for one, seen in zip(placed, footprints, strict=True) if seen is not None]


def _free_slots(header: Header, coarse_width: int, grid: WindowGrid) -> list[tuple[int, int]]:
    """List the windows into which signals may be placed, as (time block, first channel)."""
    slots = []
    margin = coarse_width // 32
    for block in range(header.nsamples // grid.integrations):
        for low in range(0, header.nchans, coarse_width):
            for offset in range(0, coarse_width - grid.channels + 1, _WINDOWS_PER_SLOT * grid.step):
                inside = margin <= offset < coarse_width - margin - grid.channels
                if inside and abs(offset + grid.channels // 2 - coarse_width // 2) > 2 * grid.channels:
                    slots.append((block, low + offset))
    return slots


def _add_signals(
    power: NDArray[np.float32],
    placed: Sequence[PlacedSignal],
    footprints: list[Footprint | None],
    header: Header,
    start: int,
    rng: np.random.Generator,
) -> None:
    """Add all signals to the coarse channel that begins at channel ``start``, and extend their ``footprints``."""
    axes = Axes.of(header)
    for k, one in enumerate(placed):
        channel = header.channel_at(one.f_mhz) - start
        if isinstance(one.signal, Pattern):
            seen = add_pattern_at(power, one.signal, axes=axes, channel=channel, t_s=one.t_s, rng=rng)
        else:
            seen = add_signal(power, one.signal, axes=axes, channel=channel, t_s=one.t_s, rng=rng)
        if seen is None:
            continue
        seen = seen.shifted(start)
        before = footprints[k]
        footprints[k] = seen if before is None else before | seen


def _apply_instrument(
    power: NDArray[np.float32], instrument: Instrument, gains: NDArray[np.float32], *, ascending: bool
) -> None:
    """Apply DC spike, band shape, row gains and level to the mean-1 power of one coarse channel, in place."""
    width = power.shape[1]
    if instrument.dc_spike > 0:
        power[:, width // 2 if ascending else width - 1 - width // 2] *= 1 + instrument.dc_spike
    power *= instrument.band_shape(width) * np.float32(instrument.level)
    power *= gains[:, None]
    round_mantissa(power, instrument.mantissa_bits)


def _make_truth(header: Header, placed: PlacedSignal, seen: Footprint) -> Truth:
    return Truth(
        placed,
        seen.channel_start,
        seen.channel_stop,
        seen.spectrum_start,
        seen.spectrum_stop,
        header.channel_edge_mhz(seen.channel_start),
        header.channel_edge_mhz(seen.channel_stop),
        seen.spectrum_start * header.tsamp_s,
        seen.spectrum_stop * header.tsamp_s,
    )
