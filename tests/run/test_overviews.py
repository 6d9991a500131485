"""Overviews of scans: made with the windows, added later, adopted, removed, verified and repaired."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import tasks
from pipeline.catalogue import Manifest, check_consistency
from pipeline.config import Config
from pipeline.errors import ConfigError, CorpusDamaged, QueryError
from pipeline.integrity import verify
from pipeline.overview import MAXIMUM, OverviewLayout
from pipeline.run import driver, ingest, remove, task_sizes
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, StoredOverview, overview_folder
from pipeline.views import is_plain
from tests.overview.naive import assert_codes_are, naive_overview
from tests.run.small import HEADER, SCAN, archive, assert_same_corpus, config, write_scan
from tests.scan.test_overview_sums import flattened_file

SEEN = replace(SCAN, overview=True)
FILES = {"cells.npy", "overview.json", "digests.json"}


def overviews(root: Path) -> dict[str, bytes]:
    """Return the codes of each overview that the manifest names."""
    manifest = CorpusStore.open(root).manifest()
    return {scan_id: StoredOverview.open(root, scan_id, entry.header).read_codes().tobytes()
            for scan_id, entry in manifest.sources.items() if entry.overview}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("overviews") / "data", 2)


@pytest.fixture(scope="module")
def original(data: Path) -> Path:
    """Return a corpus with overviews, which tests only read or copy."""
    root = data.parent / "corpus"
    assert ingest([data], root, config=config(SEEN), serial=True).exit_code == 0
    return root


@pytest.fixture(scope="module")
def bare(data: Path) -> Path:
    """Return the same corpus without overviews, which tests only read or copy."""
    root = data.parent / "bare"
    assert ingest([data], root, config=config(), serial=True).exit_code == 0
    return root


@pytest.fixture
def corpus(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "corpus")


def a_scan(root: Path) -> str:
    return min(CorpusStore.open(root).manifest().sources)


def test_an_overview_shows_what_the_scan_flattened(original: Path, bare: Path) -> None:
    manifest = CorpusStore.open(original).manifest()
    for scan_id, entry in manifest.sources.items():
        folder = overview_folder(original, scan_id)
        assert {path.name for path in folder.iterdir()} == FILES
        codes = StoredOverview.open(original, scan_id, entry.header).read_codes()
        assert_codes_are(codes, naive_overview(flattened_file(Path(entry.path), SCAN)))
        assert codes.nbytes <= 0.003 * 4 * entry.header.nchans * entry.header.nsamples
    assert_same_corpus(original, bare)  # windows and vectors stay as they are
    assert (open_corpus(original).status().overviews, open_corpus(bare).status().overviews) == (
        len(overviews(original)), 0)


def test_an_overview_does_not_depend_on_the_parts(
    original: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sizes, "PART_CHANNELS", 1)
    ingest([data], tmp_path / "corpus", config=config(SEEN), serial=True)
    assert overviews(tmp_path / "corpus") == overviews(original)


def test_a_manifest_without_overviews_does_not_mention_them(original: Path, bare: Path) -> None:
    manifest = CorpusStore.open(original).manifest()
    check_consistency(manifest)
    assert Manifest.from_json(manifest.to_json()) == manifest
    text = CorpusStore.open(bare).manifest().to_json()
    assert '"overview":' not in text
    assert not Config.of_corpus(bare).scan.overview
    with pytest.raises(QueryError, match="has no overview of this scan; make it with: lookalike ingest --add-overview"):
        open_corpus(bare).overview(a_scan(bare))


def test_overviews_that_are_added_later_are_those_of_an_ingest(
    original: Path, bare: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(bare, tmp_path / "corpus")
    with pytest.raises(ConfigError, match="add them with --add-overview"):
        ingest([data], root, config=config(SEEN), serial=True)
    would = ingest([data], root, config=config(), add_overview=True, serial=True, dry_run=True)
    assert {one.message for one in would.reports} == {"would get an overview"}
    size = sum(path.stat().st_size for path in data.iterdir())
    assert f"2 files to read again for overviews, {size:,} bytes" in caplog.text
    assert not overviews(root)
    report = ingest([data], root, config=config(), add_overview=True, serial=True)
    assert [one.status for one in report.reports] == ["done", "done"]
    assert overviews(root) == overviews(original)
    assert_same_corpus(root, original)
    # nothing is left to do, and a new file gets an overview by itself
    third = write_scan(tmp_path / "third.fil", 7)
    again = ingest([data, third], root, config=Config.load(root), add_overview=True, serial=True)
    assert sorted(one.status for one in again.reports) == ["done", "skipped", "skipped"]
    assert len(overviews(root)) == 3


def test_views_and_overviews_are_added_in_one_pass(original: Path, bare: Path, data: Path, tmp_path: Path) -> None:
    root = shutil.copytree(bare, tmp_path / "corpus")
    would = ingest([data], root, config=config(replace(SCAN, views=("f4",))), add_views=True, add_overview=True,
                   dry_run=True, serial=True)
    assert {one.message for one in would.reports} == {"would get views f4 and an overview"}
    ingest([data], root, config=config(replace(SCAN, views=("f4",))), add_views=True, add_overview=True, serial=True)
    assert overviews(root) == overviews(original)
    assert sum(not is_plain(one) for one in CorpusStore.open(root).manifest().sources) == 2
    assert not verify(root).damages


def test_adding_goes_on_where_it_was_interrupted(
    original: Path, bare: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, commit = shutil.copytree(bare, tmp_path / "corpus"), tasks.scan.commit_overview

    def dies_at_the_second(*arguments: object) -> None:
        if overviews_on_disk(root):
            raise KeyboardInterrupt
        commit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(driver, "PUBLISH_S", 1e9)
    monkeypatch.setattr(tasks.scan, "commit_overview", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        ingest([data], root, config=config(), add_overview=True, serial=True)
    monkeypatch.undo()
    report = ingest([data], root, config=config(), add_overview=True, serial=True)
    assert sorted(one.status for one in report.reports) == ["done", "skipped"]
    assert overviews(root) == overviews(original)


def overviews_on_disk(root: Path) -> list[str]:
    return [path.name for path in (root / "sources").glob("*+overview")]


@pytest.mark.parametrize("step", ["commit_overview", "commit_source_groups", "remove_windows"])
def test_a_run_that_dies_leaves_scans_with_their_overviews_or_none(
    step: str, original: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real, calls = tmp_path / "corpus", getattr(tasks.scan, step), []

    def dies_twice(*arguments: object, **keywords: object) -> object:
        calls.append(arguments)
        if len(calls) <= 2:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr(tasks.scan, step, dies_twice)
    for _ in range(3):
        try:
            ingest([data], root, config=config(SEEN), serial=True)
        except KeyboardInterrupt:
            assert overviews(root).keys() == CorpusStore.open(root).manifest().sources.keys()
    assert len(calls) >= 2
    assert_same_corpus(root, original)
    assert overviews(root) == overviews(original)
    assert not verify(root).damages
    assert not [*(root / "staging").iterdir()]


def test_an_overview_leaves_and_returns_with_its_scan(corpus: Path, original: Path) -> None:
    scan_id = a_scan(corpus)
    remove([scan_id], corpus)
    manifest = CorpusStore.open(corpus).manifest()
    assert f"sources/{scan_id}+overview" in manifest.retired
    assert scan_id not in overviews(corpus)
    assert not verify(corpus).damages
    remove([scan_id], corpus, undo=True)
    assert overviews(corpus) == overviews(original)
    assert not CorpusStore.open(corpus).manifest().retired


def test_a_lost_overview_is_forgotten_and_made_again(corpus: Path, original: Path, data: Path) -> None:
    shutil.rmtree(overview_folder(corpus, a_scan(corpus)))
    report = ingest([data], corpus, config=Config.load(corpus), serial=True)
    assert {one.status for one in report.reports} == {"skipped"}
    assert len(overviews(corpus)) == 1
    ingest([data], corpus, config=Config.load(corpus), add_overview=True, serial=True)
    assert overviews(corpus) == overviews(original)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def swap(folder: Path) -> None:
    other = next(path for path in folder.parent.glob("*+overview") if path != folder)
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


@pytest.mark.parametrize("damage", [shutil.rmtree, swap, *(lambda folder, name=name: flip(folder / name)
                                                           for name in sorted(FILES)),
                                    *(lambda folder, name=name: (folder / name).unlink() for name in sorted(FILES))])
def test_a_damaged_overview_is_found_and_repaired(damage: object, corpus: Path, original: Path) -> None:
    scan_id = a_scan(corpus)
    damage(overview_folder(corpus, scan_id))  # type: ignore[operator]
    found = verify(corpus).damages
    assert {(one.kind, one.id) for one in found} == {("overview", scan_id)}
    assert all("--repair" in one.remedy for one in found)
    with pytest.raises(CorpusDamaged, match=r"lookalike verify --repair"):
        open_corpus(corpus).overview(scan_id)
    repaired = verify(corpus, repair=True, serial=True)
    assert not repaired.damages
    assert {one.kind for one in repaired.mended} == {"overview"}
    assert overviews(corpus) == overviews(original)
    assert_same_corpus(corpus, original)
    assert not list((corpus / "damaged").glob("*"))


def test_an_overview_whose_file_is_gone_is_named(corpus: Path, tmp_path: Path, data: Path) -> None:
    scan_id = a_scan(corpus)
    flip(overview_folder(corpus, scan_id) / "cells.npy")
    path = Path(CorpusStore.open(corpus).manifest().sources[scan_id].path)
    path.rename(tmp_path / path.name)
    try:
        (left,) = verify(corpus, repair=True, serial=True).damages
    finally:
        (tmp_path / path.name).rename(path)
    assert left.kind == "overview"
    assert "its file is gone or has changed" in left.remedy
    assert "the corpus then has no overview of this scan" in left.remedy


@pytest.mark.parametrize("sign", [1, -1])
def test_axes_are_those_of_the_file(sign: int, tmp_path: Path) -> None:
    path = write_scan(tmp_path / "scan.fil", foff_mhz=sign * abs(HEADER.foff_mhz), nchans=70_001, nsamples=129)
    root = tmp_path / "corpus"
    ingest([path], root, config=config(SEEN), serial=True)
    corpus = open_corpus(root)
    header = CorpusStore.open(root).manifest().sources[a_scan(root)].header
    whole = corpus.overview(a_scan(root), width=60)
    assert (whole.level, whole.channels_per_column, whole.spectra_per_row) == (1, 1024, 3)
    assert whole.maximum.shape == whole.mean.shape == (43, 69)
    centres = header.fch1_mhz + header.foff_mhz * np.arange(header.nchans)  # as the file counts channels
    np.testing.assert_allclose(whole.f_edges_mhz[0], centres.min() - abs(header.foff_mhz) / 2, rtol=0, atol=1e-9)
    np.testing.assert_allclose(whole.f_edges_mhz[-1], centres.max() + abs(header.foff_mhz) / 2, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.diff(whole.f_edges_mhz)[:-1], 1024 * abs(header.foff_mhz), rtol=1e-4)
    np.testing.assert_allclose(whole.t_edges_s, header.tsamp_s * np.minimum(3 * np.arange(44), 129))
    np.testing.assert_allclose((whole.mjd - header.tstart_mjd) * 86_400, whole.t_edges_s[:-1], atol=1e-4)
    assert whole.channel_edges.tolist()[-2:] == [68 * 1024, 70_001]
    # the strongest pixel of a column is where the file has it
    column = int(np.nanargmax(np.nanmax(whole.maximum, axis=0)[1:-1])) + 1
    part = corpus.overview("scan.fil", whole.f_edges_mhz[column] + 1e-7, whole.f_edges_mhz[column + 1] - 1e-7)
    assert part.level == 0
    assert part.maximum_codes.shape == (43, 4)
    np.testing.assert_allclose(part.f_edges_mhz[[0, -1]], whole.f_edges_mhz[column : column + 2], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(part.maximum_codes.max(axis=1), whole.maximum_codes[:, column])


def test_what_cannot_be_shown_is_refused(original: Path) -> None:
    corpus, scan_id = open_corpus(original), a_scan(original)
    for arguments, message in (((1.0, 2.0), "has no part in the band"),
                               ((8419.48, 8419.47), "is no range: give the lower frequency first"),
                               ((None, None, 0), "width must be positive")):
        with pytest.raises(QueryError, match=message):
            corpus.overview(scan_id, *arguments)
    with pytest.raises(QueryError, match="nothing"):
        corpus.overview("nothing")


def test_the_strongest_line_is_in_the_maximum(original: Path) -> None:
    scan_id = a_scan(original)
    header = CorpusStore.open(original).manifest().sources[scan_id].header
    layout = OverviewLayout.of(header)
    codes = StoredOverview.open(original, scan_id).read_codes()
    tops = [int(codes[layout.first(level) : layout.first(level) + layout.columns(level), MAXIMUM].max())
            for level in range(layout.levels)]
    assert len(set(tops)) == 1
    assert tops[0] > 61 + 11 * np.arcsinh(16 * 8)  # lines of 1 to 6 times the noise have an SNR of 10 to 60 a pixel
