import json
import os
import time
from dataclasses import FrozenInstanceError, replace

import pytest

from pipeline.catalogue import FileEntry, Manifest, SegmentEntry, SourceEntry, check_consistency
from pipeline.catalogue.manifest import ENTRIES_PER_PIECE
from pipeline.errors import CorpusMismatch, Reason
from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport
from pipeline.views import View
from tests.store import conftest as of_stores

header, spec = of_stores.header, of_stores.spec
COARSE = CoarseLayout(2**18, "dc-spikes", 17)


def source(header: Header, source_id: str = "s1", path: str = "/data/s1.h5") -> Source:
    return Source(source_id, header, COARSE, path, 10, 20)


def report(kept: int = 3, also_at: tuple[str, ...] = ()) -> SourceReport:
    return SourceReport("/data/s1.h5", "done", "s1", windows_seen=100, windows_kept=kept, also_at=also_at)


@pytest.fixture
def full(header: Header, spec: EncoderSpec) -> Manifest:
    return (
        Manifest(generation=7)
        .with_sources([(source(header), report(also_at=("/b.fil",)))])
        .with_vectors_of(spec, {"s1": 3})
        .with_files({"/data/s1.h5": FileEntry(10, 20, "done", source_id="s1")})
        .with_files({"/data/bad.h5": FileEntry(1, 2, "failed", Reason.TRUNCATED, "cut short", tries=2)})
        .with_segment(SegmentEntry("seg1", spec.key, "2.794Hz-18.25s", 3, ("s1",)))
    )


def test_a_full_manifest_comes_back_equal_with_its_types(full: Manifest):
    back = Manifest.from_json(full.to_json())
    assert back == full
    assert isinstance(back.files["/data/bad.h5"].reason, Reason)
    assert isinstance(back.sources["s1"].header, Header)
    assert isinstance(back.sources["s1"].coarse, CoarseLayout)
    assert isinstance(back.segments[0].source_ids, tuple)


@pytest.mark.parametrize("nfpc", [0, 8192])
def test_the_width_told_by_a_header_comes_back_and_is_left_out_if_there_is_none(header: Header, nfpc: int):
    full = Manifest().with_sources([(source(replace(header, nfpc=nfpc)), report())])
    assert ("nfpc" in json.loads(full.to_json())["sources"]["s1"]["header"]) is (nfpc > 0)
    assert Manifest.from_json(full.to_json()) == full


def test_a_change_leaves_the_original_alone(full: Manifest, spec: EncoderSpec):
    before = full.to_json()
    full.with_vectors_of(replace(spec, version=2), {"s1": 3})
    full.with_also_at("s1", ["/c.h5"])
    full.with_files({"/new": FileEntry(0, 0, "busy", Reason.BUSY)})
    full.without_segments(["seg1"])
    assert full.to_json() == before
    with pytest.raises(FrozenInstanceError):
        full.generation = 8  # type: ignore[misc]


def test_with_source_takes_source_and_report_together(full: Manifest, header: Header):
    assert full.sources["s1"] == SourceEntry(
        header, COARSE, "/data/s1.h5", 10, 20, 100, 3, "2.794Hz-18.25s", ("/b.fil",), {"power-spectrum-v1": 3}
    )
    with pytest.raises(ValueError, match="s1 is in the manifest already"):
        full.with_sources([(source(header), report())])


def test_vectors_bring_their_encoder(full: Manifest, spec: EncoderSpec):
    assert full.encoders == {spec.key: spec}
    with pytest.raises(KeyError, match="unknown"):
        full.with_vectors_of(spec, {"unknown": 3})


def test_an_encoder_is_noted_with_the_weights_it_was_last_made_with(full: Manifest, spec: EncoderSpec):
    noted = full.with_encoder(spec, "/w.npz")
    assert (noted.encoders, noted.weights) == ({spec.key: spec}, {spec.key: "/w.npz"})
    assert noted.with_encoder(spec, "/w.npz") is noted
    assert noted.with_encoder(spec, "").weights == {spec.key: ""}
    assert Manifest.from_json(noted.to_json()) == noted


def test_vectors_are_dropped_with_the_segment_that_holds_no_others(full: Manifest, spec: EncoderSpec):
    other = replace(spec, version=2)
    segment = SegmentEntry("seg2", other.key, "2.794Hz-18.25s", 3, ("s1",))
    both = full.with_vectors_of(other, {"s1": 3}).with_segment(segment)
    assert (both.lacking(spec.key), both.lacking("nobody's")) == ([], ["s1"])
    left = both.without_vectors({("s1", spec.key)})
    assert dict(left.sources["s1"].vectors) == {other.key: 3}
    assert [segment.id for segment in left.segments] == ["seg2"]
    assert (left.lacking(spec.key), left.lacking(other.key)) == (["s1"], [])


def test_further_paths_are_listed_once_and_never_the_first(full: Manifest):
    entry = full.with_also_at("s1", ["/c.h5", "/b.fil", "/data/s1.h5"]).sources["s1"]
    assert entry.also_at == ("/b.fil", "/c.h5")


def test_segments_are_dropped_by_id(full: Manifest):
    assert full.without_segments(["seg1"]).segments == ()
    assert full.without_segments([]) is full
    with pytest.raises(KeyError, match="nope"):
        full.without_segments(["nope"])


def test_file_names_that_are_not_utf_8_and_awkward_ones_round_trip(full: Manifest):
    raw = b"/data/\xff\xfe caf\xe9.h5"
    names = [os.fsdecode(raw), "/data/π\U0001f4e1.h5", '/data/"\n\t.h5', "/data/café.h5"]
    manifest = full.with_also_at("s1", names).with_files({name: FileEntry(1, 2, "done") for name in names})
    text = manifest.to_json()
    assert text.isascii()
    back = Manifest.from_json(text.encode("ascii"))
    assert back == manifest
    assert raw in {os.fsencode(name) for name in back.files}


def test_a_newer_format_says_so(full: Manifest):
    text = json.dumps({**json.loads(full.to_json()), "format": 7})
    with pytest.raises(CorpusMismatch, match=r"format 7.*update"):
        Manifest.from_json(text)


def test_an_overview_belongs_to_a_scan(full: Manifest, header: Header):
    seen = full.with_overviews(["s1"])
    assert json.loads(seen.to_json())["sources"]["s1"]["overview"] is True
    assert Manifest.from_json(seen.to_json()) == seen
    assert full.with_overviews([]) is full
    assert seen.with_overviews(["s1"], are_held=False) == full
    view = View(4)
    of_view = replace(source(view.header_of(header), "s1+f4"), coarse=view.coarse_of(COARSE))
    both = seen.with_sources([(of_view, report())])
    check_consistency(both)
    with pytest.raises(ValueError, match="only a scan itself has an overview"):
        check_consistency(both.with_overviews(["s1+f4"]))


def test_a_manifest_is_kept_from_programs_that_do_not_know_its_groups(full: Manifest):
    record = json.loads(full.to_json())
    assert record["format"] == 6
    assert set(record["segments"][0]) == {"id", "encoder_key", "resolution", "count", "source_ids", "dead"}
    routed = replace(full, segments=(*full.segments, replace(full.segments[0], id="seg2", cells=(1, 0, 2))))
    back = Manifest.from_json(routed.to_json())
    assert back == routed
    assert back.segments[1].cells == (1, 0, 2)
    flat = replace(full, segments=(replace(full.segments[0], is_flat=True),))
    assert json.loads(flat.to_json())["segments"][0]["is_flat"] is True
    assert Manifest.from_json(flat.to_json()) == flat


def test_a_routed_segment_is_opened_cell_by_cell_but_for_the_empty_ones(full: Manifest):
    (plain,) = full.segments
    assert plain.pieces == (plain,)
    assert plain.routed_id == ""
    pieces = replace(plain, cells=(1, 0, 2), dead={"s0": 1}).pieces
    assert [(piece.id, piece.count) for piece in pieces] == [("seg1/cell-0000", 1), ("seg1/cell-0002", 2)]
    assert {piece.routed_id for piece in pieces} == {"seg1"}
    assert all((piece.source_ids, piece.dead, piece.cells) == (("s1",), {"s0": 1}, ()) for piece in pieces)


@pytest.mark.parametrize("number", [3, 4, 5])
def test_manifests_of_earlier_versions_are_read(full: Manifest, number: int):
    assert Manifest.from_json(json.dumps({**json.loads(full.to_json()), "format": number})) == full


@pytest.mark.parametrize("number", [1, 2])
def test_formats_that_were_never_released_are_refused(full: Manifest, number: int):
    text = json.dumps({**json.loads(full.to_json()), "format": number})
    with pytest.raises(CorpusMismatch, match=f"format {number}, this version reads 3 to 6; ingest"):
        Manifest.from_json(text)


def test_totals_are_those_of_all_sources(header: Header, spec: EncoderSpec):
    full = three(header, spec)
    kept = [entry.windows_kept for entry in full.sources.values()]
    assert len(kept) == 3
    assert (full.windows_kept, full.windows_seen) == (sum(kept), 300)
    other = replace(spec, version=2)
    assert full.with_encoder(other, "").vector_counts() == {spec.key: sum(kept), other.key: 0}


# --- segments and what is gone from them ---------------------------------------------------------------------------


def three(header: Header, spec: EncoderSpec) -> Manifest:
    """Manifest of sources a, b and c with 10, 20 and 30 vectors. The first two are in one segment."""
    manifest = Manifest()
    for name, count in (("a", 10), ("b", 20), ("c", 30)):
        manifest = manifest.with_sources([(source(header, name, f"/{name}.h5"), report(kept=count))])
        manifest = manifest.with_vectors_of(spec, {name: count})
        manifest = manifest.with_files({f"/{name}.h5": FileEntry(1, 2, "done", source_id=name)})
    return manifest.with_segment(SegmentEntry("ab", spec.key, "2.794Hz-18.25s", 30, ("a", "b")))


def in_segments(manifest: Manifest) -> dict[str, tuple[tuple[str, ...], int]]:
    return {segment.id: (segment.live_ids, segment.live_count) for segment in manifest.segments}


def test_a_source_takes_the_place_of_its_beginning_and_of_nothing_else(header: Header, spec: EncoderSpec):
    full, longer = three(header, spec), replace(header, nsamples=2 * header.nsamples)
    grown = full.with_sources([(source(longer, "a2", "/x.h5"), replace(report(), replaces=("a", "nobody")))])
    assert (set(grown.sources), set(grown.files)) == ({"a2", "b", "c"}, {"/b.h5", "/c.h5"})
    assert in_segments(grown) == {"ab": (("b",), 20)}
    # without a word of it in the report; as long as the other one; with another telescope, time or target
    for other, name, replaces in ((longer, "a2", ()), (header, "a2", ("a",)), (longer, "GBT_1_2_X_a2", ("a",))):
        new = full.with_sources([(source(other, name, "/a.h5"), replace(report(), replaces=replaces))])
        assert set(new.sources) == {"a", "b", "c", name}


def test_a_segment_serves_the_sources_that_are_left(header: Header, spec: EncoderSpec):
    full = three(header, spec)
    left = full.without_sources(["a", "c"])
    assert set(left.sources) == {"b"} == {entry.source_id for entry in left.files.values()}
    assert in_segments(left) == {"ab": (("b",), 20)}
    assert (left.segments[0].count, left.segments[0].dead) == (30, {"a": 10})
    assert Manifest.from_json(left.to_json()) == left
    assert left.without_sources(["b"]).segments == ()
    assert (full.losses, left.losses) == (0, 1)


def test_what_comes_back_is_not_found_through_the_segment_it_was_in(header: Header, spec: EncoderSpec):
    left = three(header, spec).without_vectors({("a", spec.key)}).with_vectors_of(spec, {"a": 11})
    assert in_segments(left) == {"ab": (("b",), 20)}
    assert in_segments(left.without_sources(["a"])) == {"ab": (("b",), 20)}


def test_vectors_of_another_encoder_do_not_touch_a_segment(header: Header, spec: EncoderSpec):
    full = three(header, spec).with_vectors_of(replace(spec, version=2), {"a": 10})
    assert full.without_vectors({("a", "power-spectrum-v2")}).segments == full.segments


def test_a_new_segment_takes_its_sources_from_older_ones(header: Header, spec: EncoderSpec):
    taken = three(header, spec).with_segment(SegmentEntry("bc", spec.key, "2.794Hz-18.25s", 50, ("b", "c")))
    assert in_segments(taken) == {"ab": (("a",), 10), "bc": (("b", "c"), 50)}
    one = taken.with_segment(SegmentEntry("abc", spec.key, "2.794Hz-18.25s", 60, ("a", "b", "c")))
    assert in_segments(one) == {"abc": (("a", "b", "c"), 60)}


def test_a_removed_source_and_its_files_are_remembered_until_it_is_taken_back(header: Header, spec: EncoderSpec):
    full = three(header, spec).with_also_at("a", ["/copy.fil"])
    full = full.with_files({"/copy.fil": FileEntry(3, 4, "skipped", Reason.DUPLICATE, "the same scan as /a.h5", "a")})
    gone = full.with_removed(["a"])
    assert set(gone.sources) == {"b", "c"}
    assert gone.removed == {"a": ("/a.h5", "/copy.fil")}
    assert gone.removed_nsamples == {"a": header.nsamples}
    assert {path: (e.status, e.reason, e.source_id) for path, e in gone.files.items()} == {
        "/a.h5": ("skipped", Reason.REMOVED, "a"), "/copy.fil": ("skipped", Reason.REMOVED, "a"),
        "/b.h5": ("done", None, "b"), "/c.h5": ("done", None, "c")}
    said = "/copy.fil: was removed; to take it in again: lookalike remove --undo a --corpus CORPUS"
    assert gone.files["/copy.fil"].message == said
    assert Manifest.from_json(gone.to_json()) == gone
    gone = replace(gone, retired={"sources/a": 1.0, "vectors/k/a": 2.0, "sources/aa": 3.0, "index/ab": 4.0})
    back = gone.with_taken_back(["a"])
    assert (back.removed, set(back.files), set(back.sources)) == ({}, {"/b.h5", "/c.h5"}, {"b", "c"})
    assert back.removed_nsamples == {}
    assert "removed_nsamples" not in json.loads(back.to_json()), "old manifests, which lack it, are up to date"
    assert back.retired == {"sources/aa": 3.0, "index/ab": 4.0}




@pytest.mark.parametrize(
    ("foff_mhz", "tsamp_s", "expected"),
    [
        (-2.7939677238464355e-06, 18.253611008, "2.794Hz-18.25s"),
        (2.835503418452676e-06, 17.98666, "2.836Hz-17.99s"),
        (-0.3662109375, 0.00034952533333333335, "366200Hz-0.0003495s"),
        (-0.00286102294921875, 1.073741824, "2861Hz-1.074s"),
    ],
)
def test_a_new_class_is_readable(header: Header, foff_mhz: float, tsamp_s: float, expected: str):
    assert Manifest().resolution_of(replace(header, foff_mhz=foff_mhz, tsamp_s=tsamp_s)) == expected


def test_within_one_per_cent_is_the_same_class_of_either_sign(header: Header):
    manifest = Manifest().with_sources([(source(header), report())])
    known = manifest.sources["s1"].resolution

    def same(foff: float, tsamp: float) -> bool:
        near = replace(header, foff_mhz=header.foff_mhz * foff, tsamp_s=header.tsamp_s * tsamp)
        return manifest.resolution_of(near) == known

    assert same(-1, 1)
    assert same(1.009, 0.991)
    assert not same(1.011, 1)
    assert not same(1, 0.989)


def test_of_two_classes_that_fit_the_nearer_is_taken(header: Header):
    def scaled(by: float) -> Header:
        return replace(header, foff_mhz=header.foff_mhz * by)

    manifest = Manifest().with_sources([(source(header), report())])
    manifest = manifest.with_sources([(source(scaled(1.012), "s2"), report())])
    first, second = (manifest.sources[key].resolution for key in ("s1", "s2"))
    assert first != second
    assert manifest.resolution_of(scaled(1.005)) == first
    assert manifest.resolution_of(scaled(1.007)) == second


def test_many_at_once_are_what_they_are_one_by_one(full: Manifest, header: Header, spec: EncoderSpec):
    # the third source starts a new class; the fourth joins it, because it is within 1 % of the third only
    widths = [("a", 1.0), ("b", 1.005), ("c", 1.012), ("d", 1.02)]
    sources = [source(replace(header, foff_mhz=header.foff_mhz * by), name, f"/{name}.h5") for name, by in widths]
    one_by_one = full
    for number, each in enumerate(sources):
        one_by_one = one_by_one.with_sources([(each, report(kept=number))]).with_vectors_of(spec, {each.id: number})
    at_once = full.with_sources((each, report(kept=number)) for number, each in enumerate(sources))
    at_once = at_once.with_vectors_of(spec, {each.id: number for number, each in enumerate(sources)})
    assert at_once == one_by_one
    assert len({at_once.sources[name].resolution for name in "abcd"}) == 2
    assert at_once.sources["c"].resolution == at_once.sources["d"].resolution
    with pytest.raises(ValueError, match="b is in the manifest already"):
        full.with_sources([(sources[1], report()), (sources[1], report())])
    with pytest.raises(KeyError, match="unknown"):
        at_once.with_vectors_of(spec, {"a": 1, "unknown": 2})


@pytest.mark.parametrize("count", [
    0, 1, ENTRIES_PER_PIECE - 1, ENTRIES_PER_PIECE, ENTRIES_PER_PIECE + 1, 3 * ENTRIES_PER_PIECE])
def test_pieces_of_text_are_one_json_text_however_many_entries_there_are(full: Manifest, count: int):
    names = [f"GBT_{number}" for number in range(count)]
    sources = dict.fromkeys(names, full.sources["s1"])
    manifest = replace(full, sources=sources, files={}, removed={"gone": ("/gone.h5",)})
    text = manifest.to_json()
    assert json.dumps(json.loads(text), separators=(",", ":")) == text
    back = Manifest.from_json(text)
    assert back == manifest
    assert list(back.sources) == names


def test_ten_times_as_many_sources_take_about_ten_times_as_long_to_load(full: Manifest):
    entry, file = full.sources["s1"], full.files["/data/s1.h5"]

    def best_s(count: int) -> float:
        names = [f"GBT_57436_{number:05d}_HIP77257_0123456789ab" for number in range(count)]
        manifest = replace(full, sources=dict.fromkeys(names, entry), files=dict.fromkeys(names, file))
        text, times_s = manifest.to_json(), []
        for _ in range(3):
            began = time.process_time()
            assert len(Manifest.from_json(text).sources) == count
            times_s.append(time.process_time() - began)
        return min(times_s)

    assert best_s(5_000) < 30 * best_s(500), "a square would be 100 times"
