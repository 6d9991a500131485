import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport, Status, WindowGrid
from pipeline.run.file_entries import with_moved
from pipeline.run.plan import choose_sources, split_known
from pipeline.run.task_sizes import EMBED_BYTES, PART_CHANNELS, parts_of, slices_of
from pipeline.tasks import Probed, sample_keys

HEADER = Header(
    fch1_mhz=1400.0, foff_mhz=-2.79e-6, nchans=2**20, nifs=1, nbits=32, tsamp_s=18.25, nsamples=16, tstart_mjd=59_000.0
)
SPEC = EncoderSpec("power-spectrum", 1, 8, "cutout-v1 16x256")
STAT = (1000, 77)
A, B, C = "/data/a.h5", "/data/b.fil", "/data/c.h5"


def found(*paths: str) -> list[FoundFile]:
    return [FoundFile(Path(path), Path("/data")) for path in paths]


def source(path: str, source_id: str = "GBT_1") -> Source:
    return Source(source_id, HEADER, CoarseLayout(HEADER.nchans, "product"), path, *STAT)


def holding(path: str = A, source_id: str = "GBT_1", also_at: tuple[str, ...] = ()) -> Manifest:
    """A corpus that holds one source, read from ``path``."""
    report = SourceReport(path, "done", source_id, also_at=also_at)
    manifest = Manifest().with_sources([(source(path, source_id), report)]).with_vectors_of(SPEC, {source_id: 0})
    return manifest.with_files({path: FileEntry(*STAT, status="done", source_id=source_id)})


def noted(path: str, reason: Reason, status: Status = "failed", manifest: Manifest | None = None) -> Manifest:
    entry = FileEntry(*STAT, status=status, reason=reason, message=f"{path}: no good", source_id="GBT_1")
    return (manifest or Manifest()).with_files({path: entry})


# --- split_known ---------------------------------------------------------------------------------------------------


def test_an_unknown_file_is_probed() -> None:
    unknown, reports = split_known(found(A, B), [STAT, STAT], Manifest())
    assert [str(file.path) for file in unknown] == [A, B]
    assert reports == []


def test_a_done_file_is_skipped_without_a_reason() -> None:
    unknown, reports = split_known(found(A), [STAT], holding(A))
    assert unknown == []
    assert [(r.path, r.status, r.source_id, r.reason) for r in reports] == [(A, "skipped", "GBT_1", None)]


def test_a_done_file_is_probed_if_the_corpus_does_not_hold_its_scan() -> None:
    manifest = Manifest().with_files({A: FileEntry(*STAT, status="done", source_id="GBT_1")})
    unknown, reports = split_known(found(A), [STAT], manifest)
    assert ([str(file.path) for file in unknown], reports) == ([A], [])


def test_a_file_whose_size_or_time_changed_or_which_went_is_probed_again() -> None:
    for stat in ((STAT[0] + 1, STAT[1]), (STAT[0], STAT[1] + 1), None):
        unknown, reports = split_known(found(A), [stat], holding(A))
        assert (len(unknown), reports) == (1, []), stat


def test_every_reason_is_retried_exactly_where_it_may_heal() -> None:
    for reason in set(Reason) - {Reason.DUPLICATE}:
        unknown, reports = split_known(found(A), [STAT], noted(A, reason))
        if reason in {Reason.TRUNCATED, Reason.BUSY, Reason.GONE, Reason.PERMISSION, Reason.CRASHED, Reason.DAMAGED}:
            assert (len(unknown), reports) == (1, []), reason
        else:
            assert unknown == []
            (report,) = reports
            assert (report.path, report.status, report.reason) == (A, "failed", reason)
            assert report.message == f"{A}: no good"


def test_a_duplicate_is_known_as_long_as_the_corpus_holds_its_scan() -> None:
    manifest = noted(B, Reason.DUPLICATE, "skipped", manifest=holding(A))
    unknown, reports = split_known(found(B), [STAT], manifest)
    assert unknown == []
    assert [(r.status, r.reason) for r in reports] == [("skipped", Reason.DUPLICATE)]


def test_the_copy_of_a_file_that_could_not_be_used_is_tried_instead() -> None:
    manifest = noted(B, Reason.DUPLICATE, "skipped", manifest=noted(A, Reason.CORRUPT_CHUNK))
    unknown, reports = split_known(found(A, B), [STAT, STAT], manifest)
    assert [str(file.path) for file in unknown] == [B]
    assert [r.reason for r in reports] == [Reason.CORRUPT_CHUNK]


def test_a_copy_of_a_scan_whose_own_file_has_gone_is_probed_again() -> None:
    manifest = noted(B, Reason.DUPLICATE, "skipped", holding(A))
    for gone, probed in ((set(), []), ({A}, [B]), ({B}, [])):
        unknown, _ = split_known(found(B), [STAT], manifest, is_gone=gone.__contains__)
        assert [str(file.path) for file in unknown] == probed
    replaced = manifest.with_files({A: FileEntry(*STAT, status="done", source_id="GBT_2")})
    unknown, _ = split_known(found(B), [STAT], replaced)
    assert [str(file.path) for file in unknown] == [B]


# --- choose_sources ------------------------------------------------------------------------------------------------


def test_the_first_copy_is_read_and_every_duplicate_lists_all_paths() -> None:
    plan = choose_sources([Probed(source(path)) for path in (B, A, C)], Manifest())
    assert [(item.source.path, item.also_at) for item in plan.todo] == [(B, (A, C))]
    assert {(r.path, r.status, r.reason, r.also_at) for r in plan.reports} == {
        (A, "skipped", Reason.DUPLICATE, (B, C)), (C, "skipped", Reason.DUPLICATE, (A, B))}
    assert all(B in r.message for r in plan.reports)


def test_a_copy_of_what_the_corpus_holds_is_a_duplicate_of_it() -> None:
    plan = choose_sources([Probed(source(B))], holding(A, also_at=(C,)))
    assert plan.todo == ()
    assert [(r.path, r.reason, r.also_at) for r in plan.reports] == [(B, Reason.DUPLICATE, (A, C))]


def test_a_touched_file_that_still_holds_the_same_scan_is_no_duplicate_of_itself() -> None:
    plan = choose_sources([Probed(source(A))], holding(A))
    assert [(r.path, r.status, r.reason) for r in plan.reports] == [(A, "skipped", None)]


def test_no_copy_of_a_scan_that_was_removed_is_read() -> None:
    manifest = holding(A).with_removed(["GBT_1"])
    plan = choose_sources([Probed(source(B)), Probed(source(C, "GBT_2"))], manifest)
    assert [item.source.path for item in plan.todo] == [C]
    (report,) = plan.reports
    assert (report.path, report.status, report.source_id, report.reason) == (B, "skipped", "GBT_1", Reason.REMOVED)
    assert report.message == f"{B}: was removed; to take it in again: lookalike remove --undo GBT_1 --corpus CORPUS"
    unknown, (known,) = split_known(found(A), [STAT], manifest)
    assert (unknown, known.path, known.reason) == ([], A, Reason.REMOVED)


def test_a_copy_that_has_not_failed_before_is_preferred() -> None:
    copies = [Probed(source(A)), Probed(source(B))]
    plan = choose_sources(copies, noted(A, Reason.CRASHED))
    assert [item.source.path for item in plan.todo] == [B]
    changed = replace(source(A), mtime_ns=STAT[1] + 1)  # mended since
    plan = choose_sources([Probed(changed), copies[1]], noted(A, Reason.CRASHED))
    assert [item.source.path for item in plan.todo] == [A]


def test_reports_of_probing_pass_through_and_scans_keep_their_order() -> None:
    bad = SourceReport(C, "failed", reason=Reason.EMPTY)
    plan = choose_sources([Probed(source(B, "GBT_2")), bad, Probed(source(A, "GBT_1"))], Manifest())
    assert [item.source.id for item in plan.todo] == ["GBT_2", "GBT_1"]
    assert plan.reports == (bad,)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), unique=True), st.sets(st.integers(0, 4)))
def test_each_file_is_either_read_or_reported_and_each_scan_is_read_once(
    files: list[tuple[int, bool]], held: set[int]
) -> None:
    manifest = Manifest()
    for n in held:
        one = holding(f"/held/{n}", f"GBT_{n}")
        manifest = replace(manifest, sources={**manifest.sources, **one.sources})
    probed = [Probed(source(f"/data/{n}.{'h5' if is_h5 else 'fil'}", f"GBT_{n}")) for n, is_h5 in files]
    plan = choose_sources(probed, manifest)
    paths = [item.source.path for item in plan.todo] + [report.path for report in plan.reports]
    assert sorted(paths) == sorted(item.source.path for item in probed)
    assert sorted(p.source.id for p in plan.todo) == [f"GBT_{n}" for n in sorted({n for n, _ in files} - held)]


# --- parts_of ------------------------------------------------------------------------------------------------------


@given(
    nchans=st.integers(256, 2**31),
    width=st.integers(256, 2**24),
    offset=st.integers(0, 2**24),
    nsamples=st.integers(16, 5000),
)
def test_parts_cover_every_coarse_channel_once_and_are_a_bounded_piece_of_work(
    nchans: int, width: int, offset: int, nsamples: int
) -> None:
    width = max(min(width, nchans), nchans // 5000)
    coarse = CoarseLayout(width, "flag", offset % width)
    tiling = Tiling(replace(HEADER, nchans=nchans, nsamples=nsamples), WindowGrid(), coarse)
    parts = parts_of(tiling)
    assert [i for part in parts for i in part] == list(range(tiling.n_coarse))
    for part in parts:
        assert len(part) == 1 or len(part) * width * tiling.n_blocks <= PART_CHANNELS


def test_parts_of_an_l_band_file_are_some_dozens_of_coarse_channels() -> None:
    header = replace(HEADER, nchans=308 * 2**20)
    parts = parts_of(Tiling(header, WindowGrid(), CoarseLayout(2**20, "product")))
    assert {len(part) for part in parts[:-1]} == {PART_CHANNELS // 2**20}
    assert 8 <= len(parts) <= 40


# --- slices_of, sample_keys ----------------------------------------------------------------------------------------


@given(count=st.integers(0, 10**6), channels=st.integers(2, 2**21), integrations=st.integers(1, 300))
def test_slices_cover_every_window_once_and_are_a_bounded_piece_of_memory(
    count: int, channels: int, integrations: int
) -> None:
    count = min(count, 10**9 // (channels * integrations))  # not too many slices to look at
    slices = slices_of(count, WindowGrid(channels, channels, integrations))
    assert slices[0][0] == 0
    assert slices[-1][1] == count
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(slices))
    assert all(start < stop for start, stop in slices) or slices == [(0, 0)]
    assert all(stop - start <= 1 or (stop - start) * channels * integrations <= EMBED_BYTES for start, stop in slices)


def test_sample_keys_are_as_good_as_random_and_always_the_same() -> None:
    numbers = np.arange(100_000)
    one, other = sample_keys("GBT_1", numbers), sample_keys("GBT_2", numbers)
    assert one.dtype == np.uint64
    np.testing.assert_array_equal(sample_keys("GBT_1", numbers[::-7]), one[::-7])
    for keys in (one, other, one ^ other, one[:-1] ^ one[1:]):
        bits = (keys[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        assert abs(bits.mean(axis=0) - 0.5).max() < 0.01  # six standard deviations
    # SplitMix64 in Python's own integers
    state = (3 * 0x9E3779B97F4A7C15 + int.from_bytes(hashlib.sha256(b"GBT_1").digest()[:8], "little")) % 2**64
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    assert int(one[3]) == state ^ (state >> 31)


# --- files that moved ----------------------------------------------------------------------------------------------


def test_the_path_of_a_source_follows_its_file() -> None:
    manifest = holding(A, also_at=(C,)).with_files({C: FileEntry(*STAT, status="skipped", reason=Reason.DUPLICATE,
                                                                 source_id="GBT_1")})
    plan = choose_sources([Probed(source(B))], manifest, {A, C}.__contains__)
    assert plan.todo == ()
    assert [(r.path, r.status, r.reason, r.message) for r in plan.reports] == [
        (B, "skipped", None, f"already in the corpus; it was at {A} before")]
    after = with_moved(manifest, plan.moved)
    entry = after.sources["GBT_1"]
    assert (entry.path, entry.also_at, (entry.size_bytes, entry.mtime_ns)) == (B, (), STAT)
    assert entry.vectors == manifest.sources["GBT_1"].vectors
    assert after.files == {}, "a file that returns to an old path is looked at again"


def test_a_path_is_kept_while_its_file_is_there() -> None:
    plan = choose_sources([Probed(source(B))], holding(A), {C}.__contains__)
    assert plan.moved == ()
    assert [(r.path, r.reason, r.also_at) for r in plan.reports] == [(B, Reason.DUPLICATE, (A,))]


def test_a_file_that_was_replaced_by_another_scan_counts_as_moved() -> None:
    plan = choose_sources([Probed(source(A, "GBT_2")), Probed(source(B)), Probed(source(C))], holding(A))
    assert [(item.source.path, item.source.id) for item in plan.todo] == [(A, "GBT_2")]
    assert [(item.source.path, item.source.id, item.also_at) for item in plan.moved] == [(B, "GBT_1", (C,))]
    after = with_moved(noted(C, Reason.DUPLICATE, "skipped", holding(A)), plan.moved)
    assert set(after.files) == {C}
