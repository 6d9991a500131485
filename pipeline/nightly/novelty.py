"""What is new in the sky: windows unlike all earlier ones, gathered by their likeness to each other.

A window is *novel* where its best cosine with any earlier window is below what is usual: of a sample of earlier
windows, compared with those of other nights, no more than a small share (1 %) have so poor a match. That share is its
p-value; so of windows as usual as the earlier ones, that many are called novel by chance, and the report says how many
were to be expected. Novel windows that lie where an instrument makes them are left out
(:mod:`pipeline.nightly.artefacts`), the others joined into clusters whose windows are, on average, as much alike as the
threshold asks of earlier ones. Only the index and what is stored are read: no file of the archive.
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
from pipeline.model import Hit
from pipeline.nightly.artefacts import ARTEFACTS, broadband, by_place
from pipeline.nightly.usual_scores import UsualScores, measure_usual_scores
from pipeline.search import Corpus
from pipeline.search.encoder import encoder_key
from pipeline.search.nearest import best_scores, is_approximate
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus

JUDGED_AT_ONCE = 1024
"""Windows whose best scores are looked for at once."""
MOST_CLUSTERED = 4000
"""Windows that are clustered, the strongest first: all their distances are held at once, 128 MB."""
MOST_SHOWN = 6
"""Windows of a cluster that are drawn, the strongest first."""
MOST_DRAWN = 24
"""Clusters that are drawn."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Novel windows that look alike, the strongest first."""

    windows: tuple[Hit, ...]
    """Their scores are those with the nearest earlier window."""
    p_values: tuple[float, ...]
    picture: bytes = field(default=b"", repr=False)
    """PNG of the strongest; empty where so many clusters come before it that it was not drawn."""

    @property
    def sources(self) -> int:
        """In how many sources it was seen."""
        return len({window.source_id for window in self.windows})

    def to_json(self) -> dict[str, Any]:
        """Record for the report."""
        return {"windows": [{**hit.to_json(), "p": round(p, 6)}
                            for hit, p in zip(self.windows, self.p_values, strict=True)], "sources": self.sources}


@dataclass(frozen=True, slots=True)
class Novelty:
    """What is new among windows of one resolution."""

    resolution: str
    tonight: int
    """Windows that were judged, or would have been."""
    earlier: int
    """Windows with which they were compared."""
    not_judged: str = ""
    """Why nothing can be said."""
    of_other: str = ""
    """``nights`` or ``sources``: with what the sample of earlier windows was compared."""
    sample: int = 0
    threshold: float = 0.0
    """Score below which a window is novel."""
    share: float = 0.0
    """Of earlier windows that score less."""
    novel: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    """Artefact → novel windows left out for it."""
    clusters: tuple[Cluster, ...] = ()
    """The largest first; of equal size, the strongest."""
    unclustered: int = 0
    """Weaker novel windows that were too many to cluster."""

    @property
    def expected(self) -> float:
        """Novel windows that are to be expected though nothing is new."""
        return self.share * self.tonight

    def to_json(self) -> dict[str, Any]:
        """Record for the report, without pictures."""
        return {
            "resolution": self.resolution, "tonight": self.tonight, "earlier": self.earlier,
            "not_judged": self.not_judged, "sample": self.sample, "of_other": self.of_other,
            "threshold": round(self.threshold, 6), "share": self.share, "novel": self.novel,
            "expected": round(self.expected, 3), "excluded": self.excluded, "unclustered": self.unclustered,
            "clusters": [cluster.to_json() for cluster in self.clusters],
        }


def judge(corpus: OpenCorpus, tonight: Collection[str], config: NightlyConfig) -> list[Novelty]:
    """Say what is new among the windows of some sources, all others being earlier ones; one answer a resolution.

    Vectors of the corpus' own encoder are compared.

    Raises
    ------
    CorpusDamaged
        Something in the corpus is missing or altered.
    """
    try:
        key = encoder_key(corpus, None)
    except QueryError:  # there are no vectors yet
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
    answer = Novelty(resolution, sum(sources[i].vectors[key] for i in new), earlier.vector_count,
                     share=config.novel_share)
    if earlier.vector_count < config.least_earlier:
        return replace(answer, not_judged=f"there are {earlier.vector_count:,} earlier windows, and at least "
                                          f"{config.least_earlier:,} are wanted")
    known = measure_usual_scores(corpus, key, old)
    if known is None:
        return replace(answer, not_judged="all earlier windows are of one source: what is usual cannot be told")
    threshold = known.threshold(config.novel_share)
    if threshold is None:
        return replace(answer, not_judged=f"of {len(known.scores):,} earlier windows, a share of "
                                          f"{config.novel_share:g} cannot be told")
    answer = replace(answer, of_other=known.of_other, sample=len(known.scores), threshold=threshold)
    novel = _Novel.joined([_novel_of(corpus, key, source_id, earlier, threshold) for source_id in new])
    is_placed_well = novel.artefact == ""
    left = novel.take(np.flatnonzero(is_placed_well)[np.argsort(-novel.snr[is_placed_well], kind="stable")])
    chosen = left.take(np.arange(min(len(left.row), MOST_CLUSTERED)))
    excluded = Counter(novel.artefact[~is_placed_well].tolist())
    clusters = []
    for rows in _alike(_vectors(corpus, key, chosen), threshold):
        alike = chosen.take(rows)
        is_everywhere = _broadband(corpus, alike)
        excluded["broadband"] += int(is_everywhere.sum())
        if not is_everywhere.all():
            clusters.append(_cluster(corpus, alike.take(np.flatnonzero(~is_everywhere)), known))
    clusters.sort(key=lambda cluster: (-len(cluster.windows), -cluster.windows[0].snr))
    drawn = [replace(cluster, picture=_picture(corpus, cluster)) for cluster in clusters[:MOST_DRAWN]]
    return replace(answer, novel=len(novel.row), clusters=(*drawn, *clusters[MOST_DRAWN:]),
                   excluded={name: excluded[name] for name in ARTEFACTS if excluded[name]},
                   unclustered=len(left.row) - len(chosen.row))


@dataclass(frozen=True, slots=True)
class _Novel:
    """Novel windows, one entry each."""

    source: NDArray[np.str_]
    row: NDArray[np.int64]
    number: NDArray[np.int64]
    score: NDArray[np.float32]
    snr: NDArray[np.float32]
    artefact: NDArray[np.str_]
    """What it is by its place; empty for none."""

    @classmethod
    def joined(cls, parts: Sequence[_Novel]) -> _Novel:
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))

    def take(self, entries: NDArray[np.int64]) -> _Novel:
        return _Novel(*(getattr(self, each.name)[entries] for each in fields(self)))


def _novel_of(corpus: OpenCorpus, key: str, source_id: str, earlier: Selection, threshold: float) -> _Novel:
    """Find the novel windows of one source. What the index calls so is compared once more, with every vector."""
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
    row, windows, stored = np.concatenate(rows), corpus.windows(source_id), corpus.numbers(source_id)
    # a corpus of all windows has no word on which of them hold a signal
    kept = np.empty(0, np.int64) if corpus.config.scan.keep_all else stored
    artefact = by_place(corpus.tiling(source_id), stored[row], windows.column("masked", row), kept)
    return _Novel(np.full(len(row), source_id), row, stored[row], np.concatenate(scores), windows.column("snr", row),
                  artefact)


def _by_source(novel: _Novel) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Go through the sources: id and entries of each."""
    for source_id in np.unique(novel.source):
        yield str(source_id), np.flatnonzero(novel.source == source_id)


def _vectors(corpus: OpenCorpus, key: str, novel: _Novel) -> NDArray[np.float32]:
    out = np.empty((len(novel.row), corpus.manifest.encoders[key].dimension), np.float32)
    for source_id, here in _by_source(novel):
        out[here] = corpus.vectors_of(source_id, key, novel.row[here])
    return out


def _broadband(corpus: OpenCorpus, alike: _Novel) -> NDArray[np.bool_]:
    """Tell which windows of a cluster are in most coarse channels of their source at once."""
    out = np.zeros(len(alike.row), np.bool_)
    for source_id, here in _by_source(alike):
        out[here] = broadband(corpus.tiling(source_id), alike.number[here])
    return out


def _alike(vectors: NDArray[np.float32], threshold: float) -> list[NDArray[np.int64]]:
    """Join vectors whose mean cosine is ``threshold`` or more; rows of each cluster, ascending."""
    if len(vectors) < 2:
        return [np.arange(len(vectors))] if len(vectors) else []
    from sklearn.cluster import AgglomerativeClustering

    joining = AgglomerativeClustering(n_clusters=None, metric="cosine", linkage="average",
                                      distance_threshold=max(1 - threshold, 1e-9))
    labels = joining.fit_predict(vectors)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _cluster(corpus: OpenCorpus, alike: _Novel, known: UsualScores) -> Cluster:
    """Describe windows that are alike; they come with the strongest first."""
    hits = []
    windows = zip(alike.source.tolist(), alike.number.tolist(), alike.score.tolist(), alike.snr.tolist(), strict=True)
    for rank, (source_id, number, score, snr) in enumerate(windows, start=1):
        entry = corpus.manifest.sources[source_id]
        hits.append(Hit(rank, score, corpus.window(source_id, number), source_id, entry.path,
                        entry.header.source_name, entry.header.telescope_id, snr))
    return Cluster(tuple(hits), tuple(known.p_value(alike.score).tolist()))


def _picture(corpus: OpenCorpus, cluster: Cluster) -> bytes:
    from pipeline.plot import png_of_hits

    shown = cluster.windows[:MOST_SHOWN]
    return png_of_hits(shown, Corpus(corpus).power_of(shown))
