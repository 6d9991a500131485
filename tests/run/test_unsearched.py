"""Files in which nothing is found: those without a signal, and those of which no window can be searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline.cli import main
from pipeline.config import ScanConfig
from pipeline.errors import QueryError, Reason
from pipeline.filterbank import write_filterbank
from pipeline.model import Header
from pipeline.run import embed, ingest
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, SourceGroup
from tests.filterbank.files import attributes
from tests.run.small import COARSE, SCAN, by_name, config, header, noisy_power, write_scan

LIKE = header(nchans=COARSE)


def noise(seed: int, like: Header = LIKE) -> np.ndarray:
    power: np.ndarray = np.random.default_rng(seed).gamma(102, 1e9 / 102, (like.nsamples, like.nchans))
    return power.astype(np.float32)


def write_products(path: Path, products: np.ndarray, **changes: Any) -> Path:
    """Write (spectra, products, ascending channels) as they are, with plain h5py."""
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        data = file.create_dataset("data", data=products[..., ::-1])
        bits = 8 * products.dtype.itemsize
        data.attrs.update(attributes(LIKE, nbits=bits, nifs=products.shape[1], **changes))
    return path


def with_lines(values: np.ndarray, height: float) -> np.ndarray:
    for channel, drift in ((700, 2), (2000, -2), (3000, 0)):
        for t in range(16):
            values[t, channel + drift * t] += height
    return values


def test_what_is_not_power_is_searched_and_what_never_changes_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    normal = rng.normal(0, 1, (16, COARSE))
    data = tmp_path / "data"
    data.mkdir()
    lines = with_lines(normal, 50)
    write_products(data / "signed8.h5", np.clip(2 * lines, -128, 127).astype("i1")[:, None], source_name="SIGNED8")
    write_products(data / "normalised.h5", lines.astype("f4")[:, None], source_name="NORMED")
    for name, value in (("constant", 5.0), ("zero", 0.0), ("nan", np.nan), ("infinite", np.inf), ("below", -2.0)):
        like = header(nchans=COARSE, source_name=name)
        write_filterbank(data / f"{name}.h5", np.full((16, COARSE), value, np.float32), like)
    write_filterbank(data / "repeated.h5", np.repeat(noise(1)[:1], 16, axis=0), header(source_name="R", nchans=COARSE))

    report = ingest([data], tmp_path / "corpus", config=config(), serial=True)

    found = by_name(report)
    for name in ("signed8.h5", "normalised.h5"):
        assert (found[name].status, found[name].windows_seen) == ("done", 16)
        assert found[name].windows_kept in range(3, 7)
    for name in ("constant", "zero", "nan", "infinite", "below", "repeated"):
        one = found[f"{name}.h5"]
        assert (one.status, one.reason) == ("failed", Reason.ALL_MASKED), name
        assert f"{name}.h5: none of its 16 windows can be searched" in one.message
    corpus = CorpusStore.open(tmp_path / "corpus")
    assert len(corpus.manifest().sources) == 2
    assert len(list((tmp_path / "corpus" / "sources").iterdir())) == 2, "nothing is left of the others"
    again = ingest([data], tmp_path / "corpus", config=config(), serial=True)
    assert (again.tasks, again.exit_code) == (0, 3), "they are not read again until they change"


SATURATED = "most samples have the largest value of their type, {}: they are saturated; record again with a lower level"
CHECK = "; check how the file was made"
WIDE = "most of its 64-bit samples are 0 or infinite as 32-bit floats, in which it is searched; multiply all by"


@pytest.mark.parametrize(("values", "dtype", "fault"), [
    (np.full((16, COARSE), 255), "u1", SATURATED.format(255)),
    (400 * noise(3) / 1e9, "u1", SATURATED.format(255)),
    (np.full((16, COARSE), 127), "i1", SATURATED.format(127)),
    (1e5 * noise(3) / 1e9, "<u2", SATURATED.format(65535)),
    (noise(3).astype(float) * 1e191, "<f8", WIDE),
    (noise(3).astype(float) * 1e-209, "<f8", WIDE),
    (np.full((16, COARSE), 1e300), "<f8", WIDE),
    (np.zeros((16, COARSE)), "<f4", "most samples are 0" + CHECK),
    (np.full((16, COARSE), np.nan), "<f4", "most samples are no finite numbers" + CHECK),
    (np.repeat(noise(3)[:1], 16, axis=0), "<f4", "most samples never change" + CHECK),
    (np.full((16, COARSE), -128), "i1", "most samples never change" + CHECK),
])
def test_a_file_that_cannot_be_searched_says_why(tmp_path: Path, values: np.ndarray, dtype: str, fault: str) -> None:
    if np.dtype(dtype).kind != "f":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    path = write_products(tmp_path / "f.h5", values.astype(dtype)[:, None])

    (report,) = ingest([path], tmp_path / "corpus", config=config(), serial=True).reports

    assert (report.reason, report.windows_kept) == (Reason.ALL_MASKED, 0)
    assert f"f.h5: none of its 16 windows can be searched, because {fault}" in report.message


def test_a_saturated_carrier_is_a_signal_and_a_saturated_spectrum_is_masked(tmp_path: Path) -> None:
    values = np.clip(np.rint(30 * noise(3) / 1e9), 0, 255).astype("u1")
    values[:, 1000:1010] = 255
    values[5] = 255
    path = write_products(tmp_path / "f.h5", values[:, None])

    (report,) = ingest([path], tmp_path / "corpus", config=config(), serial=True).reports

    assert (report.status, report.windows_seen, report.windows_masked) == ("done", 16, 0)
    gains = SourceGroup.open(tmp_path / "corpus", report.source_id).exposure("row_gain")[0]
    assert gains[5] == 0
    np.testing.assert_allclose(np.delete(gains, 5), 1, atol=0.02)
    assert report.windows_kept == 1


def test_a_stokes_product_that_is_not_power_is_searched(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    v = with_lines(rng.normal(0, 0.14, (16, COARSE)), -8)
    q, u = rng.normal(0, 0.14, (2, 16, COARSE))
    products = np.stack([noise(4) / 1e9, q, u, v], 1).astype("f4") * np.float32(1e9)
    path = write_products(tmp_path / "stokes.h5", products)
    kept = {}
    for product in (0, 1, 3):
        scan = ScanConfig(coarse_width=COARSE, polarisation=product, false_alarm=1e-5, views=())
        report = ingest([path], tmp_path / f"corpus{product}", config=config(scan), serial=True)
        kept[product] = report.windows_kept
    assert (kept[0], kept[1]) == (0, 0)
    assert kept[3] in range(3, 7)
    hits = open_corpus(tmp_path / "corpus3").search(file=path, f_start_mhz=LIKE.channel_edge_mhz(2950),
                                                    f_stop_mhz=LIKE.channel_edge_mhz(3050), k=5)
    assert len(hits) > 0
    assert "no signal" not in hits.description.note


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """Corpus of one file of noise, of which no window passes the gate."""
    write_filterbank(tmp_path / "noise.h5", noise(7), LIKE)
    ingest([tmp_path / "noise.h5"], tmp_path / "corpus", config=config(), serial=True)
    return tmp_path / "corpus"


def test_noise_is_done_and_every_later_command_says_that_there_is_no_signal(
    silent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = open_corpus(silent).status()
    assert (status.windows_seen, status.windows_kept, status.without_signal, status.not_searched) == (16, 0, 1, 0)
    for search in ({"file": str(tmp_path / "noise.h5"), "f_start_mhz": LIKE.f_min_mhz, "f_stop_mhz": LIKE.f_max_mhz},
                   {"power": noise(8)[:, :256]}):
        with pytest.raises(QueryError, match=r"holds no signal, .*none of 16 windows in 1 source") as caught:
            open_corpus(silent).search(**search)  # type: ignore[arg-type]
        assert "embed" not in str(caught.value)
    report = embed(silent, serial=True)
    assert [(r.status, r.message) for r in report.reports] == [("skipped", "no signal: nothing to embed")]
    for command, word in ((["status", "--corpus", str(silent)], "1 source without a signal"),
                          (["embed", "--corpus", str(silent), "--serial"], "the corpus holds no signal")):
        with pytest.raises(SystemExit) as exit_:
            main(command)
        assert not exit_.value.code
        assert word in capsys.readouterr().out


def test_the_report_of_an_ingest_counts_files_without_a_signal(tmp_path: Path) -> None:
    write_filterbank(tmp_path / "noise.h5", noise(7), LIKE)
    write_scan(tmp_path / "scan.h5", 1)
    report = ingest([tmp_path], tmp_path / "corpus", config=config(), serial=True)
    record = report.to_json()
    assert (record["without_signal"], record["out_of_band"]) == (1, 0)
    messages = {Path(one["path"]).name: one["message"] for one in record["sources"]}
    assert messages == {"noise.h5": "no signal in 16 windows", "scan.h5": ""}


def test_channels_and_spectra_in_no_window_are_in_every_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    like = header(nchans=500, source_name="N500")
    write_filterbank(tmp_path / "n500.h5", noise(1, like), like)
    like = header(1, nchans=COARSE, nsamples=31)
    write_filterbank(tmp_path / "tail31.h5", noisy_power(2, like), like)
    write_scan(tmp_path / "whole.h5", 2)
    command = ["ingest", str(tmp_path), "--corpus", str(tmp_path / "corpus"), "--serial", "--encoder", "power-spectrum"]
    with pytest.raises(SystemExit):
        main([*command, "--no-cover"])
    said = capsys.readouterr().out.splitlines()
    skipped, samples = 244 * 16 + COARSE * 15, 500 * 16 + COARSE * 31 + 4 * COARSE * 16
    assert f"in no window: {100 * skipped / samples:.2f} % of all samples" in said
    assert any(line.strip() == f"15 of 31 spectra: {tmp_path / 'tail31.h5'}" for line in said)
    assert any(line.strip() == f"244 of 500 channels: {tmp_path / 'n500.h5'}" for line in said)

    status = open_corpus(tmp_path / "corpus").status()
    assert (status.partly_covered, status.share_skipped) == (2, pytest.approx(skipped / samples))
    with pytest.raises(SystemExit):
        main(["status", "--corpus", str(tmp_path / "corpus")])
    assert f"{100 * skipped / samples:.2f} % of all samples are in no window, in 2 sources" in capsys.readouterr().out
    # the second report is about what it has scanned
    again = ingest([tmp_path], tmp_path / "corpus", serial=True)
    assert again.share_skipped == 0
    fresh = ingest([tmp_path], tmp_path / "other", config=config(replace(SCAN, cover=False)), serial=True).to_json()
    assert fresh["share_skipped"] == pytest.approx(skipped / samples)
    counts = {Path(one["path"]).name: (one["channels_skipped"], one["spectra_skipped"]) for one in fresh["sources"]}
    assert counts == {"n500.h5": (244, 0), "tail31.h5": (0, 15), "whole.h5": (0, 0)}
    assert ingest([tmp_path], tmp_path / "covering", config=config(), serial=True).share_skipped == 0
