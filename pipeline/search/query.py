"""What is searched for: vectors, and the part of the corpus they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EncoderConfig
from pipeline.errors import EncoderError, PrecisionError, QueryError
from pipeline.model import Window
from pipeline.search.opened import OpenCorpus
from pipeline.store import corpus_encoder

if TYPE_CHECKING:
    from pipeline.encoders import Encoder

EMBED_BATCH = 4096
"""Cutouts handed to an encoder at once."""
HIGHEST_POWER = 1e30
"""Over baseline. The brightest code of very noisy data stands for more than float32 can sum up."""


@dataclass(frozen=True, slots=True)
class Region:
    """Part of a source that the query itself covers."""

    source_id: str
    channel_start: int
    channel_stop: int
    spectrum_start: int
    spectrum_stop: int

    def overlaps(self, window: Window) -> bool:
        """Tell whether a window shares a pixel with the region."""
        return (
            window.source_id == self.source_id
            and window.channel_start < self.channel_stop
            and self.channel_start < window.channel_stop
            and window.spectrum_start < self.spectrum_stop
            and self.spectrum_start < window.spectrum_stop
        )


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    vectors: NDArray[np.float32]
    """(q, d), one a window of the query."""
    cutouts: NDArray[np.uint8]
    """(q, T, F) what they were made of."""
    windows: tuple[Window, ...]
    """(q,) where they lie; empty for an array."""
    power_of: Callable[[int], NDArray[np.float64]]
    """Gives the (T, F) power of one of them, noise at 1, masked pixels NaN; for pictures."""
    region: Region | None
    """What must not be among the hits; None for an array."""
    resolution: str
    """Resolution class; empty for an array, which does not say."""
    record: dict[str, Any]
    """The query in words and numbers."""

    def window_at(self, i: int) -> Window | None:
        """Return where one of its windows lies; None for an array."""
        return self.windows[i] if self.windows else None


def relative_power(cutout: NDArray[np.uint8], spread: float) -> NDArray[np.float64]:
    """Recover the power of one cutout (T, F), noise at 1, masked pixels NaN."""
    from pipeline.cutouts import power_of_cutouts  # loads scipy, which a search need not wait for

    return np.where(cutout == 0, np.nan, power_of_cutouts(cutout[None], 1.0, spread)[0])


def usable(cutouts: NDArray[np.uint8], name: str) -> NDArray[np.int64]:
    """Return which of the cutouts show anything at all; :class:`QueryError` where none does."""
    highest = cutouts.max(axis=(1, 2))
    lowest = np.where(cutouts == 0, 255, cutouts).min(axis=(1, 2))
    found = np.flatnonzero(lowest < highest)
    if not len(found):
        raise QueryError(f"{name}: there are only dead or constant pixels there, nothing to search for")
    return found


def with_signal(
    corpus: OpenCorpus,
    cutouts: NDArray[np.uint8],
    spreads: NDArray[np.float64],
    found: NDArray[np.int64],
    is_stored: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], str]:
    """Return those of some windows in which the gate sees a signal; or all, and a note, where it sees none.

    A wide range is mostly noise, and one window of noise looks much like another: it must not speak for the range. Of
    windows that the corpus has stored the gate has kept each, unless it was told to keep all.
    """
    known = is_stored[found] & (not corpus.config.scan.keep_all or len(found) == 1)
    passes = known.copy()
    for k in np.flatnonzero(~known):
        passes[k] = _passes_gate(corpus, cutouts[found[k]], float(spreads[found[k]]))
    if passes.any():
        return found[passes], ""
    return found, "the gate sees no signal in the query: what is found may be mere noise"


def _passes_gate(corpus: OpenCorpus, cutout: NDArray[np.uint8], spread: float) -> bool:
    from pipeline.flat import Flat
    from pipeline.gate import measure  # loads numba

    scan = corpus.config.scan
    power = np.minimum(np.nan_to_num(relative_power(cutout, spread), nan=0.0, posinf=np.inf), HIGHEST_POWER)
    start = np.zeros(1, np.int64)
    flat = Flat.of_level(power.astype(np.float32), spread**-2)  # masked pixels are 0 there
    return bool(measure(flat, start, scan.grid, scan.false_alarm).keep[0])


def embed(corpus: OpenCorpus, encoder_key: str, cutouts: NDArray[np.uint8]) -> tuple[NDArray[np.float32], str]:
    """Make vectors to compare with those of the corpus, and a note.

    They are of the precision of the corpus' vectors. Where this machine does not compute in it they are of float32: a
    query is not stored, and vectors of the two differ by less than the encoder's tolerance. The note says so.

    Raises
    ------
    EncoderError
        The encoder is not to be had as it was when the corpus was made.
    """
    spec, own = corpus.manifest.encoders[encoder_key], corpus.config.encoder
    weights = corpus.manifest.weights.get(encoder_key, own.weights if own.name == spec.name else "")
    chosen = EncoderConfig(spec.name, weights, spec.precision)
    encoder = corpus_encoder(corpus.root, chosen, corpus.config.scan.grid)
    if encoder.spec != spec:
        raise EncoderError(f"{corpus.root}: its vectors were made by {spec}, the encoder here is {encoder.spec}; use "
                           "the program and the weights that made the corpus")
    try:
        return _in_batches(encoder, cutouts), ""
    except PrecisionError:
        exact = corpus_encoder(corpus.root, replace(chosen, precision="float32"), corpus.config.scan.grid)
        return _in_batches(exact, cutouts), (
            f"this machine does not compute in {spec.precision}: the query's vectors are computed in float32, those of "
            f"the corpus in {spec.precision}; their components differ by less than {spec.tolerance:g}")


def _in_batches(encoder: Encoder, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    batches = (encoder.encode(cutouts[first : first + EMBED_BATCH]) for first in range(0, len(cutouts), EMBED_BATCH))
    return np.concatenate([np.empty((0, encoder.spec.dimension), np.float32), *batches])


def with_note(record: Mapping[str, Any], *notes: str) -> dict[str, Any]:
    """Return a query's record with more noted in it."""
    note = "; ".join(filter(None, [record.get("note"), *notes]))
    return {**record, "note": note} if note else {**record}
