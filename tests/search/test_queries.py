"""Queries from files, in a corpus of ingested files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, EncoderConfig
from pipeline.errors import QueryError
from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.model import Header
from pipeline.run import ingest
from pipeline.scan import cut_windows, tiling_of
from pipeline.search import open_corpus
from pipeline.simulate import fine_header, simulate_file
from tests.search.archive import (
    CONFIG,
    INSTRUMENT,
    SCAN,
    WIDTH,
    Archive,
    check_scores,
    every_cutout,
    names_at,
    places,
    read_header,
)


@pytest.mark.parametrize("family", ["rising", "comb", "pulsed", "hump"])
def test_a_signal_in_a_file_outside_finds_its_like(archive: Archive, family: str) -> None:
    truth = next(t for t in archive.truth[archive.outside] if t.placed.signal.name == family)
    hits = archive.open().search(file=archive.outside, **places(truth), k=3)
    found = [names_at(archive, hit.file, hit.window.channel_start, hit.window.channel_stop) for hit in hits]
    assert family in found[0]
    assert sum(family in names for names in found) >= 2


def test_a_stored_window_is_the_same_query_by_number_and_by_range(archive: Archive) -> None:
    corpus = archive.open()
    source_id = corpus._corpus.find_source("one.h5")
    number = int(corpus._corpus.windows(source_id).numbers[2])
    by_number = corpus.search(window=f"one.h5/{number}")
    record = by_number.query
    for name in (str(archive.one), source_id, "one.h5"):
        by_range = corpus.search(file=name, f_start_mhz=record["f_start_mhz"], f_stop_mhz=record["f_stop_mhz"])
        assert list(by_range) == list(by_number)
        assert by_range.query["source"] == source_id
        assert by_range.query["target"] == record["target"] == "one"
        assert by_range.query_window == by_number.query_window
        np.testing.assert_array_equal(by_range.query_power(), by_number.query_power())


def test_a_window_the_gate_left_out_is_cut_from_its_file(archive: Archive) -> None:
    corpus = archive.open()
    source_id = corpus._corpus.find_source("one.h5")
    cutouts = every_cutout(archive.one)
    kept = set(corpus._corpus.windows(source_id).numbers.tolist())
    number = next(n for n in sorted(cutouts) if n not in kept)
    hits = corpus.search(window=f"one.h5/{number}", k=5)
    check_scores(archive, hits, cutouts[number][None], without={(source_id, number)})


def test_a_range_off_the_grid_is_cut_centred_in_all_time_blocks(archive: Archive) -> None:
    truth = archive.truth[archive.two][0]
    corpus = archive.open()
    source_id = corpus._corpus.find_source("two.fil")
    result = corpus.search(file="two.fil", **places(truth), k=8, each_window=True)
    middle = (truth.channel_start + truth.channel_stop) / 2
    with open_filterbank(archive.two) as filterbank:
        tiling = tiling_of(filterbank, SCAN)
        cutouts, _ = cut_windows(filterbank, tiling, [(block, round(middle - 128)) for block in (0, 1, 2)])
    assert result.query["windows"] == 3  # the last one shares 13 of its spectra with the one before
    overlapping = {(source_id, n) for n in range(tiling.n_windows)
                   if abs(tiling.window("", n).channel_start - round(middle - 128)) < 256}
    check_scores(archive, result, cutouts, overlapping)


def test_a_wide_range_is_searched_through_its_windows_that_hold_a_signal(archive: Archive) -> None:
    header = read_header(archive.outside)
    start, stop = header.channel_edge_mhz(1000), header.channel_edge_mhz(1000 + 16 * 256 + 100)
    result = archive.open().search(file=archive.outside, f_start_mhz=start, f_stop_mhz=stop, k=5, each_window=True)
    starts = [1050 + 256 * i for i in range(16)]
    holding = [start for start in starts if any(t.channel_start < start + 256 and start < t.channel_stop
                                                for t in archive.truth[archive.outside])]
    assert 1 < len(holding) < 16
    assert result.query["windows"] == len(holding)
    with open_filterbank(archive.outside) as filterbank:
        cutouts, _ = cut_windows(filterbank, tiling_of(filterbank, SCAN), [(0, start) for start in holding])
    check_scores(archive, result, cutouts, without=set())
    assert result.query_window is not None
    assert result.query_window.channel_start in holding
    assert result.query_window.number == -1
    assert result[0].query_window == result.query_window
    assert {hit.query_window.channel_start for hit in result} <= set(holding)  # type: ignore[union-attr]


def test_a_wide_range_of_noise_is_searched_through_all_its_windows(archive: Archive) -> None:
    header = read_header(archive.outside)
    edges = sorted(t.channel_start for t in archive.truth[archive.outside])
    quiet = max(edges) + 600  # nothing lies above the last signal
    start, stop = header.channel_edge_mhz(quiet), header.channel_edge_mhz(quiet + 2 * 256)
    result = archive.open().search(file=archive.outside, f_start_mhz=start, f_stop_mhz=stop, k=5)
    assert result.query["windows"] == 2


def test_a_copy_elsewhere_is_known_as_the_source_it_is(archive: Archive, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.h5"
    shutil.copy(archive.one, copy)
    truth = archive.truth[archive.one][0]
    original, again = (archive.open().search(file=path, **places(truth)) for path in (archive.one, copy))
    assert list(again) == list(original)
    assert again.query["file"] == str(copy)
    assert again.query["source"] == original.query["source"]


def test_the_range_itself_is_not_found_in_any_time_block(archive: Archive) -> None:
    truth = archive.truth[archive.two][0]
    for hit in archive.open().search(file=archive.two, **places(truth), k=100):
        overlaps = hit.window.channel_start < truth.channel_stop and truth.channel_start < hit.window.channel_stop
        assert not (hit.file == str(archive.two) and overlaps)


def test_what_is_no_filterbank_or_out_of_band_is_refused(archive: Archive, tmp_path: Path) -> None:
    corpus = archive.open()
    text = tmp_path / "notes.txt"
    text.write_text("no filterbank")
    with pytest.raises(QueryError, match=r"NOT_FILTERBANK.*notes\.txt"):
        corpus.search(file=text, f_start_mhz=1530.0, f_stop_mhz=1530.0001)
    with pytest.raises(QueryError, match=r"not within the band of .*outside\.h5: 1530\.000000–1530\.045776 MHz"):
        corpus.search(file=archive.outside, f_start_mhz=1532.1, f_stop_mhz=1532.1007)
    with pytest.raises(QueryError, match="polarisation"):
        corpus.search(file=archive.outside, f_start_mhz=1530.01, f_stop_mhz=1530.0107, polarisation=1)


def test_a_file_of_other_resolution_is_refused_unless_asked(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "short.h5"
    header = Header(fch1_mhz=1530.0, foff_mhz=-1.4e-6, nchans=WIDTH, nifs=1, nbits=32, tsamp_s=1.43, nsamples=16,
                    tstart_mjd=59_000.5, telescope_id=6)
    simulate_file(path, header, coarse_width=WIDTH, instrument=INSTRUMENT)
    corpus = archive.open()
    middle = header.channel_edge_mhz(2000)
    with pytest.raises(QueryError, match=r"short\.h5 has resolution 1\.4Hz-1\.43s, but the corpus has only 2\.794Hz"):
        corpus.search(file=path, f_start_mhz=middle, f_stop_mhz=middle)
    assert len(corpus.search(file=path, f_start_mhz=middle, f_stop_mhz=middle, all_resolutions=True)) == 10


def test_dead_pixels_are_refused(archive: Archive, tmp_path: Path) -> None:
    header = fine_header(coarse_width=WIDTH, second=77)
    power = np.random.default_rng(0).gamma(102, size=(16, WIDTH)).astype(np.float32)
    power[:, 1000:2000] = 0
    path = write_filterbank(tmp_path / "dead.h5", power, header)
    dead = {"f_start_mhz": header.channel_edge_mhz(1300), "f_stop_mhz": header.channel_edge_mhz(1500)}
    with pytest.raises(QueryError, match=r"dead\.h5.*only dead or constant pixels"):
        archive.open().search(file=path, **dead)


def test_a_file_that_has_gone_or_was_replaced(archive: Archive, tmp_path: Path) -> None:
    root, data = tmp_path / "corpus", tmp_path / "data"
    data.mkdir()
    shutil.copy(archive.one, data / "one.h5")
    ingest([data], root, config=CONFIG, serial=True)
    truth = archive.truth[archive.one][0]
    corpus = open_corpus(root)
    source_id = corpus._corpus.find_source("one.h5")
    with_file = corpus.search(file="one.h5", **places(truth))
    assert "note" not in with_file.query
    shutil.copy(archive.outside, data / "one.h5")
    replaced = corpus.search(file="one.h5", **places(truth))
    assert "now holds another scan" in replaced.query["note"]
    assert replaced.query["source"] == source_id
    (data / "one.h5").unlink()
    gone = corpus.search(file="one.h5", **places(truth))
    assert "is gone: it was moved or removed" in gone.query["note"]
    assert list(gone) == list(replaced)
    assert gone.query_window is not None
    assert gone.query_window.number in corpus._corpus.windows(source_id).numbers


def test_pictures_of_hits_show_the_power_of_the_file(archive: Archive) -> None:
    corpus = archive.open()
    # a narrow signal: in coarse channels as narrow as these, the band takes up a part of wide ones
    truth = next(t for t in archive.truth[archive.outside] if t.placed.signal.name == "rising")
    hits = corpus.search(file=archive.outside, **places(truth), k=3)
    for hit, image in zip(hits, corpus.power_of(hits), strict=True):
        window = hit.window
        with open_filterbank(hit.file) as filterbank:
            rows, channels = (window.spectrum_start, window.spectrum_stop), (window.channel_start, window.channel_stop)
            power = filterbank.read(*rows, *channels)
        power = power / np.median(power, axis=1, keepdims=True)
        assert image.shape == power.shape == (16, 256)
        difference = 10 * np.log10(image / power)
        assert abs(np.median(difference)) < 0.1
        assert np.percentile(np.abs(difference), 95) < 0.3


def test_a_query_of_mere_noise_says_so(archive: Archive) -> None:
    header = read_header(archive.outside)
    quiet = header.channel_edge_mhz(max(t.channel_stop for t in archive.truth[archive.outside]) + 600)
    corpus = archive.open()
    noise = corpus.search(file=archive.outside, f_start_mhz=quiet, f_stop_mhz=quiet + 1e-4, k=1)
    assert "no signal in the query" in noise.query["note"]
    assert "no signal" in corpus.search(power=np.random.default_rng(0).gamma(102, size=(16, 256))).query["note"]
    signal = archive.truth[archive.outside][0]
    assert "note" not in corpus.search(file=archive.outside, **places(signal), k=1).query


def digitised(path: Path, seed: int) -> Path:
    """A file of 8 bits whose noise is ten times what its header suggests, with one burst in the middle."""
    header = Header(fch1_mhz=4030.0, foff_mhz=-4.0, nchans=768, nifs=1, nbits=8, tsamp_s=0.000512, nsamples=64,
                    tstart_mjd=58_543.5 + seed, source_name=path.stem, telescope_id=4)
    power = np.random.default_rng(seed).normal(128, 21, (64, 768))
    for t in range(6):
        power[19 + t, 330 + t] += 110
    return write_filterbank(path, np.clip(np.rint(power), 1, 255), header)


def test_a_range_off_the_grid_has_the_noise_of_the_data_not_of_the_header(tmp_path: Path) -> None:
    stored, outside = digitised(tmp_path / "stored.fil", 1), digitised(tmp_path / "outside.fil", 2)
    ingest([stored], tmp_path / "corpus", config=Config(encoder=EncoderConfig("power-spectrum")), serial=True)
    corpus, edge = open_corpus(tmp_path / "corpus"), read_header(outside).channel_edge_mhz
    quiet = corpus.search(file=outside, f_start_mhz=edge(37), f_stop_mhz=edge(37 + 256), k=1)
    assert "no signal in the query" in quiet.query["note"]
    assert np.nanstd(quiet.query_power()) == pytest.approx(21 / 128, rel=0.1)  # the header's N of 4,096 gives 1/64
    burst = corpus.search(file=outside, f_start_mhz=edge(207), f_stop_mhz=edge(207 + 256), k=1)
    assert "note" not in burst.query
    assert burst.query["windows"] == 1
    assert burst.query_window is not None
    assert burst.query_window.spectrum_start == 16
    assert burst.query_power()[range(3, 9), range(123, 129)].mean() == pytest.approx(238 / 128, rel=0.15)
