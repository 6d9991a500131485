"""Retrieval among the labelled windows of a folder: real interference that a person has sorted by eye.

Each labelled window searches for its kind among the other labelled windows. Windows without a label are left out. There
are three ways to ask (:data:`FORMS`), because an array has no band around it, and a file has.

All means have bootstrap intervals of 95 %. Queries are resampled with replacement. The windows that are found stay the
same, and so do the labels, so the intervals tell nothing about other observations or other judges.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.evaluate.labelled_folder import LabelledFolder
from pipeline.evaluate.metrics import QueryScores, rank
from pipeline.evaluate.retrieval import Encode, expand_queries
from pipeline.evaluate.sets import HELD_OUT
from pipeline.filterbank import FilterbankWriter, open_filterbank
from pipeline.grid.cutouts import cutouts_of_power
from pipeline.scan import cut_windows, tiling_of
from pipeline.simulate import FINE, FINE_GRID, NOISE, fine_header, noise

FILE, ARRAY, ARRAY_IN_FILE = FORMS = ("cut from a file", "given as arrays", "arrays, among windows of a file")
"""How queries and the windows they search in are made. Only in the last form do the two differ."""
APART_CHANNELS = 4096
"""Channels from one window to the next in the file that the windows are written to. Noise is between them."""
BOOTSTRAPS = 2000

_COARSE_CHANNELS = 2**20
_FIRST_CHANNEL = APART_CHANNELS // 4  # windows avoid the DC bin and the edges of coarse channels
_LEVEL = 1e9  # mean of the noise in the file, in counts


@dataclass(frozen=True, slots=True)
class LabelledWindows:
    """Cutouts of labelled windows, made in two ways."""

    numbers: NDArray[np.int64]
    """(n,) numbers of the windows in their folder."""
    labels: NDArray[np.str_]
    """(n,) kind of each window."""
    from_file: NDArray[np.uint8]
    """(n, 16, 256) cut from a file, as a scan does."""
    from_array: NDArray[np.uint8]
    """(n, 16, 256) made as for a query that is an array."""
    fill_rows: frozenset[str]
    """Kinds that fill whole rows."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, and its bootstrap interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Means:
    """Means of three metrics over some queries, or mean differences of them."""

    queries: int
    precision_at_1: Estimate
    precision_at_5: Estimate
    """If a query has k kin and k is less than five, this is its precision at k."""
    mean_average_precision: Estimate


@dataclass(frozen=True, slots=True)
class Mistake:
    """A query whose first result is of another kind. Windows are given by their numbers in the folder."""

    query: int
    kind: str
    wrong: int
    """The first result."""
    wrong_kind: str
    wrong_score: float
    right: int
    """The best result of the query's kind."""
    right_score: float
    right_rank: int
    """Rank of that result, 1 = first."""


@dataclass(frozen=True, slots=True)
class FormScores:
    """Scores of an encoder in one of :data:`FORMS`."""

    form: str
    means: Mapping[str, Means]
    """What the mean is over → means. If windows that fill rows are left out as queries, they can still be
    found."""
    by_kind: Mapping[str, Means]
    """Kind → means over its queries."""
    by_expansion: Mapping[str, Means]
    """Differences from ``means`` if each query is expanded, as ``search --expand`` does. Positive: expansion helps."""
    differences: Mapping[str, Mapping[str, Means]]
    """Other encoder → differences from its means, with the keys of ``means``. Positive: this encoder is better."""
    mistakes: tuple[Mistake, ...]
    """Worst first: the larger the score of the wrong result above that of the right one, the worse."""


def labelled_windows(folder: LabelledFolder, *, seed: int = 0) -> LabelledWindows:
    """Make cutouts of the labelled windows of a folder, from arrays and from a file.

    Parameters
    ----------
    folder : LabelledFolder
    seed : int
        Seed of the noise in the file.
    """
    numbers, labels = folder.labelled()
    power = np.asarray(folder.power[numbers], np.float32)
    return LabelledWindows(numbers, labels, cut_from_file(power, seed=seed), cutouts_of_power(power), folder.fill_rows)


def cut_from_file(power: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.uint8]:
    """Write windows into a file of noise, :data:`APART_CHANNELS` apart, and cut them from it as a scan does.

    Parameters
    ----------
    power : (n, 16, 256) float32
        Power relative to the noise, ascending frequency.
    seed : int
        Seed of the noise.

    Returns
    -------
    (n, 16, 256) uint8
    """
    rng = np.random.default_rng([HELD_OUT, seed, 8])
    places = _FIRST_CHANNEL + APART_CHANNELS * np.arange(len(power))
    header = fine_header(coarse_channels=int(places.max(initial=0)) // _COARSE_CHANNELS + 1, source_name="LABELLED")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "labelled.h5"
        with FilterbankWriter(path, header) as writer:
            for first in range(0, header.nchans, _COARSE_CHANNELS):
                samples = noise(rng, (FINE_GRID.integrations, _COARSE_CHANNELS), FINE)
                for k in np.flatnonzero((places >= first) & (places < first + _COARSE_CHANNELS)):
                    samples[:, places[k] - first :][:, : FINE_GRID.channels] = power[k]
                writer.write(0, first, samples * np.float32(_LEVEL))
        with open_filterbank(path) as filterbank:
            tiling = tiling_of(filterbank, ScanConfig())
            return cut_windows(filterbank, tiling, [(0, int(place)) for place in places])[0]


def evaluate_labelled(encoders: Mapping[str, Encode], windows: LabelledWindows) -> dict[str, list[FormScores]]:
    """Measure retrieval with each encoder, in each of :data:`FORMS`.

    Parameters
    ----------
    encoders : mapping
        Name → encoder. All others are compared with the first one.
    windows : LabelledWindows

    Returns
    -------
    dict
        Name → scores, one for each form.
    """
    found = {name: _Found.of(encode, windows) for name, encode in encoders.items()}
    first = next(iter(found), "")
    return {name: [one.scores(form, windows, {} if name == first else {first: found[first]}) for form in FORMS]
            for name, one in found.items()}


@dataclass(frozen=True, slots=True)
class _Found:
    """Vectors that one encoder made of the windows, and the metrics of each query in each form."""

    pairs: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    """Form → vectors of the queries, and of the windows that they search in."""
    ranked: Mapping[str, QueryScores]
    expanded: Mapping[str, QueryScores]
    """The same with expanded queries."""

    @classmethod
    def of(cls, encode: Encode, windows: LabelledWindows) -> _Found:
        from_file, from_array = encode(windows.from_file), encode(windows.from_array)
        pairs = {FILE: (from_file, from_file), ARRAY: (from_array, from_array), ARRAY_IN_FILE: (from_array, from_file)}
        return cls(pairs, {form: rank(searched, windows.labels, asked=asked)
                           for form, (asked, searched) in pairs.items()},
                   {form: rank(searched, windows.labels, asked=expand_queries(asked, searched))
                    for form, (asked, searched) in pairs.items()})

    def scores(self, form: str, windows: LabelledWindows, others: Mapping[str, _Found]) -> FormScores:
        ranked, columns = self.ranked[form], _columns(self.ranked[form])
        kinds = np.unique(ranked.labels).tolist()
        return FormScores(
            form,
            means_over(ranked.labels, columns, windows.fill_rows),
            {kind: _means(columns[ranked.labels == kind]) for kind in kinds},
            means_over(ranked.labels, _columns(self.expanded[form]) - columns, windows.fill_rows),
            {name: means_over(ranked.labels, columns - _columns(other.ranked[form]), windows.fill_rows)
             for name, other in others.items()},
            find_mistakes(*self.pairs[form], windows),
        )


def means_over(
    labels: NDArray[np.str_], columns: NDArray[np.float64], fill_rows: frozenset[str]
) -> dict[str, Means]:
    """Return means over queries and over kinds, with and without the kinds that fill rows.

    Parameters
    ----------
    labels : (q,) str
        Kind of each query.
    columns : (q, 3) float64
        Metrics of each query: P@1, P@5, average precision.
    fill_rows : set of str
        Kinds that fill rows.
    """
    narrow = ~np.isin(labels, sorted(fill_rows))
    made = {"queries": _means(columns), "kinds": _means(columns, labels)}
    if narrow.all() or not narrow.any():
        return made
    columns, labels = columns[narrow], labels[narrow]
    made["queries, no row-filling kinds"] = _means(columns)
    made["kinds, no row-filling kinds"] = _means(columns, labels)
    return made


def _columns(ranked: QueryScores) -> NDArray[np.float64]:
    return np.stack([ranked.first, ranked.precision, ranked.average_precision], axis=1)


def _means(columns: NDArray[np.float64], labels: NDArray[np.str_] | None = None) -> Means:
    """Return the means of columns (q, 3) with their intervals. With ``labels``, each kind counts the same."""
    rng, shares = np.random.default_rng(0), np.zeros((1 + BOOTSTRAPS, len(columns)))
    kinds = [np.arange(len(columns))] if labels is None else [np.flatnonzero(labels == k) for k in np.unique(labels)]
    for members in kinds:
        each = np.full(len(members), 1 / len(members))
        shares[0, members] = each / len(kinds)
        shares[1:, members] = rng.multinomial(len(members), each, BOOTSTRAPS) / len(members) / len(kinds)
    drawn = shares @ columns
    low, high = np.percentile(drawn[1:], (2.5, 97.5), axis=0)
    estimates = [Estimate(*map(float, one)) for one in zip(drawn[0], low, high, strict=True)]
    return Means(len(columns), *estimates)


def find_mistakes(
    asked: NDArray[np.float32], searched: NDArray[np.float32], windows: LabelledWindows
) -> tuple[Mistake, ...]:
    """Return the queries whose first result is of another kind, worst first.

    Parameters
    ----------
    asked, searched : (n, d) float32
        Vectors of the windows as queries, and as windows that are found.
    windows : LabelledWindows
        The windows.
    """
    labels, found = windows.labels, []
    for query, scores in enumerate(asked @ searched.T):
        is_kin = labels == labels[query]
        kin, others = np.flatnonzero(is_kin & (np.arange(len(labels)) != query)), np.flatnonzero(~is_kin)
        if labels[query] == NOISE or not len(kin) or not len(others):
            continue
        right, wrong = (int(some[scores[some].argmax()]) for some in (kin, others))
        if scores[right] > scores[wrong]:
            continue
        found.append(Mistake(
            int(windows.numbers[query]), str(labels[query]), int(windows.numbers[wrong]), str(labels[wrong]),
            float(scores[wrong]), int(windows.numbers[right]), float(scores[right]),
            1 + int((~is_kin & (scores >= scores[right])).sum())))
    return tuple(sorted(found, key=lambda one: one.right_score - one.wrong_score))
