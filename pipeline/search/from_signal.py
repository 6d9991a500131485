"""Queries from a description of a signal: it is simulated with the channels and spectra that the corpus has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import ConfigError, ParameterError, QueryError, parameter
from pipeline.model import Header
from pipeline.search.description import QueryDescription
from pipeline.search.draft import Draft
from pipeline.search.encoder import count_vectors
from pipeline.search.from_power import cut_array, positions_of
from pipeline.search.query import Query, find_signals, find_usable
from pipeline.search.request_json import signal_to_json
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.records import record_of
from pipeline.views import PLAIN, View

if TYPE_CHECKING:
    from pipeline.simulate import Axes, Signal

# pipeline.simulate loads numba and scipy, so it is imported only where a signal is simulated.

MAX_WINDOWS_ACROSS = 16
"""Largest number of windows side by side in which a signal is simulated. What is beyond them is left out."""
MAX_DRAWN_ACROSS = 1024
"""Largest width of a signal in windows. A wider one would take too much memory, although only its middle is used."""
MAX_DRAWN_MOMENTS = 1 << 22
"""Largest number of moments at which the lines of a signal are drawn, all together."""
MAX_NUMBER, MIN_PERIOD_S = 1e9, 1e-6
"""Largest number of a signal in any unit, and shortest period."""
_PERIODS = frozenset({"period_s", "path.period_s"})
_POSITIVE = _PERIODS | {"snr", "width_hz", "duty"}
UNNAMED = "signal"
"""Name of a signal that is described without a family."""
SEED = 0
"""Seed of the noise of a simulated query, so that the same signal always finds the same."""


def signal_of(given: Any) -> Signal:
    """Make a signal of its description.

    Parameters
    ----------
    given : Signal or mapping
        A mapping has the names of the fields of ``Signal``. ``family`` names a signal whose properties are the
        defaults; ``lines`` is short for that many equal lines.

    Raises
    ------
    ParameterError
        A name is unknown, or a value has the wrong type or cannot be used.
    """
    from pipeline.simulate import Signal, family

    if isinstance(given, Signal):
        signal = given
    elif isinstance(given, Mapping):
        values = dict(given)
        name, lines = values.pop("family", None), values.pop("lines", None)
        try:
            if not isinstance(name, str | None):
                raise ValueError(f"family must be a name, got {name!r}")
            begin = signal_to_json(family(name)) if name is not None else {"name": UNNAMED}
            if lines is not None:
                values.setdefault("amplitudes", [1.0] * _count(lines))
            signal = record_of(Signal, {**begin, **values})
        except (ValueError, ConfigError) as error:
            is_unknown = values.keys() - {field.name for field in fields(Signal)}
            beside = "; family and lines may be given, too" if is_unknown else ""
            raise ParameterError(f"{parameter('signal')}: {error}{beside}") from error
    else:
        raise ParameterError(f"{parameter('signal')} must be a Signal or a mapping of its fields, got {given!r}")
    if fault := _fault(signal):
        raise ParameterError(f"{parameter('signal')}: {fault}")
    return signal


def _count(lines: Any) -> int:
    if isinstance(lines, bool) or not isinstance(lines, int) or not 1 <= lines <= 1000:
        raise ValueError(f"lines must be a whole number from 1 to 1000, got {lines!r}")
    return lines


def _fault(signal: Signal) -> str:
    """Return what is wrong with the values of a signal, as words; empty if nothing is."""
    numbers = _numbers(signal)
    for name, value in numbers.items():
        if name in _POSITIVE and not value > 0:
            return f"{name} must be above 0, got {value:g}"
        if name in _PERIODS and value < MIN_PERIOD_S:
            return f"{name} must be at least {MIN_PERIOD_S:g} s, got {value:g}"
    rest = {name: value for name, value in numbers.items() if name not in _PERIODS}
    if not all(map(math.isfinite, rest.values())):
        return "all numbers but periods must be finite"
    for name, value in rest.items():
        if abs(value) > MAX_NUMBER:
            return f"{name} must be from -{MAX_NUMBER:g} to {MAX_NUMBER:g}, got {value:g}"
    if not signal.amplitudes or min(signal.amplitudes) < 0 or not max(signal.amplitudes) > 0:
        return f"amplitudes must be numbers from 0 on, at least one of them above 0, got {signal.amplitudes}"
    if len(signal.amplitudes) > 1 and not signal.spacing_hz:
        return f"several lines need {parameter('spacing_hz')}, their distance"
    if signal.envelope.kind == "dashes" and not signal.envelope.dashes:
        return "an envelope of dashes needs dashes"
    return ""


def _numbers(part: Any, before: str = "") -> dict[str, float]:
    """Return each number of a signal, of its path and of its envelope under its name."""
    out: dict[str, float] = {}
    for field in fields(part):
        name, value = before + field.name, getattr(part, field.name)
        if is_dataclass(value):
            out |= _numbers(value, f"{name}." if field.name == "path" else before)
        elif isinstance(value, tuple):
            out |= {f"{name}[{i}]": one for i, one in enumerate(value)}
        elif not isinstance(value, str):
            out[name] = value
    return out


def _check_size(signal: Signal, axes: Axes, spectra: int, t_s: float, across: float, channels: int) -> None:
    """Raise :class:`QueryError` if a signal would take too much memory or time to draw.

    Parameters
    ----------
    across : float
        Number of windows of ``channels`` channels that it is wide.
    """
    from pipeline.simulate import moments_of

    if not across <= MAX_DRAWN_ACROSS:
        raise QueryError(f"the simulated signal is {across * channels * axes.channel_width_hz / 1e6:.4g} MHz wide, and "
                         f"at most {MAX_DRAWN_ACROSS * channels * axes.channel_width_hz / 1e6:.4g} MHz can be "
                         "simulated; give it less drift, width or spacing, or fewer lines")
    drawn = moments_of(signal, axes, spectra, t_s) * spectra * len(signal.amplitudes)
    changes = spectra * axes.tsamp_s / min(signal.path.period_s, signal.envelope.period_s)
    if max(drawn, changes) > MAX_DRAWN_MOMENTS:
        raise QueryError("the simulated signal changes too fast to be simulated; give it longer periods, less drift or "
                         "fewer lines")


def words_of_signal(signal: Signal) -> str:
    """Return what differs from the default in a signal, such as ``2 equal lines, spacing_hz 55``."""
    given = signal_to_json(signal)
    words = [] if given.pop("name") == UNNAMED else [signal.name]
    if "amplitudes" in given and len(set(signal.amplitudes)) == 1:
        words.append(f"{len(given.pop('amplitudes'))} equal lines")
    for name, value in given.items():
        if isinstance(value, dict):  # a path or an envelope
            kind = value.pop("kind", "")
            words.append(" ".join(filter(None, (kind, name, *(f"{key} {one}" for key, one in value.items())))))
        else:
            words.append(f"{name} {json.dumps(value) if isinstance(value, list) else value}")
    return ", ".join(words)


def draft_of_signal(corpus: OpenCorpus, encoder_key: str, given: Any, view: View | None = None) -> Draft:
    """Make a query of a description of a signal.

    It is simulated in noise, in the middle of a window, or in several windows side by side if it is wider.

    Parameters
    ----------
    given : Signal or mapping
        As :func:`signal_of` takes it.
    view : View, optional
        View with whose channels and spectra it is simulated. Default: the plain view.

    Raises
    ------
    QueryError
        The description cannot be used, or the signal cannot be told from noise.
    """
    from pipeline.grid.cutouts import power_of_cutouts, quantise
    from pipeline.simulate import Axes, add_signal, noise

    signal, grid = signal_of(given), corpus.config.scan.grid
    resolution, header = _resolution(corpus, encoder_key, view or PLAIN)
    axes, rng = Axes.of(header), np.random.default_rng(SEED)
    duration_s = grid.integrations * axes.tsamp_s
    t_s = max(duration_s - signal.envelope.on_s, 0) / 2 if signal.envelope.kind in ("burst", "decay") else 0.0
    low_hz, high_hz = signal.extent_hz(-t_s, duration_s - t_s)
    wide = (high_hz - low_hz) / axes.channel_width_hz / grid.channels
    _check_size(signal, axes, grid.integrations, t_s, wide, grid.channels)
    across = math.ceil(wide - 1e-9)
    shape = grid.integrations, min(max(across, 1), MAX_WINDOWS_ACROSS) * grid.channels
    power = noise(rng, shape, axes)
    middle = (low_hz + high_hz) / 2 / axes.channel_width_hz
    add_signal(power, signal, axes=axes, channel=shape[1] / 2 - middle, t_s=t_s, rng=rng)
    pieces = cut_array(power.astype(np.float64), grid)
    spreads = np.full(len(pieces), axes.sigma)
    cutouts = quantise(pieces.astype(np.float32), axes.sigma)
    usable = find_usable(cutouts, "the simulated signal")
    used, no_signal = find_signals(corpus, cutouts, spreads, usable, np.zeros(len(cutouts), np.bool_))
    note = ""
    if across > MAX_WINDOWS_ACROSS:
        note = f"the signal is {across} windows wide; only {MAX_WINDOWS_ACROSS} in the middle are searched for"
    return Draft(Query(
        vectors=np.zeros((len(used), corpus.manifest.encoders[encoder_key].dimension), np.float32),
        cutouts=cutouts[used],
        positions=positions_of(shape, grid)[used],
        windows=(),
        power_of=lambda i: power_of_cutouts(cutouts[used[i]][None], 1.0, axes.sigma)[0],
        regions=(),
        resolution=resolution,
        description=QueryDescription(kind="signal", signal=words_of_signal(signal), shape=shape,
                                     windows=len(used)).with_notes(note, no_signal),
    ), np.arange(len(used)))


def _resolution(corpus: OpenCorpus, encoder_key: str, view: View) -> tuple[str, Header]:
    """Return the resolution class of a view that has most vectors, and a header of it."""
    counts = count_vectors(corpus.manifest, encoder_key, view.name) or count_vectors(corpus.manifest, encoder_key)
    if not counts:
        raise QueryError(f"{corpus.root}: has no vectors of {encoder_key}")
    resolution = max(sorted(counts), key=lambda one: counts[one])
    return resolution, next(entry.header for entry in corpus.manifest.sources.values()
                            if entry.resolution == resolution)
