"""Results taken elsewhere by ``lookalike search``: files of every format, cut-outs, and programs of a SAMP hub."""

from __future__ import annotations

import csv
import io
import json
import shutil
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from pipeline.filterbank import open_filterbank
from pipeline.search import open_corpus
from pipeline.search.result import HIT_COLUMNS
from tests.cli.conftest import Lookalike
from tests.search.test_result import PNG, Tags

with warnings.catch_warnings():  # blimpy imports deprecated modules
    warnings.simplefilter("ignore")
    from blimpy import Waterfall


def test_one_search_writes_every_kind_of_file(lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path) -> None:
    names = ["h.vot", "h.csv", "h.json", "h.html", "h.png", "h.svg"]
    flags = [word for name in names for word in ("--out", tmp_path / name)]
    ran = lookalike("search", "--corpus", corpus, "--window", kept, "-k", "4", *flags)
    assert ran.code == 0, ran
    for name in names:
        assert f"written: {tmp_path / name}" in ran.err
    result = open_corpus(corpus).search(window=kept, k=4)
    windows = [hit.window.number for hit in result]
    assert Table.read(tmp_path / "h.vot", format="votable")["window"].tolist() == windows
    rows = list(csv.DictReader(io.StringIO((tmp_path / "h.csv").read_text(), newline="")))
    assert [int(row["window"]) for row in rows] == windows
    assert [hit["window"] for hit in json.loads((tmp_path / "h.json").read_text())["hits"]] == windows
    assert (tmp_path / "h.png").read_bytes().startswith(PNG)
    assert b"<svg" in (tmp_path / "h.svg").read_bytes()


def test_the_page_needs_no_other_file_and_says_how_to_go_on(
    lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path
) -> None:
    page = tmp_path / "hits.html"
    assert lookalike("search", "--corpus", corpus, "--window", kept, "-k", "3", "--plot", page).code == 0
    text = page.read_text()
    read = Tags(text.replace("<!DOCTYPE html>", "").replace('<meta charset="utf-8">', "").replace(
        '<meta name="viewport" content="width=device-width, initial-scale=1">', ""))
    assert read.open == []
    assert "script" not in read.tags
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    for hit in open_corpus(corpus).search(window=kept, k=3):
        command = f"lookalike search --corpus {corpus} --window {hit.source_id}/{hit.window.number}"
        assert command in read.text
        assert lookalike(*command.split()[1:]).code == 0


def test_a_cut_out_is_the_part_of_the_file_that_blimpy_would_load(
    lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path
) -> None:
    ran = lookalike("search", "--corpus", corpus, "--window", kept, "-k", "6", "--cut-outs", tmp_path / "new/cuts")
    assert ran.code == 0, ran
    result = open_corpus(corpus).search(window=kept, k=6)
    files = sorted((tmp_path / "new/cuts").iterdir())
    assert len(files) == len(result)
    suffixes = set()
    for path, hit in zip(files, result, strict=True):
        windows = [hit.window, *(open_corpus(corpus)._corpus.tiling(hit.source_id).window(hit.source_id, number)
                                 for number in hit.merged)]
        with open_filterbank(hit.file) as original:
            expected = original.read(min(one.spectrum_start for one in windows),
                                     max(one.spectrum_stop for one in windows),
                                     min(one.channel_start for one in windows),
                                     max(one.channel_stop for one in windows))
        cut = Waterfall(str(path))
        ascending = cut.data[:, 0, ::-1] if cut.header["foff"] < 0 else cut.data[:, 0]
        np.testing.assert_array_equal(ascending, expected)
        # blimpy's own frequencies are those of the lower or upper edges of its channels, in the order of the file
        lowest = min(cut.container.f_start, cut.container.f_stop)
        whole = Waterfall(hit.file, load_data=False)
        assert abs(lowest - min(one.f_start_mhz for one in windows)) <= abs(whole.header["foff"])
        assert cut.header["tstart"] == pytest.approx(min(one.mjd for one in windows), abs=1e-9)
        assert hit.file in cut.header["lookalike_origin"]
        suffixes.add(Path(hit.file).suffix)
    assert suffixes == {".h5", ".fil"}


def test_a_cut_out_of_a_file_that_is_gone_is_the_stored_window(
    data: Path, corpus: Path, kept: str, tmp_path: Path
) -> None:
    shutil.copytree(corpus, tmp_path / "corpus")
    opened = open_corpus(tmp_path / "corpus")
    for entry in opened._corpus.manifest.sources.values():
        object.__setattr__(entry, "path", str(tmp_path / "gone.h5"))
    result = opened.search(window=kept, k=1)
    [path] = result.cut_outs(tmp_path / "cuts")
    cut = Waterfall(str(path))
    ascending = cut.data[:, 0, ::-1] if cut.header["foff"] < 0 else cut.data[:, 0]
    power = opened.power_of(result[0])
    assert not result[0].merged
    np.testing.assert_allclose(ascending, power, rtol=1e-6)
    assert "recovered from the 8-bit windows" in cut.header["lookalike_origin"]
    assert "gone.h5" in cut.header["lookalike_origin"]


@pytest.mark.parametrize(("flag", "name", "words"), [
    ("--out", "h.xyz", "cannot write a .xyz; use one of vot, "),
    ("--out", "h", "a file without suffix"),
    ("--plot", "h.csv", "cannot write a .csv"),
])
def test_a_suffix_without_a_format_is_refused_before_the_search(
    lookalike: Lookalike, tmp_path: Path, flag: str, name: str, words: str
) -> None:
    lookalike("search", "--corpus", tmp_path / "none", "--window", "A/1", flag, tmp_path / name).assert_refused(
        2, words, name)


def test_a_file_that_cannot_be_written_is_named(lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path) -> None:
    place = tmp_path / "no/such/folder/h.csv"
    ran = lookalike("search", "--corpus", corpus, "--window", kept, "--out", place)
    ran.assert_refused(2, str(place), "cannot be written")


# --- SAMP ----------------------------------------------------------------------------------------------------------


class Hub:
    """A hub of pyvo on this machine, with one program that loads tables."""

    def __init__(self, folder: Path) -> None:
        self.samp = pytest.importorskip("pyvo.samp")
        self.samp.conf.use_internet = False
        self.hub = self.samp.SAMPHubServer(addr="127.0.0.1", web_profile=False, lockfile=str(folder / "samp"))
        self.hub.start()
        self.tables: list[Table] = []
        self.client = self.samp.SAMPIntegratedClient(name="reader", addr="127.0.0.1")
        self.client.connect(hub=self.hub)

    def load_tables(self, status: str) -> None:
        """Answer messages: read the table, and reply with a status."""
        def load(key: str, sender: str, message_id: str, mtype: str, params: dict[str, Any], extra: Any) -> None:
            self.tables.append(Table.read(params["url"].removeprefix("file://"), format="votable"))
            error = {} if status == "samp.ok" else {"samp.errortxt": "full"}
            self.client.reply(message_id, {"samp.status": status, "samp.result": {}, "samp.error": error})

        self.client.bind_receive_call("table.load.votable", load)

    def stop(self) -> None:
        """End the program and the hub."""
        self.client.disconnect()
        self.hub.stop()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'samp').as_uri()}")
    made = Hub(tmp_path)
    yield made
    made.stop()
    assert not [thread for thread in threading.enumerate() if "samp" in thread.name.lower()]


SAMP_WARNINGS = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@SAMP_WARNINGS
def test_programs_of_the_hub_get_the_table(hub: Hub, lookalike: Lookalike, corpus: Path, kept: str) -> None:
    hub.load_tables("samp.ok")
    ran = lookalike("search", "--corpus", corpus, "--window", kept, "-k", "3", "--samp")
    assert ran.code == 0, ran
    assert "sent to: reader" in ran.err
    [table] = hub.tables
    assert tuple(table.colnames) == HIT_COLUMNS
    assert table["window"].tolist() == [hit.window.number for hit in open_corpus(corpus).search(window=kept, k=3)]


@SAMP_WARNINGS
def test_a_program_that_cannot_load_the_table_is_named(hub: Hub, lookalike: Lookalike, corpus: Path, kept: str) -> None:
    hub.load_tables("samp.error")
    lookalike("search", "--corpus", corpus, "--window", kept, "--samp").assert_refused(2, "reader: full", "--out")


@SAMP_WARNINGS
def test_a_hub_without_programs_is_said(hub: Hub, lookalike: Lookalike, corpus: Path, kept: str) -> None:
    lookalike("search", "--corpus", corpus, "--window", kept, "--samp").assert_refused(2, "no program of the SAMP hub")


def test_without_a_hub_it_says_to_start_one(
    lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyvo.samp")
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    lookalike("search", "--corpus", corpus, "--window", kept, "--samp").assert_refused(2, "no SAMP hub", "TOPCAT")
