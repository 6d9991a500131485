"""Corpora with averaged views: the views of a scan come and go together with it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import tasks
from pipeline.catalogue import Manifest, check_consistency
from pipeline.config import CONFIG_FILE, Config, ScanConfig
from pipeline.errors import ConfigError, CorpusMismatch
from pipeline.integrity import verify
from pipeline.model import WindowGrid
from pipeline.run import embed, index, ingest, remove
from pipeline.run.preconditions import for_new_corpus
from pipeline.store import CorpusStore, SourceGroup
from pipeline.views import is_plain, scan_of, view_of
from tests.run.small import SCAN, archive, assert_same_corpus, config, contents, write_scan

VIEWS = ("f4", "f16")
SEEN = replace(SCAN, views=VIEWS)


def views_by_scan(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source_id in CorpusStore.open(root).manifest().sources:
        found.setdefault(scan_of(source_id), []).append(view_of(source_id))
    return {scan_id: sorted(views) for scan_id, views in found.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("views") / "data", 2)


@pytest.fixture(scope="module")
def original(data: Path) -> Path:
    """Return a corpus with views, which tests only read or copy."""
    root = data.parent / "corpus"
    assert ingest([data], root, config=config(SEEN), serial=True).exit_code == 0
    return root


@pytest.fixture
def corpus(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "corpus")


def test_a_scan_is_held_with_all_of_its_views(original: Path, data: Path, tmp_path: Path) -> None:
    found = views_by_scan(original)
    assert len(found) == 2
    assert set(map(tuple, found.values())) == {("", "f16", "f4")}
    manifest = CorpusStore.open(original).manifest()
    check_consistency(manifest)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert len(manifest.files) == 2
    assert {entry.source_id for entry in manifest.files.values()} == found.keys()
    # the scans themselves are as in a corpus without views
    ingest([data], tmp_path / "plain", config=config(), serial=True)
    plain, among = contents(tmp_path / "plain"), contents(original)
    assert plain.keys() == {name for name in among if is_plain(name)}
    for source_id, held in plain.items():
        for one, other in zip(held, among[source_id], strict=True) if source_id != "files" else ():
            if isinstance(one, dict):
                assert all(column.tobytes() == other[name].tobytes() for name, column in one.items())
            else:
                assert one == other


def test_a_report_counts_a_file_once_and_its_windows_by_view(data: Path, tmp_path: Path) -> None:
    report = ingest([data], tmp_path / "corpus", config=config(SEEN), serial=True)
    manifest = CorpusStore.open(tmp_path / "corpus").manifest()
    assert len(report.by_status("done")) == 2
    for one in report.reports:
        entry = manifest.sources[one.source_id]
        assert (one.windows_seen, one.windows_kept) == (entry.windows_seen, entry.windows_kept)
        assert [name for name, *_ in one.views] == list(VIEWS)
        for name, seen, kept, _ in one.views:
            of_view = manifest.sources[f"{one.source_id}+{name}"]
            assert (seen, kept) == (of_view.windows_seen, of_view.windows_kept)
    again = ingest([data], tmp_path / "corpus", config=Config.load(tmp_path / "corpus"), serial=True)
    assert {one.message for one in again.reports} == {"already in the corpus"}


def test_views_that_are_added_later_are_those_of_an_ingest(
    original: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "corpus"
    ingest([data], root, config=config(), serial=True)
    with pytest.raises(ConfigError, match="its views are none, this run asks for f4, f16"):
        ingest([data], root, config=config(SEEN), serial=True)
    would = ingest([data], root, config=config(SEEN), add_views=True, serial=True, dry_run=True)
    assert {one.message for one in would.reports} == {"would get views f4, f16"}
    size = sum(path.stat().st_size for path in data.iterdir())
    assert f"2 files to read again for more views, {size:,} bytes" in caplog.text
    report = ingest([data], root, config=config(SEEN), add_views=True, serial=True)
    assert [one.status for one in report.reports] == ["done", "done"]
    assert_same_corpus(root, original)
    assert Config.of_corpus(root).scan.views == VIEWS
    # nothing is left to do, and a new file gets all views by itself
    third = write_scan(tmp_path / "third.fil", 7)
    again = ingest([data, third], root, config=Config.load(root), add_views=True, serial=True)
    assert sorted(one.status for one in again.reports) == ["done", "skipped", "skipped"]
    assert set(map(tuple, views_by_scan(root).values())) == {("", "f16", "f4")}


def test_a_new_corpus_has_the_automatic_views_unless_others_are_named() -> None:
    new = ScanConfig(views=("auto",), cover=True, channel_levels=True, band_template=True)
    assert for_new_corpus(Config()) == Config(new)
    for named in ((), ("f4",), ("auto",)):
        asked = Config(ScanConfig(views=named, cover=False, channel_levels=False, band_template=False))
        assert for_new_corpus(asked) == asked
        assert asked.identity() == Config().identity()


@pytest.mark.parametrize("name", ["channel_levels", "band_template"])
def test_an_old_corpus_goes_on_without_levels_of_channels(tmp_path: Path, name: str) -> None:
    data = write_scan(tmp_path / "one.fil", 1)
    for made, expected in ((False, None), (None, True)):
        root = tmp_path / f"corpus-{made}"
        ingest([data], root, config=config(replace(SEEN, **{name: made})), serial=True)
        assert CorpusStore.open(root).identity["scan"].get(name) is expected
        again = ingest([data], root, config=config(SEEN), serial=True)
        assert [one.status for one in again.reports] == ["skipped"]
        with pytest.raises(CorpusMismatch, match=name):
            ingest([data], root, config=config(replace(SEEN, **{name: not expected})), serial=True)


def test_a_new_corpus_has_the_views_that_suit_its_files(original: Path, data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    (root / CONFIG_FILE).write_text("[scan]\ncoarse_width = 4096\n")  # of the user, for a corpus that is not there yet
    unsaid = config(replace(SCAN, views=None))
    ingest([data], root, config=unsaid, serial=True)
    assert Config.of_corpus(root).scan.views == ("auto",)
    assert_same_corpus(root, original)
    again = ingest([data], root, config=unsaid, serial=True)
    assert {one.message for one in again.reports} == {"already in the corpus"}


def test_a_corpus_that_says_nothing_of_views_has_none_until_they_are_added(
    original: Path, data: Path, tmp_path: Path
) -> None:
    root, unsaid = tmp_path / "corpus", config(replace(SCAN, views=None))
    ingest([data / "scan0.h5"], root, config=config(), serial=True)
    settings = root / CONFIG_FILE
    settings.write_text("".join(line for line in settings.read_text().splitlines(True) if not line.startswith("views")))
    assert Config.load(root).scan.views is None
    ingest([data], root, config=unsaid, serial=True)
    assert set(map(tuple, views_by_scan(root).values())) == {("",)}
    ingest([data], root, config=unsaid, add_views=True, serial=True)
    assert Config.of_corpus(root).scan.views == ("auto",)
    assert_same_corpus(root, original)


def test_more_views_are_added_to_those_that_are_there(corpus: Path, original: Path, data: Path) -> None:
    ingest([data], corpus, config=config(replace(SCAN, views=("f16", "f64"))), add_views=True, serial=True)
    assert set(map(tuple, views_by_scan(corpus).values())) == {("", "f16", "f4")}  # a window of f64 does not fit
    assert Config.of_corpus(corpus).scan.views == ("f4", "f16", "f64")


def test_a_run_that_dies_between_the_views_of_a_scan_leaves_all_or_none(
    original: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, commit = tmp_path / "corpus", tasks.scan.commit_source_groups
    made: list[object] = []

    def dies(*arguments: object, **keywords: object) -> object:
        made.append(arguments[2])
        if len(made) in (2, 3, 6):  # before the scan itself, before its views, before those of the next one
            raise KeyboardInterrupt
        return commit(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(tasks.scan, "commit_source_groups", dies)
    for _ in range(4):
        try:
            ingest([data], root, config=config(SEEN), serial=True)
        except KeyboardInterrupt:
            found = views_by_scan(root)
            assert all(views == ["", "f16", "f4"] for views in found.values())
    assert len(made) > 6
    assert_same_corpus(root, original)
    assert not list((root / "staging").iterdir())


def test_adding_views_goes_on_where_it_was_interrupted(
    original: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, commit, scan = tmp_path / "corpus", tasks.scan.commit_source_groups, tasks.scan_part
    ingest([data], root, config=config(), serial=True)
    made: list[object] = []
    read: list[str] = []

    def dies(*arguments: object, **keywords: object) -> object:
        made.append(arguments[2])
        if len(made) == 2:  # both views of one scan are there
            raise KeyboardInterrupt
        return commit(*arguments, **keywords)  # type: ignore[arg-type]

    def notes(work: tasks.Work, part_no: int) -> tasks.PartReport:
        read.append(work.source.id)
        return scan(work, part_no)

    monkeypatch.setattr(tasks.scan, "commit_source_groups", dies)
    monkeypatch.setattr(tasks, "scan_part", notes)
    with pytest.raises(KeyboardInterrupt):
        ingest([data], root, config=config(SEEN), add_views=True, serial=True)
    had = [scan_id for scan_id, views in views_by_scan(root).items() if views == ["", "f16", "f4"]]
    read.clear()
    ingest([data], root, config=config(SEEN), add_views=True, serial=True)
    assert len(made) > 2
    assert read == [scan_id for scan_id in views_by_scan(root) if scan_id not in had]
    assert len(read) <= 1
    assert_same_corpus(root, original)


def test_a_view_that_is_left_of_a_removed_scan_is_not_adopted(corpus: Path) -> None:
    scan_id = min(views_by_scan(corpus))
    (removed,) = remove([scan_id], corpus)
    assert scan_id not in views_by_scan(corpus)
    assert removed.windows == sum(SourceGroup.open(corpus, name).n_windows
                                  for name in (scan_id, f"{scan_id}+f4", f"{scan_id}+f16"))
    CorpusStore.open(corpus)
    assert not any(scan_of(group.source_id) == scan_id for group in CorpusStore.open(corpus).recover().sources)
    (back,) = remove([scan_id], corpus, undo=True)
    assert back.is_held
    assert views_by_scan(corpus)[scan_id] == ["", "f16", "f4"]


def test_views_are_lost_and_read_again_with_their_scan(corpus: Path, original: Path, data: Path) -> None:
    scan_id = min(views_by_scan(corpus))
    shutil.rmtree(corpus / "sources" / f"{scan_id}+f4")
    ingest([data], corpus, config=config(SEEN), serial=True)
    assert_same_corpus(corpus, original)


def test_a_damaged_view_is_repaired_from_its_file(corpus: Path, original: Path) -> None:
    scan_id = min(views_by_scan(corpus))
    for damaged in (corpus / "sources" / f"{scan_id}+f16", next((corpus / "vectors").iterdir()) / f"{scan_id}+f4"):
        path = damaged / ("vector/c.0.0" if damaged.parent.parent.name == "vectors" else "cutout/c.0.0.0")
        path.write_bytes(path.read_bytes()[:-1] + b"\0\1")
    assert {one.id.rpartition("/")[2] for one in verify(corpus).damages} == {f"{scan_id}+f16", f"{scan_id}+f4"}
    assert verify(corpus, repair=True).damages == ()
    assert verify(corpus).damages == ()
    assert_same_corpus(corpus, original)


@pytest.mark.usefixtures("fake_encoders")
def test_vectors_of_another_encoder_are_reported_by_scan(corpus: Path) -> None:
    kept = CorpusStore.open(corpus).manifest().windows_kept
    would = embed(corpus, encoder="fake", config=config(SEEN), serial=True, dry_run=True)
    assert [one.message for one in would.reports] == ["would be embedded"] * 2
    made = embed(corpus, encoder="fake", config=config(SEEN), serial=True)
    assert [one.status for one in made.reports] == ["done"] * 2
    assert {one.source_id for one in made.reports} == views_by_scan(corpus).keys()
    assert made.windows_embedded == kept
    again = embed(corpus, encoder="fake", config=config(SEEN), serial=True)
    assert [one.message for one in again.reports] == ["already embedded"] * 2


def test_each_view_has_segments_of_its_own(corpus: Path) -> None:
    at_once = config(SEEN, serial=True)
    index(corpus, config=replace(at_once, index=replace(at_once.index, exact_below=0)))
    manifest = CorpusStore.open(corpus).manifest()
    for segment in manifest.segments:
        assert len({view_of(source_id) for source_id in segment.source_ids}) == 1
    assert {view_of(segment.source_ids[0]) for segment in manifest.segments} == {"", "f4", "f16"}


def test_a_copy_and_a_move_count_for_all_views(corpus: Path, data: Path, tmp_path: Path) -> None:
    scan = next(path for path in sorted(data.iterdir()) if path.suffix == ".fil")
    copy = shutil.copy(scan, tmp_path / "copy.fil")
    ingest([copy], corpus, config=Config.load(corpus), serial=True)
    entries = CorpusStore.open(corpus).manifest().sources
    copied = {source_id for source_id, entry in entries.items() if str(copy) in (entry.path, *entry.also_at)}
    assert {view_of(source_id) for source_id in copied} == {"", *VIEWS}


def test_views_must_be_those_of_their_scan(original: Path) -> None:
    manifest = CorpusStore.open(original).manifest()
    name = next(name for name in manifest.sources if view_of(name) == "f4")
    wrong = {**manifest.sources, name: manifest.sources[scan_of(name)]}
    with pytest.raises(ValueError, match="not those of the view f4 of its scan"):
        check_consistency(replace(manifest, sources=wrong))
    alone = {one: entry for one, entry in manifest.sources.items() if one != scan_of(name)}
    with pytest.raises(ValueError, match="lacks the scan of which it is a view"):
        check_consistency(replace(manifest, sources=alone))


def test_windows_of_a_view_lie_where_their_scan_has_them(original: Path) -> None:
    manifest = CorpusStore.open(original).manifest()
    for source_id, entry in manifest.sources.items():
        scan = manifest.sources[scan_of(source_id)].header
        tiling = entry.tiling(WindowGrid())
        numbers = SourceGroup.open(original, source_id).numbers
        for number in numbers[:3].tolist():
            window = tiling.window(source_id, number)
            assert scan.f_min_mhz <= window.f_start_mhz < window.f_stop_mhz <= scan.f_max_mhz + 1e-9
            assert np.isclose(window.f_stop_mhz - window.f_start_mhz, 256 * entry.header.channel_width_mhz)
