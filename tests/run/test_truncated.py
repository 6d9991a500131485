"""Files whose end is missing: refused while they may still grow, then read as far as their spectra are whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest

from pipeline.errors import Reason
from pipeline.filterbank import write_filterbank
from pipeline.run import ingest
from pipeline.store import CorpusStore
from tests.run.small import COARSE, N_COARSE, config, header, noisy_power

LIKE = header(nsamples=40)
POWER = noisy_power(1, LIKE)


def whole(path: Path, spectra: int = 40) -> Path:
    like = header(nsamples=spectra)
    return write_filterbank(path, POWER[:spectra], like)


def partial(path: Path, spectra: int = 40, more: int = 20_000) -> Path:
    """Write some spectra, and a piece of one more."""
    whole(path, spectra)
    with open(path, "ab") as file:
        file.write(bytes(more))
    return path


def stale(path: Path) -> Path:
    """Write 40 spectra under a header that promises 4,096."""
    content = whole(path).read_bytes()
    at = content.index(b"nsamples") + len(b"nsamples")
    path.write_bytes(content[:at] + (4096).to_bytes(4, "little") + content[at + 4 :])
    return path


def unfinished(path: Path, missing: tuple[int, int] = (40, 0)) -> Path:
    """Write 64 spectra as HDF5, of which chunks from one on were never written."""
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        data = file.create_dataset("data", (64, 1, COARSE * N_COARSE), "f4", chunks=(8, 1, COARSE))
        spectrum, channel = missing
        data[:spectrum, 0] = POWER[:spectrum, ::-1]
        if channel:
            data[spectrum : spectrum + 8, 0, :channel] = POWER[:8, ::-1][:, :channel]
        data.attrs.update({"fch1": LIKE.fch1_mhz, "foff": LIKE.foff_mhz, "nchans": LIKE.nchans, "nifs": 1, "nbits": 32,
                           "tsamp": LIKE.tsamp_s, "tstart": LIKE.tstart_mjd, "source_name": LIKE.source_name,
                           "telescope_id": LIKE.telescope_id, "machine_id": LIKE.machine_id})
    return path


@pytest.mark.parametrize(("name", "make", "word"), [
    ("partial.fil", partial, "ends within spectrum 40"),
    ("stale.fil", stale, "holds 40 of the 4096 spectra"),
    ("unfinished.h5", unfinished, "holds 40 whole spectra of 64"),
    ("torn.h5", lambda path: unfinished(path, (40, 2 * COARSE)), "holds 40 whole spectra of 64"),
])
def test_its_whole_spectra_are_read_once_it_no_longer_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Any, word: str
) -> None:
    (tmp_path / "data").mkdir()
    path = make(tmp_path / "data" / name)
    fresh = ingest([path], tmp_path / "corpus", config=config(), serial=True)
    assert [(r.status, r.reason) for r in fresh.reports] == [("failed", Reason.TRUNCATED)]

    changed_s = path.stat().st_ctime
    monkeypatch.setattr("pipeline.support.clock.time", SimpleNamespace(time=lambda: changed_s + 599))
    assert ingest([path], tmp_path / "corpus", serial=True).reports[0].reason is Reason.TRUNCATED
    monkeypatch.setattr("pipeline.support.clock.time", SimpleNamespace(time=lambda: changed_s + 601))
    [report] = ingest([path], tmp_path / "corpus", serial=True).reports
    monkeypatch.undo()

    assert (report.status, report.windows_seen) == ("done", 3 * 64)  # the last time block overlaps the second
    assert word in report.message
    assert "its first 40 spectra, which are whole, are read" in report.message
    manifest = CorpusStore.open(tmp_path / "corpus").manifest()
    assert [entry.header.nsamples for entry in manifest.sources.values()] == [40]
    assert manifest.files[str(path)].message == report.message
    # it is the source of a file that ends there
    path.unlink()
    whole(path)
    ingest([path], tmp_path / "expected", config=config(), serial=True)
    expected = CorpusStore.open(tmp_path / "expected").manifest()
    assert manifest.sources.keys() == expected.sources.keys()
    assert [e.windows_kept for e in manifest.sources.values()] == [e.windows_kept for e in expected.sources.values()]


def test_a_flag_does_not_wait(tmp_path: Path) -> None:
    path = partial(tmp_path / "partial.fil")
    report = ingest([path], tmp_path / "corpus", config=config(), serial=True, accept_truncated=True)
    assert [r.status for r in report.reports] == ["done"]
    assert report.exit_code == 0


def test_less_than_a_window_stays_truncated(tmp_path: Path) -> None:
    path = partial(tmp_path / "partial.fil", 15)
    report = ingest([path], tmp_path / "corpus", config=config(), serial=True, accept_truncated=True)
    assert [(r.status, r.reason) for r in report.reports] == [("failed", Reason.TRUNCATED)]
    assert "its 15 whole spectra are fewer than the 16 of one window" in report.reports[0].message
