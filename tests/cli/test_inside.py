"""``lookalike search --in``: files that are in no corpus are scanned into a cache of the user's own."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, CorpusLocked
from pipeline.filterbank import open_filterbank
from pipeline.run import scan_cache, scan_into_cache
from pipeline.search import open_corpus
from pipeline.simulate import PlacedSignal, Signal, fine_header, simulate_file
from pipeline.store import Lease
from tests.cli.conftest import Lookalike


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the cache, which is made by the first search."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lookalike" / "scans"


@pytest.fixture
def query(data: Path) -> list[str]:
    """A range of the first file that holds a signal."""
    with open_filterbank(data / "scan0.h5") as file:
        header = file.header
    return ["--file", str(data / "scan0.h5"), "--f-start", str(header.f_min_mhz), "--f-stop", str(header.f_max_mhz)]


def test_files_are_scanned_once(lookalike: Lookalike, data: Path, query: list[str], cache: Path) -> None:
    first = lookalike("search", *query, "--in", data / "scan0.h5", "--in", data / "scan2.h5", "--json")
    again = lookalike("search", *query, "--in", data / "scan2.h5", "--in", data / "scan0.h5", "--json")
    more = lookalike("search", *query, "--in", data, "--json")

    assert "scanned 2 files in " in first.err
    assert "2 scans taken from the cache" in again.err
    assert "scanned 1 file in " in more.err
    assert first.json["hits"] == again.json["hits"] != []
    assert {Path(hit["file"]).name for hit in first.json["hits"]} <= {"scan0.h5", "scan2.h5"}
    assert (cache.stat().st_mode & 0o777) == 0o700


def test_only_the_files_that_are_named_are_searched(lookalike: Lookalike, data: Path, query: list[str]) -> None:
    lookalike("search", *query, "--in", data)
    record = lookalike("search", *query, "--in", data / "scan2.h5", "--json").json
    assert {Path(hit["file"]).name for hit in record["hits"]} == {"scan2.h5"}


def test_numbers_are_those_of_the_files_that_are_named(
    lookalike: Lookalike, data: Path, query: list[str], cache: Path
) -> None:
    every = lookalike("search", *query, "--in", data, "--json").json["corpus"]
    record = lookalike("search", *query, "--in", data / "scan2.h5", "--json").json
    lines = lookalike("search", *query, "--in", data / "scan2.h5").out.split("\n")

    sources = open_corpus(cache / "corpus")._corpus.manifest.sources
    of_file = [entry for entry in sources.values() if Path(entry.path).name == "scan2.h5"]
    windows = sum(entry.windows_seen for entry in of_file)
    vectors = sum(sum(entry.vectors.values()) for entry in of_file)
    assert record["corpus"]["sources"] == 1 < every["sources"]
    assert record["corpus"]["windows"] == windows < every["windows"]
    assert record["corpus"]["vectors"] == vectors < every["vectors"]
    assert f"({windows:,} windows, 1 source)" in lines[0]


def test_a_cache_that_is_too_large_is_emptied(
    lookalike: Lookalike, data: Path, query: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lookalike("search", *query, "--in", data)
    monkeypatch.setattr(scan_cache, "MAX_CACHE_BYTES", 1000)
    ran = lookalike("search", *query, "--in", data / "scan2.h5")
    assert "cache emptied: it had grown to " in ran.err
    assert "scanned 1 file in " in ran.err


def test_what_a_file_held_before_is_not_searched(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    shutil.copy(data / "scan0.h5", path)
    first = scan_into_cache([path])
    shutil.copy(data / "scan2.h5", path)
    second = scan_into_cache([path])
    assert len(first.source_ids) == len(second.source_ids) == 1
    assert first.source_ids != second.source_ids


def test_a_cache_that_another_search_fills_is_not_emptied(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = scan_into_cache([data / "scan0.h5"]).root
    monkeypatch.setattr(scan_cache, "MAX_CACHE_BYTES", 1000)
    (cache / "old-x").mkdir()  # left by a process that died
    lease = Lease.acquire(root / "lock")
    try:
        with pytest.raises(CorpusLocked):
            scan_into_cache([data / "scan2.h5"])
    finally:
        lease.release()
    assert [path.name for path in cache.iterdir()] == ["corpus"]
    assert (root / "CURRENT").exists()


def test_a_cache_that_others_can_read_is_refused(data: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o755)
    with pytest.raises(ConfigError, match=r"others can read it \(mode 755\); run: chmod 700"):
        scan_into_cache([data])
    assert os.listdir(cache) == []


@pytest.mark.parametrize(("more", "words"), [
    (["--corpus", "x"], "choose one of --corpus and --in"),
    (["--only-file", "x"], "--only-file does not go with --in")])
def test_what_contradicts_files_is_refused(
    lookalike: Lookalike, data: Path, query: list[str], more: list[str], words: str
) -> None:
    lookalike("search", *query, "--in", data, *more).assert_misused(words)


def test_a_file_without_a_scan_says_why(lookalike: Lookalike, tmp_path: Path, query: list[str]) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    lookalike("search", *query, "--in", tmp_path / "text.h5").assert_refused(2, "text.h5")
    lookalike("search", *query, "--in", tmp_path / "gone.h5").assert_refused(2, "gone.h5")


@pytest.fixture
def wide(tmp_path: Path) -> tuple[Path, list[float]]:
    """A file of 20 coarse channels of 1 MHz, and the frequencies of 19 lines, at different places of their channels."""
    header = replace(fine_header(coarse_channels=20, coarse_width=4096), foff_mhz=-1 / 4096)
    lines = [header.f_min_mhz + 0.2 + 1.03 * i for i in range(19)]
    simulate_file(tmp_path / "wide.h5", header, [PlacedSignal(Signal("line", snr=30, width_hz=500), f) for f in lines],
                  coarse_width=4096, seed=1)
    return tmp_path / "wide.h5", lines


def test_only_the_coarse_channels_of_a_range_are_scanned(
    lookalike: Lookalike, wide: tuple[Path, list[float]], cache: Path
) -> None:
    path, lines = wide
    query = ["--file", path, "--f-start", str(lines[3] - 0.01), "--f-stop", str(lines[3] + 0.01), "--in", path,
             "-k", "100", "--json"]
    only = ["--only-mhz", f"{lines[9] - 0.05}:{lines[10] + 0.05}"]

    part = lookalike("search", *query, *only)
    again = lookalike("search", *query, *only)
    assert not (cache / "corpus").exists()
    whole = lookalike("search", *query)
    of_whole = lookalike("search", *query, *only)

    low, high = (int(word) for word in re.search(r"scanned 1 file from (\d+) to (\d+) MHz", part.err).groups())
    assert (cache / f"corpus-{low}-{high}-MHz").is_dir()
    assert low < lines[9] < lines[10] < high
    assert "taken from the cache" in again.err
    assert "scanned 1 file in" in whole.err
    assert "taken from the cache" in of_whole.err
    assert part.json["corpus"]["windows"] < whole.json["corpus"]["windows"]
    assert part.json["hits"] == again.json["hits"]
    names = [[(hit["window"], hit["score"]) for hit in ran.json["hits"]] for ran in (part, of_whole)]
    assert names[0] == names[1] != [], "the same windows as where the whole file is scanned"
    near = [line for line in lines if any(hit["f_start_mhz"] < line < hit["f_stop_mhz"] for hit in part.json["hits"])]
    assert near == lines[9:11]


def test_a_range_as_wide_as_the_file_is_the_whole_file(data: Path, cache: Path) -> None:
    scan_into_cache([data / "scan0.h5"], only_mhz=[(1.0, 1e5)])
    assert [path.name for path in cache.iterdir()] == ["corpus"]


@pytest.mark.parametrize(("only", "ends"), [("1528:", (1524, 1531)), (":1517", (1510, 1521))])
def test_a_range_may_have_one_end(
    lookalike: Lookalike, wide: tuple[Path, list[float]], only: str, ends: tuple[int, int]
) -> None:
    ran = lookalike("search", "--lines", "1", "--in", wide[0], "--only-mhz", only)
    assert f"scanned 1 file from {ends[0]} to {ends[1]} MHz in " in ran.err
    assert ran.code == 0


def test_a_range_that_no_file_has_is_refused(lookalike: Lookalike, wide: tuple[Path, list[float]], cache: Path) -> None:
    lookalike("search", "--lines", "1", "--in", wide[0], "--only-mhz", "1400:1401").assert_refused(
        2, "none of the files has the frequencies that are to be searched; they have 1510.229")
    assert list(cache.iterdir()) == []


def test_a_large_cache_of_ranges_is_emptied_too(
    data: Path, wide: tuple[Path, list[float]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = wide
    first = scan_into_cache([path], only_mhz=[(lines[0], lines[1])])
    monkeypatch.setattr(scan_cache, "MAX_CACHE_BYTES", 1000)
    second = scan_into_cache([path], only_mhz=[(lines[17], lines[18])])
    assert second.emptied_bytes > 0
    with open_filterbank(path) as file:
        samples = file.header.nchans * file.header.nsamples
    assert 0 < second.report.bytes_decoded < 4 * samples / 2, "most of the file is not read"
    assert first.root != second.root
    assert [one.name for one in cache.iterdir()] == [second.root.name]
