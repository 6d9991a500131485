"""Finds novel windows: those that resemble no earlier window. They are grouped by their likeness to each other.

A window is *novel* if its best cosine with any earlier window is unusually low. What is usual comes from a sample of
earlier windows, each compared with the windows of other nights. The p-value of a window is the share of this sample
whose best cosine is as low, and a novel window has a p-value of at most a small share (1 %). So by chance this share of
ordinary windows is called novel, too, and the report says how many to expect.

Novel windows that lie where an instrument makes them are left out (:mod:`pipeline.nightly.artefacts`). The others are
joined into clusters: the mean cosine within a cluster is at least the threshold of novelty. Only the index and stored
windows are read, and no file of the archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import NightlyConfig
from pipeline.errors import QueryError
from pipeline.interference import names_at
from pipeline.model import Hit
from pipeline.nightly.artefacts import ARTEFACTS, broadband, by_place
from pipeline.nightly.usual_scores import UsualScores, measure_usual_scores
from pipeline.search import Corpus, OpenCorpus, Selection, best_scores, encoder_key, is_approximate
from pipeline.views import View, is_plain, view_of

JUDGED_AT_ONCE = 1024
"""Number of windows whose best scores are looked for at once."""
MAX_CLUSTERED_WINDOWS = 4000
"""Largest number of windows that are clustered, the strongest first. All their distances take 128 MB at once."""
MAX_DRAWN_WINDOWS = 6
"""Largest number of windows of a cluster that are drawn, the strongest first."""
MAX_DRAWN_CLUSTERS = 24
"""Largest number of clusters that are drawn."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Novel windows that look alike, the strongest first."""

    windows: tuple[Hit, ...]
    """The windows. The score of each is its cosine with the nearest earlier window."""
    p_values: tuple[float, ...]
    picture: bytes = field(default=b"", repr=False)
    """PNG of its strongest windows; empty if it is not among the first clusters, which are drawn."""

    @property
    def sources(self) -> int:
        """Number of sources in which it was seen."""
        return len({window.source_id for window in self.windows})

    def to_json(self) -> dict[str, Any]:
        """Return the record for the report."""
        return {"windows": [{**hit.to_json(), "p": round(p, 6)}
                            for hit, p in zip(self.windows, self.p_values, strict=True)], "sources": self.sources}


@dataclass(frozen=True, slots=True)
class Novelty:
    """Novel windows of one resolution."""

    resolution: str
    tonight: int
    """Number of tonight's windows."""
    earlier: int
    """Number of earlier windows with which they were compared."""
    views: tuple[str, ...] = ()
    """Averaged views that tonight's windows belong to. The plain view is not named."""
    not_judged: str = ""
    """Why nothing can be said; empty if tonight's windows were judged."""
    of_other: str = ""
    """``nights`` or ``sources``: whose windows the sample of earlier windows was compared with."""
    sample: int = 0
    """Number of earlier windows in the sample."""
    threshold: float = 0.0
    """Score below which a window is novel."""
    share: float = 0.0
    """Share of earlier windows that score less than the threshold."""
    novel: int = 0
    """Number of novel windows, artefacts included."""
    excluded: dict[str, int] = field(default_factory=dict)
    """Artefact → number of novel windows that were left out because of it."""
    clusters: tuple[Cluster, ...] = ()
    """The largest first; among equal sizes, the strongest first."""
    unclustered: int = 0
    """Number of novel windows that were left out of the clusters because there were too many: the weakest ones."""

    @property
    def expected(self) -> float:
        """Number of novel windows to expect by chance."""
        return self.share * self.tonight

    def to_json(self) -> dict[str, Any]:
        """Return the record for the report, without pictures."""
        return {
            "resolution": self.resolution, "views": list(self.views), "tonight": self.tonight, "earlier": self.earlier,
            "not_judged": self.not_judged, "sample": self.sample, "of_other": self.of_other,
            "threshold": round(self.threshold, 6), "share": self.share, "novel": self.novel,
            "expected": round(self.expected, 3), "excluded": self.excluded, "unclustered": self.unclustered,
            "clusters": [cluster.to_json() for cluster in self.clusters],
        }


def judge(corpus: OpenCorpus, tonight: Collection[str], config: NightlyConfig) -> list[Novelty]:
    """Find the novel windows of some sources, compared with all other sources; one answer for each resolution.

    Vectors of the corpus' own encoder are compared.

    Parameters
    ----------
    tonight : collection of str
        Ids of the sources to judge.

    Raises
    ------
    CorpusDamaged
        A file of the corpus is missing or altered.
    """
    try:
        key = encoder_key(corpus, None)
    except QueryError:  # the corpus has no vectors yet
        return []
    by_resolution: dict[str, tuple[list[str], list[str]]] = {}
    for source_id, entry in sorted(corpus.manifest.sources.items()):
        if entry.vectors.get(key):
            by_resolution.setdefault(entry.resolution, ([], []))[source_id not in tonight].append(source_id)
    with corpus.outlived():
        return [_judge(corpus, key, resolution, new, old, config)
                for resolution, (new, old) in sorted(by_resolution.items()) if new]


def _judge(
    corpus: OpenCorpus, key: str, resolution: str, new: Sequence[str], old: Sequence[str], config: NightlyConfig
) -> Novelty:
    sources = corpus.manifest.sources
    earlier = Selection.of_sources(corpus, key, old)
    views = {view_of(source_id) for source_id in new if not is_plain(source_id)}
    answer = Novelty(resolution, sum(sources[i].vectors[key] for i in new), earlier.vector_count,
                     tuple(sorted(views, key=lambda name: View.named(name).order)), share=config.novel_share)
    if earlier.vector_count < config.least_earlier:
        return replace(answer, not_judged=f"there are {earlier.vector_count:,} earlier windows, and at least "
                                          f"{config.least_earlier:,} are needed")
    known = measure_usual_scores(corpus, key, old)
    if known is None:
        return replace(answer, not_judged="all earlier windows are of one source, so the usual score is unknown")
    threshold = known.threshold(config.novel_share)
    if threshold is None:
        return replace(answer, not_judged=f"a sample of {len(known.scores):,} earlier windows is too small "
                                          f"for a share of {config.novel_share:g}")
    answer = replace(answer, of_other=known.of_other, sample=len(known.scores), threshold=threshold)
    novel = _Novel.joined([_novel_of(corpus, key, source_id, earlier, threshold) for source_id in new])
    is_placed_well = novel.artefact == ""
    left = novel.take(np.flatnonzero(is_placed_well)[np.argsort(-novel.snr[is_placed_well], kind="stable")])
    chosen = left.take(np.arange(min(len(left.row), MAX_CLUSTERED_WINDOWS)))
    excluded = Counter(novel.artefact[~is_placed_well].tolist())
    clusters = []
    for rows in _alike(_vectors(corpus, key, chosen), threshold):
        alike = chosen.take(rows)
        is_everywhere = _broadband(corpus, alike)
        excluded["broadband"] += int(is_everywhere.sum())
        if not is_everywhere.all():
            clusters.append(_cluster(corpus, alike.take(np.flatnonzero(~is_everywhere)), known))
    clusters.sort(key=lambda cluster: (-len(cluster.windows), -cluster.windows[0].snr))
    drawn = [replace(cluster, picture=_picture(corpus, cluster)) for cluster in clusters[:MAX_DRAWN_CLUSTERS]]
    return replace(answer, novel=len(novel.row), clusters=(*drawn, *clusters[MAX_DRAWN_CLUSTERS:]),
                   excluded={name: excluded[name] for name in ARTEFACTS if excluded[name]},
                   unclustered=len(left.row) - len(chosen.row))


@dataclass(frozen=True, slots=True)
class _Novel:
    """Novel windows, one entry for each."""

    source: NDArray[np.str_]
    row: NDArray[np.int64]
    number: NDArray[np.int64]
    score: NDArray[np.float32]
    snr: NDArray[np.float32]
    artefact: NDArray[np.str_]
    """Artefact that it is by its position; empty for none."""

    @classmethod
    def joined(cls, parts: Sequence[_Novel]) -> _Novel:
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))

    def take(self, entries: NDArray[np.int64]) -> _Novel:
        return _Novel(*(getattr(self, each.name)[entries] for each in fields(self)))


def _novel_of(corpus: OpenCorpus, key: str, source_id: str, earlier: Selection, threshold: float) -> _Novel:
    """Find the novel windows of one source. Candidates found by the index are compared again with every vector."""
    group = corpus.vectors(source_id, key)
    rows, scores = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for start in range(0, group.count, JUDGED_AT_ONCE):
        vectors = group.vectors(start, min(start + JUDGED_AT_ONCE, group.count))
        best = best_scores(earlier, vectors)
        below = np.flatnonzero(best < threshold)
        if len(below) and is_approximate(earlier):
            best[below] = best_scores(earlier, vectors[below], exact=True)
            below = below[best[below] < threshold]
        rows.append(start + below)
        scores.append(best[below])
    row, stored = np.concatenate(rows), corpus.numbers(source_id)
    # a corpus that keeps all windows does not say which of them hold a signal
    kept = np.empty(0, np.int64) if corpus.config.scan.keep_all else stored
    artefact = by_place(corpus.tiling(source_id), stored[row], corpus.column(source_id, "masked", row), kept)
    return _Novel(np.full(len(row), source_id), row, stored[row], np.concatenate(scores),
                  corpus.column(source_id, "snr", row), artefact)


def _by_source(novel: _Novel) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the id of each source and the entries of its windows."""
    for source_id in np.unique(novel.source):
        yield str(source_id), np.flatnonzero(novel.source == source_id)


def _vectors(corpus: OpenCorpus, key: str, novel: _Novel) -> NDArray[np.float32]:
    out = np.empty((len(novel.row), corpus.manifest.encoders[key].dimension), np.float32)
    for source_id, here in _by_source(novel):
        out[here] = corpus.vectors_of(source_id, key, novel.row[here])
    return out


def _broadband(corpus: OpenCorpus, alike: _Novel) -> NDArray[np.bool_]:
    """Return True for each window of a cluster that most coarse channels of its source hold at the same time."""
    out = np.zeros(len(alike.row), np.bool_)
    for source_id, here in _by_source(alike):
        out[here] = broadband(corpus.tiling(source_id), alike.number[here])
    return out


def _alike(vectors: NDArray[np.float32], threshold: float) -> list[NDArray[np.int64]]:
    """Join vectors into clusters whose mean cosine is at least ``threshold``; return the ascending rows of each."""
    if len(vectors) < 2:
        return [np.arange(len(vectors))] if len(vectors) else []
    from sklearn.cluster import AgglomerativeClustering

    joining = AgglomerativeClustering(n_clusters=None, metric="cosine", linkage="average",
                                      distance_threshold=max(1 - threshold, 1e-9))
    labels = joining.fit_predict(vectors)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _cluster(corpus: OpenCorpus, alike: _Novel, known: UsualScores) -> Cluster:
    """Describe a cluster of windows, which are given with the strongest first."""
    hits = []
    windows = zip(alike.source.tolist(), alike.number.tolist(), alike.score.tolist(), alike.snr.tolist(), strict=True)
    for rank, (source_id, number, score, snr) in enumerate(windows, start=1):
        entry = corpus.manifest.sources[source_id]
        window = corpus.window(source_id, number)
        hits.append(Hit(rank, score, window, source_id, entry.path, entry.header.source_name,
                        entry.header.telescope_id, snr, also_at=entry.also_at, view=view_of(source_id),
                        known=names_at(entry.header, window.f_start_mhz, window.f_stop_mhz)))
    return Cluster(tuple(hits), tuple(known.p_value(alike.score).tolist()))


def _picture(corpus: OpenCorpus, cluster: Cluster) -> bytes:
    from pipeline.plot import png_of_hits

    shown = cluster.windows[:MAX_DRAWN_WINDOWS]
    return png_of_hits(shown, Corpus(corpus).power_of(shown))
