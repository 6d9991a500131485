"""Whole filterbank files with known signals in them."""

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
from pipeline.simulate.instrument import GREEN_BANK, Instrument, keep_mantissa, noise
from pipeline.simulate.population import random_signal
from pipeline.simulate.signals import FINE, Axes, Signal
from pipeline.simulate.windows import FINE_GRID, place_in_window

COARSE_WIDTH = 2**20
"""Fine channels a coarse channel of the fine product."""

RANDOM = "random"
_SLOT_WINDOWS = 4  # a scattered signal keeps this many windows for itself


@dataclass(frozen=True, slots=True)
class Placed:
    """A signal and where in a file it is."""

    signal: Signal
    f_mhz: float
    """Frequency of its lowest line at ``t_s``."""
    t_s: float = 0.0
    """Its zero of time, in seconds after the first spectrum."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What became of a placed signal: the bins in which it reaches a tenth of its brightest one."""

    placed: Placed
    channel_start: int
    """Ascending fine channel."""
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
    """Header of a file of the fine product, by default one coarse channel of Green Bank's L band.

    Parameters
    ----------
    f_min_mhz : float
        Lower edge of the lowest channel.
    ascending : bool
        Sign of ``foff``: Breakthrough Listen's files run down in frequency.
    mjd, second : int
        UTC day and second of the first spectrum.
    """
    nchans = coarse_channels * coarse_width
    width_mhz = axes.channel_width_hz * 1e-6
    first = f_min_mhz + width_mhz * (0.5 if ascending else nchans - 0.5)
    return Header(
        fch1_mhz=first,
        foff_mhz=width_mhz if ascending else -width_mhz,
        nchans=nchans,
        nifs=1,
        nbits=32,
        tsamp_s=axes.tsamp_s,
        nsamples=nsamples,
        tstart_mjd=mjd + second / SECONDS_PER_DAY,
        source_name=source_name,
        telescope_id=telescope_id,
        machine_id=20,
        ra_hours=15.78,
        dec_deg=34.9,
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
) -> list[Placed]:
    """Draw ``count`` signals over a file, the families in turn, each within one window of the grid.

    The family :data:`RANDOM` is another random signal each time, as training sees them.

    They keep three windows' distance from one another, and clear of coarse-channel edges and DC bins. In a
    file of several time blocks all but bursts go on before and after their window.

    Raises
    ------
    ConfigError
        Where the file has no room for so many.
    """
    axes = Axes.of(header)
    kinds = [None if name == RANDOM else family(name, also=[RANDOM]) for name in families]
    slots = _free_slots(header, coarse_width, grid)
    if count > len(slots):
        raise ConfigError(f"{count} signals do not fit a file that has room for {len(slots)}; ask for fewer")
    placed = []
    for i, slot in enumerate(rng.choice(len(slots), count, replace=False)):
        block, channel = slots[slot]
        signal = vary(rng, kinds[i % len(kinds)] or random_signal(rng, RANDOM), snr)
        offset, t_s = place_in_window(rng, signal, axes, grid)
        placed.append(
            Placed(
                signal,
                header.channel_edge_mhz(channel + offset),
                block * grid.integrations * header.tsamp_s + t_s,
            )
        )
    return placed


def simulate_file(
    path: str | Path,
    header: Header,
    placed: Sequence[Placed] = (),
    *,
    coarse_width: int = COARSE_WIDTH,
    instrument: Instrument = GREEN_BANK,
    seed: int = 0,
) -> list[Truth]:
    """Write a file of noise, instrument and signals, one coarse channel after the other.

    Memory is bounded by one coarse channel of all spectra. The same arguments give the same samples.

    Parameters
    ----------
    path : path
        ``.h5`` or ``.fil``.
    header : Header
        As of :func:`fine_header`; its band is cut into coarse channels of ``coarse_width``.

    Returns
    -------
    list of Truth
        One for each placed signal that lies in the band, in the order given.

    Raises
    ------
    ConfigError
        Where the band is not a whole number of coarse channels.
    """
    if header.nchans % coarse_width:
        raise ConfigError(f"{header.nchans} channels are no multiple of the coarse width {coarse_width}")
    gains = instrument.row_gains(np.random.default_rng([seed, 0]), header.nsamples)
    footprints: list[Footprint | None] = [None] * len(placed)
    with FilterbankWriter(Path(path), header, chunk=(1, min(coarse_width, COARSE_WIDTH))) as writer:
        for i in range(header.nchans // coarse_width):
            rng = np.random.default_rng([seed, 1, i])
            start = i * coarse_width
            power = noise(rng, (header.nsamples, coarse_width), Axes.of(header))
            _add_signals(power, placed, footprints, header, start, rng)
            _through_instrument(power, instrument, gains, ascending=header.foff_mhz > 0)
            writer.write(0, start, power)
    pairs = zip(placed, footprints, strict=True)
    return [_truth(header, one, seen) for one, seen in pairs if seen is not None]


def _free_slots(header: Header, coarse_width: int, grid: WindowGrid) -> list[tuple[int, int]]:
    """(time block, first channel) of windows that signals may be put in."""
    slots = []
    margin = coarse_width // 32
    for block in range(header.nsamples // grid.integrations):
        for low in range(0, header.nchans, coarse_width):
            for offset in range(0, coarse_width - grid.channels + 1, _SLOT_WINDOWS * grid.step):
                inside = margin <= offset < coarse_width - margin - grid.channels
                if inside and abs(offset + grid.channels // 2 - coarse_width // 2) > 2 * grid.channels:
                    slots.append((block, low + offset))
    return slots


def _add_signals(
    power: NDArray[np.float32],
    placed: Sequence[Placed],
    footprints: list[Footprint | None],
    header: Header,
    start: int,
    rng: np.random.Generator,
) -> None:
    """Add to the coarse channel that begins at ``start`` what of the signals lies in it, and note where."""
    axes = Axes.of(header)
    for k, one in enumerate(placed):
        channel = header.channel_at(one.f_mhz) - start
        seen = add_signal(power, one.signal, axes=axes, channel=channel, t_s=one.t_s, rng=rng)
        if seen is None:
            continue
        seen = seen.shifted(start)
        before = footprints[k]
        footprints[k] = seen if before is None else before | seen


def _through_instrument(
    power: NDArray[np.float32], instrument: Instrument, gains: NDArray[np.float32], *, ascending: bool
) -> None:
    """Give mean-1 power of one coarse channel its DC spike, band shape, row gains and level, in place."""
    width = power.shape[1]
    if instrument.dc_spike > 0:
        power[:, width // 2 if ascending else width - 1 - width // 2] *= 1 + instrument.dc_spike
    power *= instrument.band_shape(width) * np.float32(instrument.level)
    power *= gains[:, None]
    keep_mantissa(power, instrument.mantissa_bits)


def _truth(header: Header, placed: Placed, seen: Footprint) -> Truth:
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
