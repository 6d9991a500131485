"""``lookalike ingest``: flags, summary, dry run, progress, and names of every kind."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import pipeline.run
from pipeline.config import CONFIG_FILE, Config, EncoderConfig, RunConfig, ScanConfig
from pipeline.errors import Reason
from pipeline.model import SourceReport, Timing
from pipeline.run import RunReport
from pipeline.support import progress_line as progress
from tests.cli.conftest import Lookalike, Ran, on_a_terminal
from tests.run.bad import rename_keyword
from tests.run.small import COARSE, write_scan

ENCODER = ("--encoder", "power-spectrum")
"""Not the default encoder, which takes long to load."""
SERIAL = ("--serial", "--coarse-width", str(COARSE), "--views", "none", *ENCODER)


def snapshot(root: Path) -> dict[Path, tuple[int, int]]:
    """Return every path under a folder with its size and its time of change."""
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*")}


# --- the summary ---------------------------------------------------------------------------------------------------


def test_files_without_room_for_a_window_make_no_corpus_so_that_the_next_try_may_have_other_windows(
    lookalike: Lookalike, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    write_scan(tmp_path / "data" / "narrow.h5", 1)
    root = tmp_path / "corpus"
    asked = ("ingest", tmp_path / "data", "--corpus", root, "--serial", "--coarse-width", "128", *ENCODER)
    ran = lookalike(*asked)
    assert ran.code == 3
    assert "a window has 256; choose a smaller window with --window for a new corpus" in ran.out
    assert "no corpus is made" in ran.err
    assert not root.exists()
    ran = lookalike(*asked, "--window", "64")
    assert (ran.code, ran.out.partition(",")[0]) == (0, "1 file: 1 done")


def test_the_summary_tells_what_was_done_and_what_is_wrong_with_which_file(
    lookalike: Lookalike, data: Path, tmp_path: Path
) -> None:
    mixed = shutil.copytree(data, tmp_path / "data")
    shutil.copy(mixed / "scan0.h5", mixed / "twin.h5")
    (mixed / "cut.fil").write_bytes((mixed / "scan1.fil").read_bytes()[:-1000])
    (mixed / "empty.fil").touch()
    (mixed / "readme.h5").write_text("no filterbank")

    ran = lookalike("ingest", mixed, "--corpus", tmp_path / "corpus", *SERIAL)

    assert (ran.code, ran.err) == (3, "")
    first, windows, speed, seconds, *files = ran.out.splitlines()
    assert first == ("7 files: 3 done, 2 skipped (1 DUPLICATE, 1 NOT_FILTERBANK), 2 failed (1 EMPTY, 1 TRUNCATED), "
                     "0 busy")
    assert windows.startswith("192 windows seen, ")
    assert " kept (" in windows
    assert "windows/s" in speed
    assert re.search(r"^[0-9.]+ MB decoded in .* [0-9.]+ [kM]B/s$", speed)
    assert seconds.startswith("seconds in tasks: read ")
    assert len(files) == 4
    for status, code, name in (("failed", "EMPTY", "empty.fil"), ("failed", "TRUNCATED", "cut.fil"),
                               ("skipped", "NOT_FILTERBANK", "readme.h5"), ("skipped", "DUPLICATE", "twin.h5")):
        assert any(line.split()[:2] == [status, code] and str(mixed / name) in line for line in files), (code, files)


def test_a_finished_ingest_has_nothing_to_do(lookalike: Lookalike, data: Path, corpus: Path) -> None:
    before = snapshot(corpus)
    ran = lookalike("ingest", data, "--corpus", corpus)  # and starts no cluster for it
    assert (ran.code, ran.out) == (0, "3 files: 0 done, 3 skipped, 0 failed, 0 busy\n")
    changed = {p for p, stat in snapshot(corpus).items() if before.get(p) != stat}
    assert changed <= {corpus, corpus / "lock", *(corpus / "lock").iterdir()}


def test_one_file_is_no_files(lookalike: Lookalike, data: Path, corpus: Path) -> None:
    assert lookalike("ingest", data / "scan0.h5", "--corpus", corpus).out.startswith("1 file: 0 done, 1 skipped")


def test_where_no_file_is_a_filterbank_it_says_so(lookalike: Lookalike, data: Path, tmp_path: Path) -> None:
    notes, root = tmp_path / "notes.txt", tmp_path / "corpus"
    notes.write_text("no filterbank")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.h5").write_text("neither")
    for flags in ([], ["--dry-run"], ["--json"]):
        lookalike("ingest", notes, "--corpus", root, *SERIAL, *flags).assert_refused(2, "nothing to ingest", str(notes))
        ran = lookalike("ingest", tmp_path / "folder", notes, "--corpus", root, *SERIAL, *flags)
        ran.assert_refused(2, "nothing to ingest", "notes.h5", "and so with 1 more")
    assert not root.exists(), "no corpus is made of nothing"

    ran = lookalike("ingest", notes, data / "scan0.h5", "--corpus", root, *SERIAL)
    assert (ran.code, "nothing to ingest" in ran.out) == (0, False)
    for flags in ([], ["--dry-run"]):  # in a corpus that exists, other files count as known files
        ran = lookalike("ingest", notes, "--corpus", root, *flags)
        assert (ran.code, ran.err) == (0, "")
        first, said, file = ran.out.splitlines()
        assert "skipped" in first
        assert said == "nothing to ingest: no filterbank file among them"
        assert file.startswith("skipped NOT_FILTERBANK ")
        assert str(notes) in file


def test_a_folder_for_a_corpus_stays_as_it_was_where_there_is_nothing_to_ingest(
    lookalike: Lookalike, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no filterbank")
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "corpus.toml").write_text("[encoder]\nname = 'power-spectrum'\n")
    before = snapshot(tmp_path)
    lookalike("ingest", tmp_path / "notes.txt", "--corpus", root, *SERIAL).assert_refused(2, "nothing to ingest")
    assert snapshot(tmp_path) == before


def test_json_is_one_object_and_all_there_is(lookalike: Lookalike, data: Path, tmp_path: Path) -> None:
    ran = lookalike("ingest", data, "--corpus", tmp_path / "corpus", *SERIAL, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["windows_seen"] == 192
    assert ran.json["dry_run"] is False
    assert [(source["path"], source["status"]) for source in ran.json["sources"]] == [
        (str(data / name), "done") for name in ("scan0.h5", "scan1.fil", "scan2.h5")]


def test_numbers_of_the_summary_add_up(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    done = SourceReport("a.h5", "done", "A", windows_seen=1_000_000, windows_kept=20_000, windows_masked=1234,
                        bytes_decoded=3_000_000_000, timing=Timing(1.0, 2.0, 3.0, 4.0))
    also = SourceReport("b\n.h5", "skipped", "A", Reason.DUPLICATE, "the same scan as a.h5", also_at=("a.h5", "c.h5"))
    monkeypatch.setattr(pipeline.run, "ingest", lambda *_, **__: RunReport((done, done, also), 100.0, 7))
    assert lookalike("ingest", "x").out.splitlines() == [
        "3 files: 2 done, 1 skipped (1 DUPLICATE), 0 failed, 0 busy",
        "2,000,000 windows seen, 40,000 kept (2.00 %), 2,468 masked",
        "6.00 GB decoded in 1 min 40 s: 20,000 windows/s, 60.0 MB/s",
        "seconds in tasks: read 2.0, scan 4.0, embed 6.0, write 8.0",
        r"skipped DUPLICATE            b\n.h5: the same scan as a.h5 (also c.h5)",
    ]


# --- flags ---------------------------------------------------------------------------------------------------------


def called_with(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> dict[str, Any]:
    """Return the arguments that ``pipeline.run.ingest`` receives."""
    calls: list[dict[str, Any]] = []

    def ingest(paths: Any, corpus: Any, **named: Any) -> RunReport:
        calls.append({"paths": paths, "corpus": corpus, **named})
        return RunReport((), 0.0, 0)

    monkeypatch.setattr(pipeline.run, "ingest", ingest)
    assert lookalike("ingest", *arguments).code == 0
    return calls[0]


def test_defaults(
    lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = called_with(lookalike, monkeypatch, "a", "b.h5")
    assert isinstance(call.pop("progress"), progress.Show)
    assert call == {"paths": (Path("a"), Path("b.h5")), "corpus": Path("corpus"), "config": Config(),
                    "accept_truncated": False, "add_views": False, "add_overview": False, "dry_run": False}


def test_every_flag_arrives(lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = called_with(
        lookalike, monkeypatch, "a", "--corpus", "c", "--workers", "3", "--encoder", "resnet50", "--weights", "w.h5",
        "--embed-on", "gpu", "--window", "128", "--step", "64", "--false-alarm", "0.01", "--f-start", "1400",
        "--f-stop", "1500.5", "--coarse-width", "4096", "--polarisation", "1", "--dry-run",
        "--precision", "auto")
    assert call["corpus"] == Path("c")
    assert call["dry_run"] is True
    config = call["config"]
    assert config.scan == ScanConfig(window=128, step=64, window_is_given=True, false_alarm=0.01, f_start_mhz=1400.0,
                                     f_stop_mhz=1500.5, coarse_width=4096, polarisation=1)
    assert config.encoder == EncoderConfig("resnet50", str(tmp_path / "w.h5"), "auto")
    assert config.run == RunConfig(workers=3, embed_on="gpu")

    call = called_with(lookalike, monkeypatch, "a", "--scheduler", "tcp://head:8786", "--keep-all")
    assert call["config"].run.scheduler == "tcp://head:8786"
    assert call["config"].scan.keep_all is True


@pytest.mark.parametrize("arguments", [
    ["--keep-all", "--false-alarm", "0.1"], ["--serial", "--workers", "2"], ["--serial", "--scheduler", "tcp://a:1"],
    ["--workers", "2", "--scheduler", "tcp://a:1"],
])
def test_contradictions_are_refused(lookalike: Lookalike, arguments: list[str]) -> None:
    lookalike("ingest", "x", *arguments).assert_misused("Error: choose one of", arguments[0], arguments[-2])


@pytest.mark.parametrize(("arguments", "words"), [
    (["--false-alarm", "0"], ["false_alarm must lie between 0 and 0.5, got 0.0"]),
    (["--f-start", "2", "--f-stop", "1"], ["f_start_mhz 2.0 must be below f_stop_mhz 1.0"]),
    (["--f-start", "nan"], ["f_start_mhz", "nan"]),
    (["--encoder", "resnet"], ["resnet", "power-spectrum"]),
    (["--precision", "bfloat16"], ["power-spectrum computes in float32 only, not in bfloat16"]),
])
def test_impossible_settings_are_refused(
    lookalike: Lookalike, data: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    lookalike("ingest", data, "--corpus", tmp_path / "c", "--serial", *ENCODER, *arguments).assert_refused(2, *words)
    assert not (tmp_path / "c").exists()


def test_a_corpus_keeps_what_its_first_ingest_was_told(lookalike: Lookalike, data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    first = lookalike("ingest", data / "scan0.h5", "--corpus", root, *SERIAL, "--window", "128")
    assert "128 windows seen" in first.out
    again = lookalike("ingest", data / "scan1.fil", "--corpus", root, "--serial")
    assert "128 windows seen" in again.out
    assert lookalike("ingest", data, "--corpus", root, "--serial", "--window", "128").code == 0

    before = snapshot(root)
    for flags, difference in (
        (["--window", "256"], "scan.window: corpus has 128, this run asks 256"),
        (["--step", "64"], "scan.step: corpus has 128, this run asks 64"),
        (["--f-start", "8419.46"], "scan.f_start_mhz: corpus has null, this run asks 8419.46"),
        (["--keep-all"], "scan.keep_all: corpus has false, this run asks true"),
    ):
        for dry in ([], ["--dry-run"]):
            ran = lookalike("ingest", data, "--corpus", root, "--serial", *flags, *dry)
            ran.assert_refused(2, f"lookalike: {root}: ", difference)
    assert snapshot(root) == before


def test_a_corpus_is_compared_before_its_encoder_is_loaded(
    lookalike: Lookalike, data: Path, corpus: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    toml = (root / CONFIG_FILE).read_text()
    (root / CONFIG_FILE).write_text(toml.replace('"power-spectrum"', '"spectral"'))  # takes windows of 256 alone
    for dry in ([], ["--dry-run"]):
        ran = lookalike("ingest", data, "--corpus", root, "--serial", "--window", "128", *dry)
        ran.assert_refused(2, "scan.window: corpus has 256, this run asks 128")
        ran = lookalike("ingest", data, "--corpus", root, "--encoder", "resnet50", "--weights", "absent.h5", *dry)
        ran.assert_refused(2, "its encoder is spectral, this run asks for resnet50")


def test_a_file_placed_by_the_user_beats_the_defaults_and_flags_beat_it(
    lookalike: Lookalike, data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    (root / CONFIG_FILE).write_text(f"[scan]\nwindow = 64\nkeep_all = true\ncoarse_width = {COARSE}\n")
    ran = lookalike("ingest", data / "scan0.h5", "--corpus", root, "--serial", *ENCODER, "--window", "512")
    assert ran.code == 0
    assert "32 windows seen, 32 kept" in ran.out

    (root / CONFIG_FILE).write_text("[scan]\nwidow = 64\n")
    lookalike("ingest", data, "--corpus", root).assert_refused(2, str(root / CONFIG_FILE), "unknown key 'widow'")


def test_a_band_whose_coarse_channels_are_unknown_is_named_once(lookalike: Lookalike, tmp_path: Path) -> None:
    """One DC spike alone does not tell the width of a coarse channel; four of them do."""
    folder, asked = tmp_path / "data", ("ingest", tmp_path / "data", "--serial", *ENCODER, "--corpus")
    folder.mkdir()
    write_scan(folder / "four.h5", 0)
    assert lookalike(*asked, tmp_path / "four").err == ""
    first = write_scan(folder / "one.h5", 1, nchans=COARSE)
    write_scan(folder / "other one.fil", 2, nchans=COARSE)
    for dry in (["--dry-run"], []):
        warned = lookalike(*asked, tmp_path / "new", *dry).err
        assert warned.count("\n") == 1
        assert f"{first} and 1 more: neither header nor data tell how wide the coarse channels are" in warned
        assert "--coarse-width" in warned
    assert lookalike(*asked, tmp_path / "new").err == "", "the files are known by now"


def test_what_is_odd_about_headers_is_named_once(lookalike: Lookalike, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    first = write_scan(folder / "a.h5", 0, fch1_mhz=8.4195e9, foff_mhz=-2.79)
    for number, name in enumerate(("b.fil", "c.fil"), start=1):
        rename_keyword(write_scan(folder / name, number), "source_name", "source_nama")
    asked = ("ingest", folder, "--serial", *ENCODER, "--corpus", tmp_path / "new", "--coarse-width", COARSE)
    ran = lookalike(*asked)
    assert ran.code == 0
    hertz, unknown = sorted(ran.err.splitlines())
    assert f"{first}: fch1 is 8.4195e+09 MHz, and no radio telescope observes there" in hertz
    assert f"{folder / 'b.fil'} and 1 more: unknown keywords of its header are stepped over: source_nama" in unknown
    again = lookalike(*asked)
    assert again.err == "", "the files are known by now"
    odd = json.loads(lookalike(*asked[:-3], tmp_path / "other", *asked[-2:], "--json").out)["sources"]
    assert [len(one["remarks"]) for one in odd] == [1, 1, 1]
    assert odd[0]["remarks"][0].startswith("fch1 is 8.4195e+09 MHz")


def test_a_width_that_does_not_divide_a_band_is_named(lookalike: Lookalike, tmp_path: Path) -> None:
    first = write_scan(tmp_path / "data.h5", 0)
    asked = ("ingest", first, "--serial", *ENCODER, "--corpus")
    assert lookalike(*asked, tmp_path / "whole", "--coarse-width", COARSE).err == ""
    for number, width in enumerate((COARSE - 1, 100 * COARSE)):
        warned = lookalike(*asked, tmp_path / f"odd{number}", "--coarse-width", width).err
        assert warned.count("\n") == 1
        assert f"{first}: a band of " in warned
        assert f"coarse channels of {width:,} (--coarse-width)" in warned
    assert lookalike(*asked, tmp_path / "told", "--coarse-width", str(COARSE)).err == ""
    # a window over several known coarse channels needs no warning
    wide = ("--encoder", "power-spectrum", "--coarse-width", "512", "--window", "1024")
    assert lookalike(*asked, tmp_path / "wide", *wide).err == ""


# --- nothing to read -----------------------------------------------------------------------------------------------


def test_data_that_is_not_there_is_named(lookalike: Lookalike, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("none")
    root = tmp_path / "corpus"
    for name, words in (("missing", "no such file or folder"), ("empty", "no filterbank files (.h5, .hdf5, .fil)"),
                        ("text", "no filterbank files (.h5, .hdf5, .fil)")):
        lookalike("ingest", tmp_path / name, "--corpus", root).assert_refused(2, str(tmp_path / name), words)
    assert not root.exists()


def test_a_corpus_cannot_be_a_file(lookalike: Lookalike, data: Path) -> None:
    file = data / "scan0.h5"
    lookalike("ingest", data, "--corpus", file, "--serial", *ENCODER).assert_refused(2, str(file), "not")


# --- dry run -------------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_would_be_done_and_writes_nothing(
    lookalike: Lookalike, data: Path, tmp_path: Path
) -> None:
    mixed = shutil.copytree(data, tmp_path / "data")
    shutil.copy(mixed / "scan1.fil", mixed / "twin.fil")
    before = snapshot(tmp_path)

    ran = lookalike("ingest", mixed, "--corpus", tmp_path / "corpus", "--dry-run", *SERIAL)

    assert (ran.code, ran.err) == (0, "")
    first, *files = ran.out.splitlines()
    assert first == "4 files: 3 would be ingested, 1 skipped (DUPLICATE); nothing was written"
    assert sum(line.startswith("would be ingested ") for line in files) == 3
    assert snapshot(tmp_path) == before


def test_a_dry_run_on_a_corpus_tells_what_is_in_it(lookalike: Lookalike, data: Path, corpus: Path) -> None:
    before = snapshot(corpus)
    ran = lookalike("ingest", data, "--corpus", corpus, "--dry-run")
    assert ran.out.splitlines()[0] == "3 files: 3 already in the corpus; nothing was written"
    record = lookalike("ingest", data, "--corpus", corpus, "--dry-run", "--json").json
    assert (record["dry_run"], record["tasks"]) == (True, 0)
    assert snapshot(corpus) == before


# --- progress ------------------------------------------------------------------------------------------------------


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(
    lookalike: Lookalike, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Ran] = []
    shown = on_a_terminal(
        monkeypatch, lambda: runs.append(lookalike("ingest", data, "--corpus", tmp_path / "corpus", *SERIAL)))
    (ran,) = runs
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "scan [############] 3/3 files" in shown
    assert "kept" in shown
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")


def test_elsewhere_there_is_a_line_now_and_then(
    lookalike: Lookalike, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    ran = lookalike("ingest", data, "--corpus", tmp_path / "corpus", *SERIAL, "--json")
    assert ran.json["windows_seen"] == 192
    lines = ran.err.splitlines()
    assert lines[0] == "probe: 0/3 files"
    assert lines[-1].startswith("scan: 3/3 files, 0 s left, ")
    assert "\r" not in ran.err


# --- names ---------------------------------------------------------------------------------------------------------


def test_names_of_every_kind_are_ingested_and_shown_on_one_line(lookalike: Lookalike, tmp_path: Path) -> None:
    data = tmp_path / "da ta"
    data.mkdir()
    names = [b"with space.h5", b"new\nline.fil", "µHz 🛰.h5".encode(), b"raw\xff.fil"]
    for scan_no, name in enumerate(names):
        write_scan(data / os.fsdecode(name), scan_no)
    for name in (b"bad\n\xff.fil", "schlecht ü.h5".encode()):
        (data / os.fsdecode(name)).touch()
    root = tmp_path / os.fsdecode(b"cor\npus \xff")

    ran = lookalike("ingest", data, "--corpus", root, *SERIAL, "--json")
    assert ran.code == 3
    assert {os.fsencode(source["path"]) for source in ran.json["sources"] if source["status"] == "done"} == {
        os.fsencode(data) + b"/" + name for name in names}

    again = lookalike("ingest", data, "--corpus", root, *SERIAL)
    assert again.out.splitlines()[0] == "6 files: 0 done, 4 skipped, 2 failed (2 EMPTY), 0 busy"
    assert f"{data}/bad\\n\\xff.fil: zero bytes" in again.out
    assert f"{data}/schlecht ü.h5: zero bytes" in again.out
    assert lookalike("status", "--corpus", root).out.startswith(f"{tmp_path}/cor\\npus \\xff, generation")
    missing = tmp_path / os.fsdecode(b"not\n\xffhere")
    lookalike("ingest", missing, "--corpus", root).assert_refused(2, r"not\n\xffhere: no such file")
    lookalike("status", "--corpus", missing).assert_refused(2, r"not\n\xffhere: there is no corpus here")


def test_a_run_is_not_ended_by_a_terminal_that_goes_away(lookalike: Lookalike, data: Path, tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", Gone())
        assert lookalike("ingest", data, "--corpus", tmp_path / "corpus", *SERIAL).code == 0


def test_flags_of_a_run_are_for_that_run_alone(lookalike: Lookalike, data: Path, tmp_path: Path) -> None:
    """They are not stored: a scheduler that was named once may be gone the next night."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / CONFIG_FILE).write_text("[index]\nexact_below = 7\n")
    assert lookalike("ingest", data, "--corpus", corpus, *SERIAL, "--embed-on", "cpu", "--step", "512").code == 0
    written = Config.load(corpus)
    assert (written.scan.step, written.index.exact_below, written.run.embed_on) == (512, 7, "auto")
    assert "[run]" not in (corpus / CONFIG_FILE).read_text()
