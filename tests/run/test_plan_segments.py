"""The plan of segments: they are few, none exceeds the limit, and no vector is built often."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import Manifest, SegmentEntry
from pipeline.config import IndexConfig
from pipeline.encoders import load_encoder
from pipeline.model import CoarseLayout, EncoderSpec, Source, SourceReport
from pipeline.run import segment_plan
from pipeline.run.segment_plan import plan_flat_segments, plan_segments
from tests.run.small import header


@pytest.fixture(autouse=True)
def gathers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_plan, "MIN_GATHERED", 1)


SPEC: EncoderSpec = load_encoder("power-spectrum").spec


def manifest_of(counts: list[int], tsamp_s: float = 18.0, manifest: Manifest | None = None) -> Manifest:
    manifest = manifest or Manifest()
    for count in counts:
        name = f"GBT_{len(manifest.sources):03d}"
        source = Source(name, header(tsamp_s=tsamp_s), CoarseLayout(1, "flag"), f"/{name}", 1, 1)
        manifest = manifest.with_sources([(source, SourceReport(f"/{name}", "done", name, windows_kept=count))])
        manifest = manifest.with_vectors_of(SPEC, {name: count})
    return manifest


@given(st.lists(st.integers(0, 50), max_size=20), st.lists(st.integers(0, 50), max_size=20),
       st.integers(0, 40), st.integers(1, 100))
def test_planned_segments_hold_each_vector_once_and_are_neither_too_small_nor_too_large(
    counts: list[int], others: list[int], exact_below: int, segment_vectors: int
) -> None:
    manifest = manifest_of(others, tsamp_s=1.0, manifest=manifest_of(counts))
    limits = IndexConfig(exact_below, segment_vectors)
    planned = list(plan_segments(manifest, limits))
    held = [source_id for entry in planned for source_id in entry.source_ids]
    assert len(held) == len(set(held))
    assert set(held) == {source_id for source_id, entry in manifest.sources.items() if entry.windows_kept}
    flat = [entry.resolution for entry in planned if entry.is_flat]
    assert len(set(flat)) == len(flat), "at most one for each resolution"
    for entry in planned:
        sizes = [manifest.sources[source_id].windows_kept for source_id in entry.source_ids]
        assert entry.count == sum(sizes)
        assert 0 not in sizes
        assert {manifest.sources[source_id].resolution for source_id in entry.source_ids} == {entry.resolution}
        # a segment exceeds the limit only if it would be too small without its last source
        assert sum(sizes) <= segment_vectors or sum(sizes[:-1]) < max(exact_below, 1)


@given(st.lists(st.lists(st.integers(0, 50), max_size=12), max_size=8), st.integers(0, 60))
def test_gathered_segments_are_flat_few_and_hold_each_vector_once(ingests: list[list[int]], exact_below: int) -> None:
    limits, manifest = IndexConfig(exact_below=exact_below), Manifest()
    for counts in ingests:
        manifest = manifest_of(counts, manifest=manifest)
        for entry in list(plan_flat_segments(manifest, limits)):
            assert entry.is_flat
            manifest = manifest.with_segment(entry)
        loose = {i for i, entry in manifest.sources.items() if entry.windows_kept} - {
            i for segment in manifest.segments for i in segment.live_ids}
        assert len([i for i in loose if manifest.sources[i].windows_kept < exact_below]) < segment_plan.MIN_GATHERED
        live = sum(segment.live_count for segment in manifest.segments)
        assert len(manifest.segments) <= 2 * live / max(1, exact_below) + 1
    # all of them become segments with graphs, as if they had never been gathered
    planned, anew = (list(plan_segments(one, limits)) for one in (manifest, replace(manifest, segments=())))
    if sum(e.windows_kept for e in manifest.sources.values()) >= exact_below:
        assert [entry.source_ids for entry in planned if not entry.is_flat] == [
            entry.source_ids for entry in anew if not entry.is_flat]


def test_few_sources_are_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(segment_plan, "MIN_GATHERED", 3)
    limits = IndexConfig(exact_below=100)
    assert list(plan_flat_segments(manifest_of([5, 6]), limits)) == []
    (gathered,) = plan_flat_segments(manifest_of([5, 6, 7, 100]), limits)
    assert gathered.source_ids == ("GBT_000", "GBT_001", "GBT_002")


def test_a_flat_segment_has_another_name_than_one_with_a_graph() -> None:
    manifest = manifest_of([5, 6])
    (flat,) = plan_segments(manifest, IndexConfig(exact_below=12))
    (graph,) = plan_segments(manifest, IndexConfig(exact_below=11))
    assert (flat.source_ids, flat.count) == (graph.source_ids, graph.count)
    assert flat.id != graph.id
    assert list(plan_segments(manifest.with_segment(flat), IndexConfig(exact_below=12))) == []
    assert list(plan_segments(manifest.with_segment(flat), IndexConfig(exact_below=11, compact=False))) == [graph]
    assert list(plan_segments(manifest.with_segment(graph), IndexConfig(exact_below=12))) == []


def test_what_is_indexed_is_not_planned_again() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=25)
    manifest = manifest_of([10, 10, 10, 10])
    planned = list(plan_segments(manifest, limits))
    assert [entry.source_ids for entry in planned] == [("GBT_000", "GBT_001"), ("GBT_002", "GBT_003")]
    for entry in planned:
        manifest = manifest.with_segment(entry)
    assert list(plan_segments(manifest, limits)) == []
    (added,) = plan_segments(manifest_of([9, 12], manifest=manifest), limits)
    assert (added.source_ids, added.count) == (("GBT_004", "GBT_005"), 21)


def test_a_segment_is_named_by_what_is_in_it() -> None:
    limits = IndexConfig(exact_below=1)
    (one,) = plan_segments(manifest_of([5, 6]), limits)
    (same,) = plan_segments(manifest_of([5, 6]), limits)
    (other,) = plan_segments(manifest_of([5, 6, 7]), limits)
    assert one.id == same.id != other.id
    assert one.id.startswith("power-spectrum-v1-2.794Hz-18s-")


def night(manifest: Manifest, counts: list[int], limits: IndexConfig) -> tuple[Manifest, list[SegmentEntry]]:
    """Add sources and index them; return the new manifest and the segments that were built."""
    manifest = manifest_of(counts, manifest=manifest)
    built = list(plan_segments(manifest, limits))
    for entry in built:
        manifest = manifest.with_segment(entry)
    assert list(plan_segments(manifest, limits)) == [], "all that is worth it was done at once"
    return manifest, built


def test_equal_nights_are_joined_four_by_four_and_full_segments_are_left_alone() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=1000)
    manifest, sizes = Manifest(), []
    for _ in range(24):
        manifest, _ = night(manifest, [10], limits)
        sizes.append(sorted(segment.live_count for segment in manifest.segments))
    assert sizes[:5] == [[10], [10, 10], [10, 10, 10], [40], [10, 40]]
    assert sizes[14:17] == [[10, 10, 10, 40, 40, 40], [160], [10, 160]]
    # a segment of two thirds of the limit counts as full, and the next nights leave it alone
    tiny = IndexConfig(exact_below=10, segment_vectors=100)
    manifest, sizes = Manifest(), []
    for _ in range(14):
        manifest, _ = night(manifest, [10], tiny)
        sizes.append(sorted(segment.live_count for segment in manifest.segments))
    assert sizes[5:8] == [[10, 10, 40], [70], [10, 70]]
    assert sizes[13] == [70, 70]


@given(st.lists(st.integers(0, 300), max_size=60), st.sampled_from([1, 5, 40]))
def test_nights_leave_few_segments_and_each_vector_is_built_a_few_times(counts: list[int], exact_below: int) -> None:
    limits = IndexConfig(exact_below=exact_below, segment_vectors=1000)
    manifest, work = Manifest(), 0
    for count in counts:
        manifest, built = night(manifest, [count], limits)
        work += sum(entry.count for entry in built)
        assert all(entry.count <= 1000 for entry in built)
    indexed = [source_id for segment in manifest.segments for source_id in segment.live_ids]
    assert len(indexed) == len(set(indexed))
    assert sum(count for count in counts) - sum(s.live_count for s in manifest.segments) < exact_below
    # a vector is built once, once more for each fourfold growth, and once more when its segment becomes full
    smallest = min((count for count in counts if count), default=1)
    total = sum(counts)
    assert work <= total * (2 + math.log(1000 / smallest, 4))
    # the sum of the smallest segments grows by 4/3 with each segment, up to two thirds of a full one, plus one segment
    growing = 2 + math.log(max(1, 1000 * 2 / 3 / max(smallest, exact_below)), 4 / 3)
    full = [segment for segment in manifest.segments if segment.live_count > 500]
    assert len(manifest.segments) - len(full) <= growing + 1


def test_without_compaction_old_segments_stay() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=1000, compact=False)
    manifest = Manifest()
    for _ in range(6):
        manifest, built = night(manifest, [10], limits)
        assert [entry.count for entry in built] == [10]
    manifest = manifest.without_sources(["GBT_000", "GBT_001"])
    assert list(plan_segments(manifest, limits)) == []


def test_segments_are_joined_within_one_encoder_and_resolution() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=1000)
    manifest = Manifest()
    for tsamp_s in (18.0, 1.0) * 3:
        manifest = manifest_of([10], tsamp_s=tsamp_s, manifest=manifest)
        for entry in plan_segments(manifest, limits):
            manifest = manifest.with_segment(entry)
    assert sorted(segment.live_count for segment in manifest.segments) == [10] * 6
    (joined,) = plan_segments(manifest_of([10], manifest=manifest), limits)
    assert {manifest.sources[i].resolution for i in joined.source_ids[:3]} == {joined.resolution} == {"2.794Hz-18s"}
    assert joined.source_ids == ("GBT_000", "GBT_002", "GBT_004", "GBT_006")


@pytest.mark.parametrize(("removed", "built", "left"), [
    (["GBT_000"], [], [40]),                                 # 10 of 50
    (["GBT_000", "GBT_001"], [30], [30]),                    # 20 of 50
    (["GBT_000", "GBT_001", "GBT_002", "GBT_003"], [10], [10]),  # too little is left for a graph
])
def test_a_segment_is_built_anew_once_a_quarter_is_dead(removed: list[str], built: list[int], left: list[int]) -> None:
    limits = IndexConfig(exact_below=20, segment_vectors=1000)
    manifest, _ = night(Manifest(), [10] * 5, limits)
    manifest = manifest.without_sources(removed)
    planned = list(plan_segments(manifest, limits))
    assert [entry.count for entry in planned] == built
    for entry in planned:
        assert not set(entry.source_ids) & set(removed)
        manifest = manifest.with_segment(entry)
    assert [s.live_count for s in manifest.segments] == left


@given(st.lists(st.integers(0, 300), max_size=40), st.sampled_from([300, 1000]))
def test_routed_segments_are_few_and_leave_less_than_one_begins_with(counts: list[int], routed_from: int) -> None:
    limits = IndexConfig(exact_below=20, segment_vectors=200, routed_from=routed_from)
    manifest, work = Manifest(), 0
    for count in counts:
        manifest, built = night(manifest, [count], limits)
        for entry in built:
            assert len(entry.cells) in (0, math.ceil(2 * entry.count / 200))
            assert not entry.cells or entry.count >= routed_from
            work += entry.count if entry.cells else 0
    indexed = [source_id for segment in manifest.segments for source_id in segment.live_ids]
    assert len(indexed) == len(set(indexed))
    routed = sorted(segment.live_count for segment in manifest.segments if segment.cells)
    total = sum(counts)
    assert total - sum(routed) < routed_from
    assert all(larger > 2 * smaller for smaller, larger in itertools.pairwise(routed))
    assert work <= total * (1 + math.log(max(1, total / routed_from), 1.5))


def test_a_routed_segment_takes_in_routed_ones_that_are_not_much_larger() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=50, routed_from=100)
    manifest, sizes = Manifest(), []
    for _ in range(16):
        manifest, _ = night(manifest, [50], limits)
        sizes.append(sorted((segment.live_count, bool(segment.cells)) for segment in manifest.segments))
    assert sizes[:3] == [[(50, False)], [(100, True)], [(50, False), (100, True)]]
    assert [[count for count, _ in sizes[i]] for i in (3, 5, 7, 9, 11, 13, 15)] == [
        [200], [300], [100, 300], [500], [100, 500], [200, 500], [800]]
    unjoined = replace(limits, compact=False)
    manifest, _ = night(manifest, [50, 60], unjoined)
    assert sorted(segment.live_count for segment in manifest.segments) == [110, 800]
    manifest = manifest.without_sources([f"GBT_{i:03d}" for i in range(4)])
    (again,) = plan_segments(manifest, limits)
    assert (again.count, bool(again.cells)) == (600 + 110, True), "a quarter was dead"


def test_a_routed_segment_bears_another_name_than_one_of_the_same_sources() -> None:
    manifest = manifest_of([10, 10])
    (plain,) = plan_segments(manifest, IndexConfig(exact_below=10))
    (routed,) = plan_segments(manifest, IndexConfig(exact_below=10, routed_from=20))
    assert plain.source_ids == routed.source_ids
    assert plain.id != routed.id


def test_a_segment_of_what_came_anew_bears_another_name() -> None:
    limits = IndexConfig(exact_below=10)
    manifest, (first,) = night(Manifest(), [10, 10], limits)
    manifest = manifest.without_vectors({("GBT_000", SPEC.key)}).with_vectors_of(SPEC, {"GBT_000": 10})
    (again,) = plan_segments(manifest, limits)
    assert again.source_ids == first.source_ids
    assert again.id != first.id
