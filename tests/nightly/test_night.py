"""Whole nights: files that are done, left, tried again, lost and found, and what the reports say about them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline.catalogue import FileEntry
from pipeline.config import Config
from pipeline.errors import ConfigError, CorpusLocked, RunError
from pipeline.filterbank import write_filterbank
from pipeline.nightly import NightReport, nightly
from pipeline.nightly import due_files as choice
from pipeline.nightly import night as night_module
from pipeline.nightly.due_files import DAY_S
from pipeline.nightly.novelty import Novelty
from pipeline.run import ingest, ingest_files
from pipeline.run.driver import Driver
from pipeline.store import CorpusStore, source_folder
from pipeline.views import view_of
from tests.nightly.sky import CONFIG, header, placed, write_scan
from tests.run import small
from tests.run.damages import no_graph

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects the text and all links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.words = ""
        self.tags: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def run(root: Path, config: Config | None = None, **options: Any) -> NightReport:
    return nightly([root / "data"], root / "corpus", config=config or small.config(), serial=True,
                   **{"min_age_s": 0.0, **options})


def written(root: Path, name: str = "latest") -> dict[str, Any]:
    record = json.loads((root / "corpus-reports" / f"{name}.json").read_bytes())
    assert isinstance(record, dict)
    return record


def page(root: Path, name: str = "latest") -> Page:
    return Page((root / "corpus-reports" / f"{name}.html").read_text())


def test_three_nights_and_what_is_new_in_the_third(tmp_path: Path):
    for night in (0, 1):
        for scan in (0, 1):
            write_scan(tmp_path / "data", night, scan)
        report = run(tmp_path, CONFIG)
        assert (report.exit_code, len(report.done), len(report.new_sources)) == (0, 2, 2)
        assert [one.not_judged != "" for one in report.novelty] == [True]
    new = placed(np.random.default_rng(1), header(2, 0), "comb", [42, 90, 137])
    path = write_scan(tmp_path / "data", 2, 0, new, count=10)

    report = run(tmp_path, CONFIG)

    assert report.done == (str(path),)
    assert (report.before.sources, report.after.sources) == (4, 5)
    [found] = report.novelty
    assert {hit.window.number for hit in found.clusters[0].windows} >= {42, 90, 137}
    record = written(tmp_path)
    assert record == report.to_json()
    assert record["rates"]["windows_per_s"] > 0
    # 8 × 32 windows of 256 channels of 2.794 Hz and 16 spectra of 18.25 s
    assert record["rates"]["exposure_mhz_h"] == pytest.approx(256 * 256 * 187.5 / 2**26 * 16 * 18.253611008 / 3600)
    seen = page(tmp_path)
    pictures = [one for one in seen.references if one.startswith("data:image/png;base64,")]
    assert len(pictures) == len(found.clusters)
    assert seen.references == pictures, "it stands alone"
    assert found.clusters[0].windows[0].source_id in seen.words

    quiet = run(tmp_path, CONFIG)

    assert quiet.headline == "nothing new"
    assert (quiet.exit_code, quiet.done, quiet.new_sources, quiet.novelty) == (0, (), (), ())
    names = sorted(path.name for path in (tmp_path / "corpus-reports").glob("2*.json"))
    assert [re.sub(r"\d{4}-\d\d-\d\d", "DATE", name) for name in names] == [
        "DATE-2.json", "DATE-3.json", "DATE-4.json", "DATE.json"]


def test_a_night_counts_scans_and_names_windows_by_view(tmp_path: Path):
    config = small.config(replace(small.SCAN, views=("f4", "f16")))
    small.archive(tmp_path / "data", 1)
    run(tmp_path, config)
    small.write_scan(tmp_path / "data" / "late.h5", 5)
    judging = replace(config, nightly=replace(config.nightly, least_earlier=2))
    report = run(tmp_path, judging)
    manifest = CorpusStore.open(tmp_path / "corpus").manifest()
    [new] = report.new_sources
    assert (report.before.sources, report.after.sources, len(report.done)) == (1, 2, 1)
    for name, size in report.after.views.items():
        of_view = [entry for source_id, entry in manifest.sources.items() if view_of(source_id) == name]
        assert size == {"sources": 2, "windows_seen": sum(entry.windows_seen for entry in of_view),
                        "windows_kept": sum(entry.windows_kept for entry in of_view)}
        tonight = manifest.sources[f"{new}+{name}"]
        assert report.ingest["views"][name] == {"windows_seen": tonight.windows_seen,
                                                "windows_kept": tonight.windows_kept, "windows_masked": 0}
    assert list(report.after.views) == ["f4", "f16"]
    # the exposure is that of the scans: a view searches the same samples again
    assert report.after.exposure_mhz_h == pytest.approx(2 * report.before.exposure_mhz_h)
    assert {one.views for one in report.novelty} <= {(), ("f4",), ("f16",)}
    assert () in {one.views for one in report.novelty}
    seen = page(tmp_path)
    assert "Averaged view f16: windows searched" in seen.words
    assert report.to_json() == written(tmp_path)


def test_a_corpus_that_was_there_before_is_the_past(tmp_path: Path):
    small.archive(tmp_path / "data", 2)
    ingest([tmp_path / "data"], tmp_path / "corpus", config=small.config(), serial=True)
    small.write_scan(tmp_path / "data" / "late.h5", 5)
    report = run(tmp_path)
    assert len(report.new_sources) == 1
    assert report.after.sources == 3


class Nights:
    """A clock that replaces the program's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 4e9  # beyond all files' times
        self.time = lambda: self.now_s
        monkeypatch.setattr("pipeline.support.clock.time", self)


@pytest.fixture
def nights(monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(monkeypatch)


def test_what_fails_is_tried_again_ever_later_then_left_alone_and_always_listed(tmp_path: Path, nights: Nights):
    small.archive(tmp_path / "data", 2)
    cut = tmp_path / "data" / "scan1.fil"
    whole = cut.read_bytes()
    cut.write_bytes(whole[:-1000])
    empty = tmp_path / "data" / "a<b>&.h5"
    empty.touch()
    tried = []
    for night in range(45):
        report = run(tmp_path)
        by_path = {one.path: one for one in report.wrong}
        assert by_path.keys() == {str(cut), str(empty)}, "listed each night"
        assert (by_path[str(cut)].reason, by_path[str(empty)].reason) == ("TRUNCATED", "EMPTY")
        assert report.exit_code == (3 if any(one.tonight for one in report.wrong) else 0)
        if by_path[str(cut)].tonight:
            tried.append(night)
        assert by_path[str(empty)].tonight == (night == 0)
        assert by_path[str(cut)].since == by_path[str(empty)].since == "2096-10-02 07:06"
        nights.now_s += DAY_S
        if night >= 4:
            shutil.rmtree(tmp_path / "corpus-reports")  # not needed here, and slow to read
    assert tried == [0, 1, 3, 7, 15, 31]
    assert by_path[str(cut)].tries == 6
    assert by_path[str(cut)].next_try == by_path[str(empty)].next_try == ""
    assert "a<b>&.h5" in page_of(report).words

    assert {one.path for one in run(tmp_path, retry=True).wrong if one.tonight} == {str(cut), str(empty)}
    cut.write_bytes(whole)
    report = run(tmp_path)
    assert report.done == (str(cut),)
    assert [one.path for one in report.wrong] == [str(empty)]


def test_odd_headers_are_listed_once_with_the_number_of_files(tmp_path: Path):
    (tmp_path / "data").mkdir()
    for number in (1, 2):
        like = small.header(number, nsamples=16, nchans=small.COARSE, fch1_mhz=1.4e9)
        write_filterbank(tmp_path / "data" / f"{number}<b>.fil", small.noisy_power(number, like), like)
    like = small.header(3, nsamples=16, nchans=small.COARSE)
    write_filterbank(tmp_path / "data" / "3.fil", small.noisy_power(3, like), like)
    report = run(tmp_path)
    [remark] = report.remarks
    exposure = small.COARSE * like.channel_width_mhz * 16 * like.tsamp_s / 3600
    for sums in (written(tmp_path)["rates"], written(tmp_path)["after"]):
        assert sums["exposure_mhz_h"] == pytest.approx(exposure, rel=1e-4), "frequencies in hertz do not count"
    assert (report.before.not_in_exposure, report.after.not_in_exposure) == (0, 2)
    assert remark.startswith(f"{tmp_path / 'data' / '1<b>.fil'} and 1 more: fch1 is 1.4e+09 MHz")
    assert written(tmp_path)["remarks"] == [remark]
    assert "1<b>.fil and 1 more: fch1 is 1.4e+09 MHz" in page(tmp_path).words


def test_a_file_whose_end_is_missing_is_read_as_far_as_it_goes_and_listed(tmp_path: Path):
    like = small.header(nsamples=31, nchans=small.COARSE + 200)
    (tmp_path / "data").mkdir()
    path = write_filterbank(tmp_path / "data" / "cut.fil", small.noisy_power(1, like), like)
    with open(path, "ab") as file:
        file.write(b"torn")

    report = run(tmp_path, min_age_s=3600.0)
    assert (report.done, len(report.left)) == ((), 1), "it may still grow"

    report = run(tmp_path)
    assert (report.done, report.exit_code) == ((str(path),), 0)
    [message] = report.partly_read
    assert message.startswith(f"{path}: ends within spectrum 31, ")
    record = written(tmp_path)
    assert record["partly_read"] == [message]
    assert record["partly_covered"] == [
        {"path": str(path), "channels": 4296, "channels_skipped": 200, "spectra": 31, "spectra_skipped": 0}]
    skipped = 200 / 4296  # a piece of a coarse channel that is narrower than a window
    assert record["after"]["exposure_mhz_h"] == pytest.approx(
        4096 * 31 * like.channel_width_mhz * like.tsamp_s / 3600, rel=1e-3), "each pixel counts once"
    assert record["ingest"]["share_skipped"] == pytest.approx(skipped)
    assert record["after"]["share_skipped"] == pytest.approx(skipped)
    words = page(tmp_path).words
    assert "ends within spectrum 31" in words
    assert f"{100 * skipped:.4g} % of all samples" in words


def page_of(report: NightReport) -> Page:
    return Page(report.to_html())


def test_an_ingest_by_hand_tries_what_may_heal_each_time(tmp_path: Path, nights: Nights):
    small.archive(tmp_path / "data", 2)
    cut = tmp_path / "data" / "scan1.fil"
    cut.write_bytes(cut.read_bytes()[:-1000])
    for tries in (1, 2, 3):
        ingest([tmp_path / "data"], tmp_path / "corpus", config=small.config(), serial=True)
        entry = CorpusStore.open(tmp_path / "corpus").manifest().files[str(cut)]
        assert (entry.tries, entry.since_s, entry.tried_s) == (tries, 4e9, nights.now_s)
        nights.now_s += 60


def test_a_file_that_is_still_written_is_left_and_taken_the_next_night(tmp_path: Path):
    small.archive(tmp_path / "data", 2)
    report = run(tmp_path, min_age_s=3600.0)
    assert (report.done, report.exit_code, len(report.left)) == ((), 0, 2)
    assert report.headline == "nothing new; 2 files still changing"
    assert "changed" in page(tmp_path).words
    assert len(run(tmp_path).done) == 2


def test_a_source_whose_folder_is_gone_is_ingested_again_though_its_file_is_known(tmp_path: Path):
    small.archive(tmp_path / "data", 2)
    run(tmp_path)
    sources = CorpusStore.open(tmp_path / "corpus").manifest().sources
    source_id = min(sources)
    shutil.rmtree(source_folder(tmp_path / "corpus", source_id))
    assert run(tmp_path, min_age_s=3600.0).done == (sources[source_id].path,)
    assert CorpusStore.open(tmp_path / "corpus").manifest().sources.keys() == sources.keys()


def test_a_first_night_without_a_filterbank_file_is_a_quiet_one(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.h5").write_text("not yet")
    for _ in range(2):
        report = run(tmp_path)
        assert (report.exit_code, report.headline, report.wrong) == (0, "nothing new; 1 warning", ())
    small.archive(tmp_path / "data", 1)
    assert len(run(tmp_path).done) == 1


def test_a_file_that_grows_while_it_is_read_is_left_and_taken_the_next_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    small.archive(tmp_path / "data", 2)
    growing = tmp_path / "data" / "scan1.fil"
    whole = growing.read_bytes()
    growing.write_bytes(whole[: -small.COARSE * small.N_COARSE * 4 * 4])
    undisturbed = Driver.run

    def grown(*arguments: Any) -> Any:
        growing.write_bytes(whole)
        return undisturbed(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Driver, "run", grown)
        report = run(tmp_path)
    assert report.done == (str(tmp_path / "data" / "scan0.h5"),)
    report = run(tmp_path)
    assert report.done == (str(growing),)
    assert report.wrong == ()


@pytest.mark.parametrize("name", ["plan_segments", "verify", "judge"])
def test_what_fails_after_the_ingest_is_said_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    small.archive(tmp_path / "data", 2)

    def broken(*arguments: Any, **options: Any) -> Any:
        raise RunError(f"{name} is <broken>")

    if name == "plan_segments":
        monkeypatch.setattr(night_module, "index", broken)
        monkeypatch.setattr(night_module, name, lambda *arguments: iter(["a segment"]))
    else:
        monkeypatch.setattr(night_module, name, broken)
    report = run(tmp_path)
    step = {"plan_segments": "index", "judge": "novelty"}.get(name, name)
    assert [(one.name, one.message) for one in report.steps if one.status == "failed"] == [
        (step, f"{name} is <broken>")]
    assert (report.exit_code, len(report.done)) == (3, 2)
    assert f"{name} is <broken>" in page(tmp_path).words
    monkeypatch.undo()
    assert len(run(tmp_path).new_sources) == (2 if name == "judge" else 0), "what was not judged is judged now"


def test_an_ingest_that_fails_is_reported_with_what_is_known_from_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    small.archive(tmp_path / "data", 2)
    (tmp_path / "data" / "empty.h5").touch()
    run(tmp_path)

    def broken(*arguments: Any, **options: Any) -> Any:
        raise RunError("the cluster has gone")

    with monkeypatch.context() as patch:
        patch.setattr(night_module, "ingest_files", broken)
        report = run(tmp_path)
        assert (report.exit_code, report.headline) == (3, "nothing new; 1 file failed before; ingest failed")
        shutil.rmtree(tmp_path / "corpus")
        with pytest.raises(RunError, match="the cluster has gone"):
            run(tmp_path)
    with pytest.raises(ConfigError, match="no such file or folder"):
        nightly([tmp_path / "nowhere"], tmp_path / "other", config=small.config(), serial=True)
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "other-reports").exists()


def test_links_and_folders_fail_once_and_only_names_of_filterbank_files_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    small.archive(tmp_path / "data", 1)
    for name, target in (("gone.h5", "nowhere"), ("self.fil", "self.fil"), ("notes", "nowhere"), ("up", tmp_path)):
        (tmp_path / "data" / name).symlink_to(target)
    closed = tmp_path / "data" / "closed"
    closed.mkdir()
    listed = os.scandir

    def scandir(folder: Any) -> Any:
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    def wrong(report: NightReport) -> dict[str, bool]:
        return {Path(one.path).name: one.tonight for one in report.wrong}

    names = ("closed", "gone.h5", "self.fil")
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        first, second, third = run(tmp_path), run(tmp_path), run(tmp_path, retry=True)
    assert [one.exit_code for one in (first, second, third)] == [3, 0, 3]
    assert [wrong(one) for one in (first, second, third)] == [
        dict.fromkeys(names, tonight) for tonight in (True, False, True)]
    assert second.headline == "nothing new; 3 files failed before; 2 warnings"
    assert [Path(message.partition(": ")[0]).name for message in second.warnings] == ["notes", "up"]
    assert "links to a folder above it" in page(tmp_path).words

    (tmp_path / "data" / "gone.h5").unlink()
    mended = small.write_scan(tmp_path / "data" / "gone.h5", 5)
    report = run(tmp_path)
    assert (report.exit_code, report.done, wrong(report)) == (0, (str(mended),), {"self.fil": False})
    assert str(closed) not in CorpusStore.open(tmp_path / "corpus").manifest().files
    (tmp_path / "data" / "self.fil").unlink()
    (tmp_path / "data" / "self.fil").symlink_to("elsewhere")
    assert [(one.exit_code, wrong(one)) for one in (run(tmp_path), run(tmp_path))] == [
        (3, {"self.fil": True}), (0, {"self.fil": False})]


def test_a_path_that_is_missing_stops_no_other_and_an_empty_one_is_a_warning(tmp_path: Path):
    data, disk = tmp_path / "data", tmp_path / "disk"
    small.archive(data, 1)
    disk.mkdir()
    small.write_scan(disk / "b.h5", 5)

    def night() -> NightReport:
        return nightly([data, disk], tmp_path / "corpus", config=small.config(), serial=True, min_age_s=0.0)

    assert (night().exit_code, night().missing) == (0, ())
    disk.rename(tmp_path / "unmounted")
    small.write_scan(data / "late.h5", 6)
    report = night()
    assert (report.exit_code, report.missing, report.done) == (2, (str(disk),), (str(data / "late.h5"),))
    assert [step.status for step in report.steps] == ["done"] * len(report.steps)
    assert report.headline == "1 file ingested; 1 path missing"
    assert str(disk) in page(tmp_path).words
    disk.mkdir()
    report = night()
    assert (report.exit_code, report.missing) == (0, ())
    assert report.warnings == (f"{disk}: holds no filterbank file; is its disk mounted?",)
    disk.rmdir()
    (tmp_path / "unmounted").rename(disk)
    data.rename(tmp_path / "unmounted")
    assert [night().exit_code for _ in range(2)] == [2, 2]
    (tmp_path / "unmounted").rename(data)
    assert (night().exit_code, night().headline) == (0, "nothing new")


def test_a_file_that_is_no_filterbank_file_is_named_each_night_and_is_no_failure(tmp_path: Path):
    data = tmp_path / "data"
    small.archive(data, 1)
    (data / "a.h5").write_bytes(bytes(range(256)) * 40)
    for number in range(21):
        (data / f"junk{number:02d}.fil").write_text("no header")
    with h5py.File(data / "other.h5", "w") as other:
        other["x"] = 1
    (data / "notes.txt").write_text("not looked at")
    for _ in range(2):  # also once the corpus knows them
        report = nightly([data], tmp_path / "corpus", config=small.config(), serial=True, min_age_s=0.0)
        assert (report.exit_code, report.wrong) == (0, ())
        foreign, begins = report.warnings
        assert foreign == (f"1 file with the name of a filterbank file cannot be read as one (an HDF5 file, but not of "
                           f"class FILTERBANK with a dataset 'data'): {data / 'other.h5'}")
        assert begins.startswith("22 files with the name of a filterbank file cannot be read as one (begins neither as "
                                 f"HDF5 nor with HEADER_START): {data / 'a.h5'}, {data / 'junk00.fil'}, ")
        assert begins.endswith(f"{data / 'junk18.fil'} and 2 more")
        assert report.headline.endswith("; 2 warnings")
        assert str(data / "a.h5") in page(tmp_path).words
        assert begins in json.loads(report.files["json"].read_text())["warnings"]


def test_a_first_night_in_an_empty_folder_leaves_nothing(tmp_path: Path):
    (tmp_path / "data").mkdir()
    with pytest.raises(ConfigError, match="no filterbank files"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_reports_that_cannot_be_written_are_named_with_the_cause_and_the_night_is_told(tmp_path: Path):
    small.archive(tmp_path / "data", 1)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file/reports: a report cannot be written there \(Not a directory\)"):
        run(tmp_path, report_dir=tmp_path / "file" / "reports")
    (tmp_path / "corpus-reports" / "latest.html").mkdir(parents=True)
    with pytest.raises(RunError, match=r"is over \(1 file ingested\), but a report cannot be .*Is a directory"):
        run(tmp_path)
    (tmp_path / "corpus-reports" / "latest.html").rmdir()
    assert len(run(tmp_path).new_sources) == 1, "no report has had it"


def test_a_source_that_raises_what_nobody_expects_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small.archive(tmp_path / "data", 2)
    ingesting = sys.modules["pipeline.run.ingest"]
    known = ingesting.Tiling

    def broken(header: Any, *more: Any) -> Any:
        if header.tstart_mjd == small.header(0).tstart_mjd:
            raise ZeroDivisionError("no one has thought of it")
        return known(header, *more)

    monkeypatch.setattr(ingesting, "Tiling", broken)
    report = run(tmp_path)
    assert (report.exit_code, len(report.done)) == (3, 1)
    [wrong] = report.wrong
    assert wrong.reason == "CRASHED"
    assert wrong.message.endswith(": ZeroDivisionError: no one has thought of it")


def test_the_title_of_a_report_is_its_night(tmp_path: Path):
    small.archive(tmp_path / "data", 1)
    report = run(tmp_path)
    assert f"Night of {report.files['html'].stem}\n" in page(tmp_path).words
    assert f"<title>Lookalike: night of {report.files['html'].stem}</title>" in report.to_html()


def test_a_night_in_this_process_indexes_here_whatever_scheduler_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    no_graph(monkeypatch)
    small.archive(tmp_path / "data", 2)
    config = small.config(scheduler="tcp://127.0.0.1:1", insecure=True, resource_wait_s=0.1)
    report = run(tmp_path, replace(config, index=replace(config.index, exact_below=2)))
    assert [(step.name, step.status, step.message) for step in report.steps] == [
        (name, "done", "") for name in ("ingest", "index", "verify", "novelty")]
    assert report.after.segments == 1


def test_damage_is_found_and_reported(tmp_path: Path):
    small.archive(tmp_path / "data", 1)
    config = small.config()
    config = replace(config, nightly=replace(config.nightly, verify=1.0))
    assert run(tmp_path, config).exit_code == 0
    (table,) = (tmp_path / "corpus" / "sources").rglob("windows.npy")
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    report = run(tmp_path, config)
    assert report.exit_code == 3
    assert "1 object damaged" in report.headline
    words = " ".join(page(tmp_path).words.split())
    assert f"does not match its digest — read {tmp_path / 'data' / 'scan0.h5'} again" in words


def test_a_night_in_which_nothing_was_verified_says_so_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small.archive(tmp_path / "data", 1)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["pipeline.integrity.survey"], "_is_sampled", lambda item, share, day: False)
        report = run(tmp_path)
    assert report.verified["objects"] == 0
    words = " ".join(page(tmp_path).words.split())
    assert ("Verified: none of 3 objects, because tonight's sample is empty. Each object is checked once in 33 nights. "
            "Manifest and identity as they were written.") in words
    run(tmp_path, replace(small.config(), nightly=replace(small.config().nightly, verify=1.0)))
    assert "Verified: 3 of 3 objects. All as they were written." in " ".join(page(tmp_path).words.split())


@pytest.mark.parametrize(("share", "said"), [(0.0052, "So 0.26 were"), (0.05, "So 2.5 were"), (1.0, "So 50 were")])
def test_how_many_to_expect_is_said_with_digits_that_tell(tmp_path: Path, share: float, said: str):
    small.archive(tmp_path / "data", 1)
    judged = Novelty("2.794Hz-18.25s", 50, 500, of_other="nights", sample=500, share=share)
    words = " ".join(page_of(replace(run(tmp_path), novelty=(judged,))).words.split())
    assert f"{said} to be expected" in words


def test_two_nights_at_once_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small.archive(tmp_path / "data", 1)
    seen = []

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        with pytest.raises(CorpusLocked, match=f"locked by process {os.getpid()} on "):
            run(tmp_path)
        seen.append(1)
        return ingest_files(*arguments, **options)

    monkeypatch.setattr(night_module, "ingest_files", meanwhile)
    assert run(tmp_path).exit_code == 0
    assert seen == [1]
    with CorpusStore.open(tmp_path / "corpus").lock(), pytest.raises(CorpusLocked):
        run(tmp_path, report_dir=tmp_path / "others")


KILLED = """
import os, signal, sys
from pathlib import Path
import pipeline.nightly.night as night
from tests.nightly.test_night import run
at = sys.argv[2]
setattr(night, at, lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL))
run(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("at", ["verify", "write_report", "write_reported"])
def test_a_night_that_is_killed_is_completed_by_the_next(tmp_path: Path, at: str):
    small.archive(tmp_path / "data", 2)
    run(tmp_path)
    small.write_scan(tmp_path / "data" / "late.h5", 7)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), at], check=False,
                            cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    report = run(tmp_path)
    assert (report.exit_code, len(report.new_sources), report.after.sources) == (0, 1, 3)
    assert [one.name for one in report.steps if one.status != "done"] == []
    assert run(tmp_path).new_sources == ()


def test_a_failure_that_a_killed_night_found_is_reported_by_the_next_as_new(tmp_path: Path):
    small.archive(tmp_path / "data", 1)
    first = tmp_path / "data" / "first.h5"
    first.touch()
    assert run(tmp_path).exit_code == 3
    late = tmp_path / "data" / "late.h5"
    late.touch()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "write_report"], check=False,
                            cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    nights = [run(tmp_path) for _ in range(2)]
    told = [{Path(one.path).name: (one.tonight, one.tries) for one in night.wrong} for night in nights]
    assert told == [{"first.h5": (False, 1), "late.h5": (True, 1)}, {"first.h5": (False, 1), "late.h5": (False, 1)}]
    assert [night.exit_code for night in nights] == [3, 0]


def test_what_an_earlier_version_noted_as_reported_is_read(tmp_path: Path):
    small.archive(tmp_path / "data", 2)
    (tmp_path / "data" / "bad.h5").touch()
    held = run(tmp_path).new_sources
    noted = tmp_path / "corpus-reports" / "reported.json"
    noted.write_text(json.dumps(sorted(held[:1])))
    report = run(tmp_path)
    assert (report.new_sources, [one.tonight for one in report.wrong], report.exit_code) == (held[1:], [False], 0)
    assert run(tmp_path).new_sources == ()
    noted.write_bytes(b"")
    with pytest.raises(RunError, match=rf"{noted}: is damaged .*; delete it"):
        run(tmp_path)


def test_next_tries_are_dated(tmp_path: Path, nights: Nights):
    small.archive(tmp_path / "data", 1)
    cut = small.write_scan(tmp_path / "data" / "bad.fil", 3)
    cut.write_bytes(cut.read_bytes()[:-1000])
    [one] = [one for one in run(tmp_path).wrong if one.path == str(cut)]
    assert (one.since, one.next_try) == ("2096-10-02 07:06", "2096-10-02 19:06")
    entry = CorpusStore.open(tmp_path / "corpus").manifest().files[str(cut)]
    assert isinstance(entry, FileEntry)
    assert choice.next_try_s(entry, 6) == nights.now_s + DAY_S / 2
