"""A query: the vectors to look for, and the part of the corpus they came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncoderError, PrecisionError, QueryError
from pipeline.model import Window
from pipeline.search.description import QueryDescription
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import corpus_encoder, encoder_config

if TYPE_CHECKING:
    from pipeline.encoders import Encoder

ENCODED_AT_ONCE = 4096
"""Cutouts handed to an encoder at once."""
NO_SIGNAL = "the gate sees no signal in the query: what is found may be mere noise"
"""Note on a query of noise."""
MAX_RELATIVE_POWER = 1e30
"""Upper limit of power over the noise, for the gate. The brightest code of very noisy data overflows float32 sums."""


@dataclass(frozen=True, slots=True)
class Region:
    """The part of a source that the query itself covers."""

    extent: Window
    """The part as one window of any size."""
    telescope_id: int
    """sigproc number of the telescope."""

    @property
    def source_id(self) -> str:
        """Id of the source."""
        return self.extent.source_id

    def overlaps(self, window: Window) -> bool:
        """Tell whether a window of the same source shares a pixel with the region."""
        extent = self.extent
        return (
            window.channel_start < extent.channel_stop
            and extent.channel_start < window.channel_stop
            and window.spectrum_start < extent.spectrum_stop
            and extent.spectrum_start < window.spectrum_stop
        )


@dataclass(frozen=True, slots=True)
class Query:
    """The pattern that is searched for, as one or several windows."""

    vectors: NDArray[np.float32]
    """(q, d), one vector per window of the query."""
    cutouts: NDArray[np.uint8]
    """(q, T, F) the cutouts that the vectors were made of."""
    positions: NDArray[np.int64]
    """(q, 2) first spectrum and first channel of each window, in the file or in the array."""
    windows: tuple[Window, ...]
    """(q,) where the windows lie; empty for an array."""
    power_of: Callable[[int], NDArray[np.float64]]
    """Gives the power (T, F) of a window by its index, noise at 1, masked pixels NaN; for pictures."""
    regions: tuple[Region, ...]
    """Windows that overlap one of these, in any source of the same recording, are no hits; empty for an array."""
    resolution: str
    """Resolution class; empty for an array, which has none."""
    description: QueryDescription
    covers: Callable[[Window], bool] = lambda window: False
    """Tells whether a window overlaps a further example of what is alike or not. Such windows are no hits, either."""

    def window_at(self, i: int) -> Window | None:
        """Return where a window of the query lies; None for an array."""
        return self.windows[i] if self.windows else None

    def only(self, chosen: NDArray[np.int64]) -> Query:
        """Return the query with some of its windows, given by their indices."""
        return replace(
            self, vectors=self.vectors[chosen], cutouts=self.cutouts[chosen], positions=self.positions[chosen],
            windows=tuple(self.windows[i] for i in chosen.tolist()) if self.windows else (),
            power_of=lambda i: self.power_of(int(chosen[i])),
            description=replace(self.description, windows=len(chosen)))


def relative_power(cutout: NDArray[np.uint8], spread: float) -> NDArray[np.float64]:
    """Recover the power of one cutout (T, F), noise at 1, masked pixels NaN.

    Parameters
    ----------
    cutout : (T, F) uint8
    spread : float
        Standard deviation of the noise, relative to its mean.
    """
    from pipeline.grid.cutouts import power_of_cutouts  # loads scipy, which a search need not wait for

    return np.where(cutout == 0, np.nan, power_of_cutouts(cutout[None], 1.0, spread)[0])


def power_of_windows(corpus: OpenCorpus, windows: Sequence[Window]) -> list[NDArray[np.float64]]:
    """Recover the power (T, F) of stored windows, as :func:`relative_power` does. Those of a source are read at once.

    Raises
    ------
    QueryError
        The corpus has not kept one of the windows.
    """
    of_source: dict[str, list[int]] = {}
    for i, window in enumerate(windows):
        of_source.setdefault(window.source_id, []).append(i)
    powers: dict[int, NDArray[np.float64]] = {}
    for source_id, some in of_source.items():
        numbers = np.array([windows[i].number for i in some])
        rows = corpus.rows(source_id, numbers)
        if (missing := numbers[rows < 0]).size:
            raise QueryError(f"{source_id}/{missing[0]}: the corpus has not kept this window, since its gate saw "
                             "no signal in it; read it from its file with read_waterfall")
        spreads = corpus.column(source_id, "spread", rows)
        for i, cutout, spread in zip(some, corpus.cutouts(source_id, rows), spreads, strict=True):
            powers[i] = relative_power(cutout, float(spread))
    return [powers[i] for i in range(len(windows))]


def find_usable(cutouts: NDArray[np.uint8], name: str) -> NDArray[np.int64]:
    """Return the indices of the cutouts (n, T, F) that show anything.

    Raises
    ------
    QueryError
        No cutout does: all pixels are dead or have one value. The message begins with ``name``.
    """
    highest = cutouts.max(axis=(1, 2))
    lowest = np.where(cutouts == 0, 255, cutouts).min(axis=(1, 2))
    usable = np.flatnonzero(lowest < highest)
    if not len(usable):
        raise QueryError(f"{name}: there are only dead or constant pixels there, nothing to search for")
    return usable


def find_signals(
    corpus: OpenCorpus,
    cutouts: NDArray[np.uint8],
    spreads: NDArray[np.float64],
    usable: NDArray[np.int64],
    is_stored: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], str]:
    """Return the usable windows in which the gate sees a signal. If it sees none, return all usable ones and a note.

    A wide range is mostly noise, and one window of noise looks much like another. So windows of noise are left out of
    the query if others hold a signal. Stored windows passed the gate when they were ingested, unless the corpus keeps
    all windows.

    Parameters
    ----------
    cutouts : (n, T, F) uint8
    spreads : (n,) float64
        Relative standard deviation of the noise of each window.
    usable : (m,) int64
        Indices of the windows to choose from.
    is_stored : (n,) bool
        True for windows that the corpus has stored.
    """
    known = is_stored[usable] & (not corpus.config.scan.keep_all or len(usable) == 1)
    passes = known.copy()
    for k in np.flatnonzero(~known):
        passes[k] = passes_gate(cutouts[usable[k]], float(spreads[usable[k]]), corpus.config.scan.false_alarm)
    if passes.any():
        return usable[passes], ""
    return usable, NO_SIGNAL


def passes_gate(cutout: NDArray[np.uint8], spread: float, false_alarm: float) -> bool:
    """Tell whether the gate sees a signal in a usable cutout, without the masked margin that the cutout may have.

    The window of a small array is masked around the array. With this margin, the gate would leave the window out,
    because most of it is masked.

    Parameters
    ----------
    cutout : (T, F) uint8
    spread : float
        Relative standard deviation of the noise.
    false_alarm : float
        Share of windows of pure noise that pass.
    """
    from pipeline.gate import images_pass  # loads numba

    spectra, channels = np.nonzero(cutout)
    there = cutout[spectra.min() : spectra.max() + 1, channels.min() : channels.max() + 1]
    return bool(images_pass(power_for_gate(there, spread)[None], spread**-2, false_alarm)[0])


def power_for_gate(cutout: NDArray[np.uint8], spread: float) -> NDArray[np.float32]:
    """Return the power (T, F) of a cutout as the gate takes it: noise at 1, masked pixels 0, no pixel too bright."""
    power = np.nan_to_num(relative_power(cutout, spread), nan=0.0, posinf=np.inf)
    return np.minimum(power, MAX_RELATIVE_POWER).astype(np.float32)


def find_seen(corpus: OpenCorpus, encoder_key: str, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the indices of the vectors (n, d) in whose windows the encoder sees anything.

    Raises
    ------
    QueryError
        It sees nothing in any of them.
    """
    if (np.count_nonzero(vectors, axis=1) > 1).all():  # if a window shows nothing, at most one component is not 0
        return np.arange(len(vectors))
    from pipeline.encoders import sees_nothing  # loads scipy, which a search need not wait for

    spec = corpus.manifest.encoders[encoder_key]
    seen = np.flatnonzero(~sees_nothing(spec, vectors))
    if not len(seen):
        raise QueryError(f"the encoder {spec.name} sees nothing in the query: no part of it rises above the noise that "
                         "the encoder removes, so nothing can be compared; choose a stronger pattern, or search with "
                         "another encoder")
    return seen


def embed(corpus: OpenCorpus, encoder_key: str, cutouts: NDArray[np.uint8]) -> tuple[NDArray[np.float32], str]:
    """Make vectors (n, d) of cutouts (n, T, F), to compare with those of the corpus.

    They are computed in the precision of the corpus' vectors. If this machine does not compute in that precision, they
    are computed in float32, and a note says so. That is safe: vectors of the query are not stored, and the two
    precisions differ by less than the encoder's tolerance.

    Returns
    -------
    vectors, note

    Raises
    ------
    EncoderError
        The encoder here is not the one that made the corpus.
    """
    spec, own = corpus.manifest.encoders[encoder_key], corpus.config.encoder
    weights = corpus.manifest.weights.get(encoder_key, own.weights if own.name == spec.name else "")
    chosen = encoder_config(spec, weights)
    encoder = corpus_encoder(corpus.root, chosen, corpus.config.scan.grid)
    if encoder.spec != spec:
        raise EncoderError(f"{corpus.root}: its vectors were made by {spec}, the encoder here is {encoder.spec}; use "
                           "the program and the weights that made the corpus")
    try:
        return _encode_in_batches(encoder, cutouts), ""
    except PrecisionError:
        in_float32 = corpus_encoder(corpus.root, replace(chosen, precision="float32"), corpus.config.scan.grid)
        return _encode_in_batches(in_float32, cutouts), (
            f"this machine does not compute in {spec.precision}: the query's vectors are computed in float32, those of "
            f"the corpus in {spec.precision}; their components differ by less than {spec.tolerance:g}")


def _encode_in_batches(encoder: Encoder, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    batches = (encoder.encode(cutouts[first : first + ENCODED_AT_ONCE])
               for first in range(0, len(cutouts), ENCODED_AT_ONCE))
    return np.concatenate([np.empty((0, encoder.spec.dimension), np.float32), *batches])
