"""Simulated files that hold patterns of many sizes, and the windows that a scan keeps of them in each view."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.evaluate.sets import HELD_OUT
from pipeline.filterbank import Filterbank, open_filterbank
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import measure
from pipeline.grid.coarse_layout import coarse_layout
from pipeline.grid.cutouts import power_of_cutouts
from pipeline.grid.tiling import Tiling
from pipeline.scan import AveragedFile, cut_windows, levels_of_channels, scan, tiling_of
from pipeline.search.frequency_range import Range, window_starts
from pipeline.search.views import view_of_range
from pipeline.simulate import (
    FINE,
    Axes,
    Envelope,
    Instrument,
    PlacedSignal,
    Signal,
    Truth,
    add_signal,
    fine_header,
    log_uniform,
    simulate_file,
)
from pipeline.views import AUTO, PLAIN, View, views_of

KINDS_OF_SIZE = ("comb", "hump", "burst", "drift")
"""Kinds of patterns that are drawn in many sizes."""
SNR = (6.0, 60.0)
"""Range of the SNR per bin of the view through which a pattern is searched for."""
MAX_DRIFT_HZ_PER_S = 20.0
"""Fastest drift of a pattern of the fine and the medium product."""
GREEN_BANK, LEVEL_BAND = Instrument(), Instrument(edge_depth=0, ripple=0, dc_spike=0)
_CONFIG = ScanConfig(views=(AUTO,), window_is_given=True, channel_levels=True, band_template=True)
_LINES, _PULSES = 6, 3
_MAX_SPACING_CHANNELS = 540  # 1.5 kHz in the fine product
_VARIETY = 0.1


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a pattern."""

    width_hz: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Product:
    """A kind of file, and the patterns that are drawn into it."""

    name: str
    axes: Axes
    channels: int
    """Channels of a file. They are the coarse channels of the fine product, or whole ones of another."""
    spectra: int
    coarse_width: int | None
    """Channels in a coarse channel; None if the band has none."""
    sizes: tuple[Size, ...]
    apart: int
    """Channels left free beside each pattern."""
    instrument: Instrument = GREEN_BANK
    max_drift_hz_per_s: float = MAX_DRIFT_HZ_PER_S

    @property
    def duration_s(self) -> float:
        """Length of a file."""
        return self.spectra * self.axes.tsamp_s


_MEDIUM = Axes(187.5e6 / 2**16, 1.073741824)
_FAST = Axes(187.5e6 / 2**9, 349.525e-6)

PRODUCTS = (
    Product(".0000", FINE, 2**20, 16, 2**20, tuple(Size(hz, 16 * FINE.tsamp_s) for hz in (200, 700, 3e3, 11e3, 40e3)),
            8192),
    Product(".0001", _FAST, 4096, 1024, None, tuple(Size(2e7, s) for s in (2e-3, 6e-3, 22e-3, 90e-3)),
            300, LEVEL_BAND, 1e12),
    Product(".0002", _MEDIUM, 2**14, 560, 2**10, tuple(Size(4e4, s) for s in (5, 17, 70, 270, 600)),
            300),
)
"""Products of Breakthrough Listen: the finest in frequency, the finest in time, and the one between them. The coarse
channels of the second one are narrower than a window. So its band is searched as one piece; here, that band is level.
"""


@dataclass(frozen=True, slots=True)
class Member:
    """One pattern of a file, and the windows that show it."""

    kind: str
    size: Size
    view: View
    """View through which it is searched for."""
    asks: NDArray[np.uint8]
    """(n, 16, 256) Cutouts of the windows that make up a query for the pattern."""
    kept: Mapping[View, NDArray[np.uint8]]
    """View → (m, 16, 256) cutouts that a scan keeps of it; maybe none."""


@dataclass(frozen=True, slots=True)
class Sky:
    """All patterns of a product, and the windows that were kept beside them."""

    product: str
    members: Sequence[Member]
    others: Mapping[View, NDArray[np.uint8]]
    """View → (n, 16, 256) cutouts of kept windows that overlap no pattern."""


def simulate_sky(product: Product, members: int, *, seed: int = 0) -> Sky:
    """Simulate files of a product with some patterns of each kind and size, and scan them through all of their views.

    Parameters
    ----------
    product : Product
    members : int
        Patterns of each kind and size.
    seed : int
        Seed of patterns, positions and noise.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 6])
    wanted = [(kind, size) for kind in KINDS_OF_SIZE for size in product.sizes for _ in range(members)
              if _fits(kind, size, product)]
    header = fine_header(coarse_width=product.channels, nsamples=product.spectra, axes=product.axes)
    tiling = Tiling(header, _CONFIG.grid, coarse_layout(
        header, window_channels=_CONFIG.window, width=_CONFIG.coarse_width, window_is_given=True))
    found: list[Member] = []
    others: dict[View, list[NDArray[np.uint8]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for k, share in enumerate(_shares([wanted[i] for i in rng.permutation(len(wanted))], product)):
            path = Path(folder) / "sky.fil"
            truth = simulate_file(path, header, _place(rng, share, product, tiling),
                                  coarse_width=product.coarse_width or product.channels,
                                  instrument=product.instrument, seed=seed + k)
            members_here, others_here = _scanned(path, share, truth)
            found += members_here
            for view, cutouts in others_here.items():
                others.setdefault(view, []).append(cutouts)
    return Sky(product.name, found, {view: np.concatenate(parts) for view, parts in others.items()})


def _fits(kind: str, size: Size, product: Product) -> bool:
    """Tell whether a pattern of this size exists: drifts have a limit, and a burst needs a spectrum for each pulse."""
    if kind == "drift":
        return size.width_hz <= 2 * product.max_drift_hz_per_s * size.duration_s
    return kind != "burst" or size.duration_s >= 2 * _PULSES * product.axes.tsamp_s


def pattern(kind: str, size: Size, product: Product) -> Signal:
    """Return the pattern of a kind that fills a size."""
    channel_hz, is_short = product.axes.channel_width_hz, size.duration_s < product.duration_s
    envelope = Envelope("burst", size.duration_s, 1.0) if is_short else Envelope()
    match kind:
        case "comb":
            lines = max(_LINES, ceil(size.width_hz / (_MAX_SPACING_CHANNELS * channel_hz)) + 1)
            strengths = tuple((0.7, 1.0, 0.8)[k % 3] for k in range(lines))
            return Signal(kind, width_hz=channel_hz, spacing_hz=size.width_hz / (lines - 1), amplitudes=strengths,
                          envelope=envelope)
        case "hump":
            return Signal(kind, width_hz=size.width_hz / 2.5, envelope=envelope)
        case "burst":  # pulses with a box profile; the time off after the last one is longer than any file
            dashes = (1, 0) * (_PULSES - 1) + (1,) + (0,) * 4096
            return Signal(kind, width_hz=size.width_hz, profile="box",
                          envelope=Envelope("dashes", size.duration_s / (2 * _PULSES - 1), dashes=dashes))
    drift = min(size.width_hz / size.duration_s, product.max_drift_hz_per_s)
    return Signal(kind, width_hz=1.5 * channel_hz, drift_hz_per_s=-drift, envelope=envelope)


def _varied(rng: np.random.Generator, one: Signal) -> Signal:
    width, spacing, drift = rng.uniform(1 - _VARIETY, 1 + _VARIETY, 3)
    return replace(one, width_hz=one.width_hz * width, spacing_hz=one.spacing_hz * spacing,
                   drift_hz_per_s=one.drift_hz_per_s * drift)


def _shares(
    patterns: Sequence[tuple[str, Size]], product: Product
) -> Iterator[list[tuple[str, Size]]]:
    """Divide patterns among files, as many as have room in each."""
    whole = product.channels * 15 // 16
    share, room = list[tuple[str, Size]](), whole
    for one in patterns:
        taken = _room(one[1], product)
        if taken > room:
            yield share
            share, room = [], whole
        share.append(one)
        room -= taken
    yield share


def _room(size: Size, product: Product) -> int:
    """Return the channels that are set aside for a pattern, which may be a little wider than its size."""
    return product.apart + ceil(1.3 * size.width_hz / product.axes.channel_width_hz)


def _place(
    rng: np.random.Generator, patterns: Sequence[tuple[str, Size]], product: Product, tiling: Tiling
) -> list[PlacedSignal]:
    """Place patterns side by side in a file, at random times, and choose their strength for the view that asks."""
    placed, channel = [], product.channels // 32
    for kind, size in patterns:
        view = view_asked(size.width_hz, size.duration_s, tiling)
        one = _varied(rng, pattern(kind, size, product))
        one = replace(one, snr=log_uniform(rng, *SNR) / gain_of_view(one, view, product.axes, rng))
        low_hz = one.extent_hz(0, size.duration_s)[0]
        at_hz = (channel + rng.uniform(0.4, 0.6) * product.apart) * product.axes.channel_width_hz - low_hz
        placed.append(PlacedSignal(one, tiling.header.f_min_mhz + at_hz * 1e-6,
                                   rng.uniform(0, max(0.0, product.duration_s - size.duration_s))))
        channel += _room(size, product)
    return placed


def gain_of_view(one: Signal, view: View, axes: Axes, rng: np.random.Generator) -> float:
    """Return the SNR of a pattern's brightest bin in a view, relative to the plain view. It is measured in a drawing.
    """
    strong = replace(one, snr=1e6)  # so strong that its own noise does not matter
    low_hz, high_hz = one.extent_hz(0, 0)
    drifts = abs(one.drift_hz_per_s) * axes.tsamp_s * 16 * view.time
    columns = ceil((high_hz - low_hz + drifts) / axes.channel_width_hz / view.frequency + 2) * view.frequency
    image = np.zeros((16 * view.time, columns), np.float32)
    start = (max(0.0, drifts if one.drift_hz_per_s < 0 else 0) - low_hz) / axes.channel_width_hz + view.frequency
    add_signal(image, strong, axes=axes, channel=start, rng=rng)
    averaged = image.reshape(16, view.time, -1, view.frequency).mean(axis=(1, 3))
    return float(averaged.max() / image.max() * view.pixels**0.5)


def view_asked(width_hz: float, duration_s: float, tiling: Tiling) -> View:
    """Return the view through which a pattern is searched for.

    It is the view that a search chooses for a range of this width and duration.
    """
    header = tiling.header
    wanted = Range(header.f_min_mhz, header.f_min_mhz + width_hz * 1e-6, 0.0, duration_s)
    return view_of_range(wanted, tiling, views_of((AUTO,), header, tiling.coarse, tiling.grid))


def _scanned(
    path: Path, patterns: Sequence[tuple[str, Size]], truth: Sequence[Truth]
) -> tuple[list[Member], dict[View, NDArray[np.uint8]]]:
    """Scan a file. Return its patterns, and the cutouts of windows that were kept beside them, by view."""
    with open_filterbank(path) as filterbank:
        plain = tiling_of(filterbank, _CONFIG)
        kept = _kept(filterbank, plain)
        others = {view: np.ones(len(cutouts), np.bool_) for view, (_, cutouts) in kept.items()}
        members = []
        for (kind, size), seen in zip(patterns, truth, strict=True):
            view = view_asked((seen.f_stop_mhz - seen.f_start_mhz) * 1e6, seen.t_stop_s - seen.t_start_s, plain)
            shows = {one: _shows(windows, seen) for one, (windows, _) in kept.items()}
            for one, here in shows.items():
                others[one] &= ~here
            members.append(Member(kind, size, view, _asked(filterbank, plain, view, seen),
                                  {one: kept[one][1][here] for one, here in shows.items()}))
    return members, {view: kept[view][1][is_other] for view, is_other in others.items()}


def _kept(
    filterbank: Filterbank, plain: Tiling
) -> dict[View, tuple[NDArray[np.float64], NDArray[np.uint8]]]:
    """Scan a file; return the kept windows of each view: edges in MHz and seconds (n, 4), and cutouts (n, 16, 256)."""
    results = list(scan(filterbank, plain, range(plain.n_coarse), _CONFIG))
    kept = {}
    for view in (PLAIN, *views_of(_CONFIG.views, plain.header, plain.coarse, plain.grid)):
        tiling, of_view = plain.seen_through(view), [one.windows for one in results if one.view == view.name]
        windows = [tiling.window("", int(number)) for one in of_view for number in one["number"]]
        edges = [(one.f_start_mhz, one.f_stop_mhz, one.t_start_s, one.t_stop_s) for one in windows]
        kept[view] = (np.array(edges, np.float64).reshape(-1, 4),
                      np.concatenate([np.asarray(one["cutout"], np.uint8) for one in of_view]))
    return kept


def _shows(windows: NDArray[np.float64], seen: Truth) -> NDArray[np.bool_]:
    """Tell which windows overlap a pattern."""
    overlaps: NDArray[np.bool_] = ((windows[:, 0] < seen.f_stop_mhz) & (windows[:, 1] > seen.f_start_mhz)
                                   & (windows[:, 2] < seen.t_stop_s) & (windows[:, 3] > seen.t_start_s))
    return overlaps


def _asked(filterbank: Filterbank, plain: Tiling, view: View, seen: Truth) -> NDArray[np.uint8]:
    """Cut the windows with which a search for the range of a pattern begins: those in which the gate sees a signal."""
    tiling = plain.seen_through(view)
    block_s = tiling.grid.integrations * tiling.header.tsamp_s
    blocks = range(int(seen.t_start_s / block_s), min(tiling.n_blocks, ceil(seen.t_stop_s / block_s)))
    starts = window_starts(tiling, seen.f_start_mhz, seen.f_stop_mhz)
    file = filterbank if view == PLAIN else AveragedFile(filterbank, view, tiling.grid.integrations)
    levels = levels_of_channels(filterbank, plain, {tiling.coarse_at(start) for start in starts}, _CONFIG)
    cutouts, spreads = cut_windows(file, tiling, [(block, start) for block in blocks for start in starts], levels)
    passes = np.array([_passes(cutout, float(spread)) for cutout, spread in zip(cutouts, spreads, strict=True)], bool)
    return cutouts[passes] if passes.any() else cutouts


def _passes(cutout: NDArray[np.uint8], spread: float) -> bool:
    power = power_of_cutouts(cutout[None], 1.0, spread)[0].astype(np.float32)
    flat = FlattenedChannel.from_flat(np.where(cutout > 0, power, np.float32(0)), spread**-2)
    return bool(measure(flat, np.zeros(1, np.int64), _CONFIG.grid, _CONFIG.false_alarm).keep[0])
