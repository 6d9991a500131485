"""A file and its beginning: of both, the corpus holds the longer, as far as their samples can be compared."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.filterbank import write_filterbank
from pipeline.run import RunReport, ingest, remove
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, SourceGroup
from tests.run.small import archive, assert_same_corpus, by_name, config, header, noisy_power

DRIVER: Any = sys.modules["pipeline.run.driver"]
SPECTRA = 40
POWER = noisy_power(1, header(nsamples=SPECTRA))


def scan(path: Path, spectra: int = SPECTRA, power: np.ndarray = POWER) -> Path:
    """Write the first spectra of the scan; all have the same header, but for their number."""
    path.parent.mkdir(exist_ok=True)
    return write_filterbank(path, power[:spectra], header(nsamples=spectra))


def take(data: Path) -> RunReport:
    return ingest([data], data.parent / "corpus", config=config(), serial=True)


def held(data: Path) -> dict[str, int]:
    """Return the sources of the corpus: id → number of spectra."""
    manifest = CorpusStore.open(data.parent / "corpus").manifest()
    return {source_id: entry.header.nsamples for source_id, entry in manifest.sources.items()}


def id_of(data: Path, spectra: int) -> str:
    (found,) = (source_id for source_id, count in held(data).items() if count == spectra)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_grown_file_takes_the_place_of_its_beginning(data: Path) -> None:
    archive(data, 1)
    path = scan(data / "scan.fil", 20)
    take(data)
    short, root = id_of(data, 20), data.parent / "corpus"
    scan(path)
    report = take(data)

    one = by_name(report)["scan.fil"]
    assert (one.status, one.message, one.replaces) == ("done", "", (short,))
    assert report.to_json()["sources"][1]["replaces"] == [short]
    assert sorted(held(data).values()) == [16, 40]
    manifest = CorpusStore.open(root).manifest()
    long = manifest.files[str(path)].source_id
    assert long == id_of(data, 40)
    hits = open_corpus(root).search(window=f"{long}/{SourceGroup.open(root, long).numbers[0]}", k=50)
    assert hits
    assert short not in {hit.source_id for hit in hits}
    ingest([data], data.parent / "at-once", config=config(), serial=True)
    assert_same_corpus(root, data.parent / "at-once")
    assert take(data).tasks == 0


@pytest.mark.parametrize("spectrum", [0, 19], ids=["first spectrum", "last common spectrum"])
def test_another_observation_with_the_same_header_drops_nothing(data: Path, spectrum: int) -> None:
    path = scan(data / "scan.fil", 20)
    take(data)
    other = POWER.copy()
    other[spectrum] *= 2
    scan(path, SPECTRA, other)
    short = id_of(data, 20)
    (report,) = take(data).reports
    assert sorted(held(data).values()) == [20, 40]
    assert (report.status, report.replaces) == ("done", ())
    assert report.message == (f"{path}: held {short} before, which has the same header and other samples; "
                              "both are kept")


def test_a_file_that_was_moved_and_grew_takes_the_place_of_its_beginning(data: Path) -> None:
    path = scan(data / "scan.fil", 20)
    take(data)
    short = id_of(data, 20)
    path.unlink()
    scan(data / "later.h5")
    assert by_name(take(data))["later.h5"].replaces == (short,)
    assert list(held(data).values()) == [40]


def test_a_copy_that_did_not_grow_is_no_source_of_its_own(data: Path) -> None:
    path = scan(data / "scan.fil", 20)
    shutil.copy(path, data / "copy.fil")
    take(data)
    scan(path)
    take(data)
    for is_known in (False, True, True):
        report = take(data)
        one = by_name(report)["copy.fil"]
        assert (one.status, one.reason) == ("skipped", Reason.DUPLICATE)
        assert one.message == f"the beginning of the scan in {path}"
        assert (report.tasks == 0) is is_known
    assert list(held(data).values()) == [40]
    manifest = CorpusStore.open(data.parent / "corpus").manifest()
    (entry,) = manifest.sources.values()
    assert entry.also_at == (), "a hit in its last spectra is not in the copy"

    path.rename(data / "scan2.fil")  # what was found out once stays known, when there is nothing to compare with
    path = (data / "scan2.fil").rename(data.parent / "elsewhere.fil")
    assert by_name(take(data))["copy.fil"].reason is Reason.DUPLICATE
    assert list(held(data).values()) == [40]


def test_of_a_file_and_its_beginning_in_one_run_only_the_longer_is_read(data: Path) -> None:
    scan(data / "a.fil", 20)
    scan(data / "b.h5")
    scan(data / "c.fil", 30)
    report = by_name(take(data))
    assert list(held(data).values()) == [40]
    assert (report["b.h5"].status, report["b.h5"].replaces) == ("done", ())
    for name in ("a.fil", "c.fil"):
        assert report[name].reason is Reason.DUPLICATE
        assert report[name].message == f"the beginning of the scan in {data / 'b.h5'}"


def test_what_cannot_be_compared_is_kept_and_the_report_says_so(data: Path) -> None:
    path = scan(data / "long.fil")
    take(data)
    path.unlink()
    short = scan(data / "short.fil", 20)
    report = by_name(take(data))["short.fil"]
    assert sorted(held(data).values()) == [20, 40]
    assert report.status == "done"
    assert report.message == (f"{short}: has the same header as {id_of(data, 40)}, but for the number of spectra; as "
                              "no file holds the longer one any more, their samples cannot be compared, and both are "
                              "kept")


def test_a_removed_source_stays_removed_when_its_file_grows(data: Path) -> None:
    path = scan(data / "scan.fil", 20)
    take(data)
    short, root = id_of(data, 20), data.parent / "corpus"
    remove([short], root)
    scan(path)
    for tasks in (2, 0):
        report = take(data)
        (one,) = report.reports
        assert (one.status, one.reason, one.source_id) == ("skipped", Reason.REMOVED, short)
        assert one.message == (f"{path}: its beginning was removed; to take it in again: "
                               f"lookalike remove --undo {short} --corpus CORPUS")
        assert report.tasks == tasks
    assert held(data) == {}
    remove([short], root, undo=True)
    assert list(held(data).values()) == [20]
    (one,) = take(data).reports
    assert (one.status, one.replaces) == ("done", (short,))
    assert list(held(data).values()) == [40]


def test_the_beginning_of_a_removed_source_is_removed_with_it(data: Path) -> None:
    scan(data / "long.fil")
    take(data)
    long = id_of(data, 40)
    remove([long], data.parent / "corpus")
    path = scan(data / "short.fil", 20)
    one = by_name(take(data))["short.fil"]
    assert (one.status, one.reason, one.source_id) == ("skipped", Reason.REMOVED, long)
    assert one.message == (f"{path}: is the beginning of a scan that was removed; to take it in again: "
                           f"lookalike remove --undo {long} --corpus CORPUS")
    assert held(data) == {}


def test_to_undo_a_removal_drops_no_other_observation(data: Path) -> None:
    path = scan(data / "scan.fil")
    take(data)
    long, root = id_of(data, 40), data.parent / "corpus"
    remove([long], root)
    other = POWER[::-1].copy()
    scan(path, 20, other)  # at the same path, with the same header
    take(data)
    assert list(held(data).values()) == [20]
    (back,) = remove([long], root, undo=True)
    assert back.replaces == ()
    assert sorted(held(data).values()) == [20, 40]


def test_to_undo_a_removal_drops_a_beginning_and_says_so(data: Path) -> None:
    path = scan(data / "scan.fil", 20)
    take(data)
    short, root = id_of(data, 20), data.parent / "corpus"
    scan(path)
    take(data)
    long = id_of(data, 40)
    remove([long], root)
    path.unlink()
    scan(data / "again.fil", 20)  # nothing is left to compare it with
    take(data)
    assert list(held(data)) == [short]
    (back,) = remove([long], root, undo=True)
    assert back.replaces == (short,)
    assert list(held(data)) == [long]


def test_a_run_that_died_before_it_published_replaces_the_beginning_all_the_same(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scan(data / "scan.fil", 20)
    take(data)
    scan(path)
    with monkeypatch.context() as patch:
        patch.setattr(DRIVER.Driver, "_publish", lambda driver: None)
        take(data)
    assert list(held(data).values()) == [20]
    take(data)
    assert list(held(data).values()) == [40]
