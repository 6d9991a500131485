"""Novel windows, compared with brute force, and on three nights of which the third has a new kind of signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import IndexConfig, NightlyConfig
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, WindowGrid
from pipeline.nightly.artefacts import broadband, by_place
from pipeline.nightly.novelty import Novelty, judge
from pipeline.nightly.usual_scores import UsualScores, measure_usual_scores
from pipeline.run import index, ingest
from pipeline.search.nearest import best_scores
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from tests.nightly.sky import CONFIG, N_COARSE, PER_COARSE, header, placed, write_scan

KEY = "power-spectrum-v1"
NEW = [5, 42, 90, 217]
"""Windows of the new kind, in two scans."""
SPUR = [coarse * PER_COARSE + 9 for coarse in range(N_COARSE)]
"""Windows of an artefact at the same place in every coarse channel."""
DC = 3 * PER_COARSE + PER_COARSE // 2
EDGE = 4 * PER_COARSE


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus of three nights with two scans each. The third night has the new kind of signal."""
    root = tmp_path_factory.mktemp("nights")
    for night in (0, 1):
        for scan in (0, 1):
            write_scan(root / "data", night, scan)
    rng = np.random.default_rng(7)
    for scan, new in enumerate((NEW[:2], NEW[2:])):
        like = header(2, scan)
        others = placed(rng, like, "comb", new)
        if scan == 0:
            others += placed(rng, like, "hump", SPUR) + placed(rng, like, "comb", [DC, EDGE])
        write_scan(root / "data", 2, scan, others, count=10)
    ingest([root / "data"], root / "corpus", config=CONFIG, serial=True)
    return root / "corpus"


@pytest.fixture(scope="module")
def corpus(nights: Path) -> OpenCorpus:
    return OpenCorpus(nights)


def of_nights(corpus: OpenCorpus, *nights: int) -> list[str]:
    return [source_id for source_id, entry in sorted(corpus.manifest.sources.items())
            if int(entry.header.tstart_mjd) - 59_000 in nights]


def vectors(corpus: OpenCorpus, source_ids: Sequence[str]) -> np.ndarray:
    every = np.concatenate([corpus.vectors(i, KEY).vectors() for i in source_ids]).astype(np.float64)
    return every / np.linalg.norm(every, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def novelty(corpus: OpenCorpus) -> Novelty:
    [found] = judge(corpus, of_nights(corpus, 2), CONFIG.nightly)
    return found


def test_the_new_kind_is_one_cluster_and_the_instrument_s_are_left_out(corpus: OpenCorpus, novelty: Novelty):
    assert novelty.not_judged == ""
    assert novelty.tonight > 25, "known kinds were there, too"
    cluster, *others = novelty.clusters
    assert all(len(other.windows) == 1 and other.windows[0].snr < 8 for other in others), "nothing but noise"
    assert len(others) <= 3
    scans = {source_id: scan for scan, source_id in enumerate(of_nights(corpus, 2))}
    found = {(scans[hit.source_id], hit.window.number) for hit in cluster.windows}
    assert found >= {(0, NEW[0]), (0, NEW[1]), (1, NEW[2]), (1, NEW[3])}
    beside = {(scan, number + by) for scan, number in ((0, NEW[0]), (0, NEW[1]), (1, NEW[2]), (1, NEW[3]))
              for by in (-1, 0, 1)}  # where it drifts into the next window
    assert found <= beside
    assert novelty.excluded.keys() == {"DC bin", "edge", "same channels"}
    assert novelty.excluded["same channels"] >= len(SPUR)
    assert cluster.picture.startswith(b"\x89PNG\r\n")
    assert [hit.snr for hit in cluster.windows] == sorted((hit.snr for hit in cluster.windows), reverse=True)


def test_novel_is_what_brute_force_calls_so(corpus: OpenCorpus, novelty: Novelty):
    earlier, tonight = vectors(corpus, of_nights(corpus, 0, 1)), vectors(corpus, of_nights(corpus, 2))
    best = (tonight @ earlier.T).max(axis=1)
    first, second = vectors(corpus, of_nights(corpus, 0)), vectors(corpus, of_nights(corpus, 1))
    likeness = first @ second.T
    known = np.concatenate([likeness.max(axis=1), likeness.max(axis=0)])
    p = np.array([(1 + (known <= score).sum()) / (1 + len(known)) for score in best])
    assert novelty.sample == len(known)
    assert novelty.novel == (p <= CONFIG.nightly.novel_share).sum()
    number = np.concatenate([corpus.numbers(i) for i in of_nights(corpus, 2)])
    source = np.concatenate([[i] * len(corpus.numbers(i)) for i in of_nights(corpus, 2)])
    for hit, hit_p in zip(novelty.clusters[0].windows, novelty.clusters[0].p_values, strict=True):
        [row] = np.flatnonzero((number == hit.window.number) & (source == hit.source_id))
        assert hit.score == pytest.approx(best[row], abs=1e-5)
        assert hit_p == pytest.approx(p[row])


def test_scores_are_the_same_whether_indexed_or_not(nights: Path, corpus: OpenCorpus, tmp_path: Path):
    """A segment can also hold sources of tonight. They must not count as earlier windows."""
    import shutil

    root = shutil.copytree(nights, tmp_path / "corpus")
    index(root, config=replace(CONFIG, index=IndexConfig(exact_below=1)))
    indexed = OpenCorpus(root)
    assert {i for segment in indexed.manifest.segments for i in segment.live_ids} == set(indexed.manifest.sources)
    old, new = of_nights(corpus, 0, 1), of_nights(corpus, 2)
    queries = vectors(corpus, new).astype(np.float32)
    expected = (queries.astype(np.float64) @ vectors(corpus, old).T).max(axis=1)
    for opened in (corpus, indexed):
        earlier = Selection.of_sources(opened, KEY, old)
        np.testing.assert_allclose(best_scores(earlier, queries, exact=True), expected, atol=1e-5)
    assert [one.novel for one in judge(indexed, new, CONFIG.nightly)] == [
        one.novel for one in judge(corpus, new, CONFIG.nightly)]


def test_what_only_a_graph_calls_novel_is_compared_with_everything(
    corpus: OpenCorpus, novelty: Novelty, monkeypatch: pytest.MonkeyPatch
):
    known = measure_usual_scores(corpus, KEY, of_nights(corpus, 0, 1))

    def missing_the_best(earlier: Selection, queries: np.ndarray, *, exact: bool = False) -> np.ndarray:
        return best_scores(earlier, queries) - (0 if exact else 0.2)

    monkeypatch.setattr("pipeline.nightly.novelty.measure_usual_scores", lambda *arguments: known)
    monkeypatch.setattr("pipeline.nightly.novelty.best_scores", missing_the_best)
    [rough] = judge(corpus, of_nights(corpus, 2), CONFIG.nightly)
    assert rough.novel == rough.tonight, "nothing but the graph was asked"
    monkeypatch.setattr("pipeline.nightly.novelty.is_approximate", lambda earlier: True)
    [found] = judge(corpus, of_nights(corpus, 2), CONFIG.nightly)
    assert found.to_json() == novelty.to_json()


def test_one_more_ordinary_night_has_about_the_novelty_that_is_expected(corpus: OpenCorpus):
    [found] = judge(corpus, of_nights(corpus, 1), NightlyConfig(least_earlier=20, novel_share=0.02))
    assert found.of_other == "nights"
    assert found.novel <= found.expected + 4 * np.sqrt(found.expected)


@pytest.mark.parametrize(("changes", "nights_before", "why"), [
    ({"least_earlier": 100_000}, (0, 1), "earlier windows, and at least 100,000 are needed"),
    ({"novel_share": 1e-4}, (0, 1), "earlier windows is too small for a share of 0.0001"),
    ({}, (), "there are 0 earlier windows"),
])
def test_with_too_little_to_compare_with_nothing_is_called_new(
    corpus: OpenCorpus, changes: dict[str, float], nights_before: tuple[int, ...], why: str
):
    tonight = set(corpus.manifest.sources) - set(of_nights(corpus, *nights_before))
    [found] = judge(corpus, tonight, replace(CONFIG.nightly, **changes))
    assert why in found.not_judged
    assert found.clusters == ()


def test_within_one_night_other_sources_stand_for_other_nights(corpus: OpenCorpus):
    one, other = of_nights(corpus, 0)
    found = measure_usual_scores(corpus, KEY, [one, other])
    assert found is not None
    likeness = vectors(corpus, [one]) @ vectors(corpus, [other]).T
    np.testing.assert_allclose(found.scores, np.sort(np.r_[likeness.max(axis=0), likeness.max(axis=1)]), atol=1e-5)
    assert found.of_other == "sources"
    assert measure_usual_scores(corpus, KEY, [one]) is None


@pytest.mark.parametrize("share", [0.001, 0.01, 0.02, 0.3])
@pytest.mark.parametrize("count", [1, 49, 99, 500])
def test_below_the_threshold_is_where_p_is_at_most_the_share(count: int, share: float):
    rng = np.random.default_rng(count)
    known = UsualScores(np.sort(rng.choice(np.linspace(0.5, 1, 60), count).astype(np.float32)), "nights")
    scores = np.linspace(0.4, 1, 700).astype(np.float32)
    threshold = known.threshold(share)
    below = np.zeros(len(scores), bool) if threshold is None else scores < threshold
    np.testing.assert_array_equal(below, known.p_value(scores) <= share)


TILINGS = [
    Tiling(header(0, 0), WindowGrid(), CoarseLayout(8192, "flag")),
    Tiling(header(0, 0), WindowGrid(256, 128), CoarseLayout(10_000, "dc-spikes", 5_000)),
    Tiling(replace(header(0, 0), nsamples=48), WindowGrid(), CoarseLayout(10_000, "dc-spikes", 100)),
    Tiling(replace(header(0, 0), nsamples=43), WindowGrid(cover=True), CoarseLayout(10_000, "dc-spikes", 100)),
]


@pytest.mark.parametrize("tiling", TILINGS[1:])
def test_each_dc_bin_and_edge_is_in_windows_that_are_left_out(tiling: Tiling):
    numbers = np.arange(tiling.windows_per_block)
    held = by_place(tiling, numbers, np.zeros(len(numbers), int), np.empty(0, np.int64))
    for i in range(tiling.n_coarse):
        if not tiling.is_whole(i):
            continue
        start, stop = tiling.coarse_span(i)
        for number in range(tiling.first_position(i), tiling.first_position(i) + tiling.windows_in(i)):
            window = tiling.window("s", number)
            spans = range(window.channel_start, window.channel_stop)
            middles = {start + tiling.coarse.width // 2, start + tiling.coarse.width // 2 - 1}
            if middles & set(spans):
                assert held[number] == "DC bin"
            elif window.channel_start == start or window.channel_stop + tiling.grid.step > stop:
                assert held[number] == "edge"
    assert (held == "").mean() > 0.5


def test_dead_windows_and_those_of_most_coarse_channels_are_left_out():
    tiling = TILINGS[0]
    kept = np.array([coarse * 32 + 9 for coarse in range(5)] + [coarse * 32 + 20 for coarse in range(4)])
    masked = np.zeros(len(kept), int)
    masked[8] = 256 * 16 // 4
    assert by_place(tiling, kept, masked, kept).tolist() == ["same channels"] * 5 + [""] * 3 + ["masked"]
    assert broadband(tiling, np.arange(5) * 32 + np.array([3, 9, 4, 20, 7])).all()
    assert not broadband(tiling, np.arange(4) * 32 + 5).any()
    later = TILINGS[2].windows_per_block
    assert not broadband(TILINGS[2], np.array([0, later, 2 * later])).any(), "not at the same time"
