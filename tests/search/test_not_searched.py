"""What was not searched beside hits and in all scans, compared with counting pixels one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.filterbank import write_filterbank
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, WindowGrid
from pipeline.run import ingest
from pipeline.search import Corpus, open_corpus
from pipeline.search.not_searched import beside
from tests.run.small import COARSE, ENCODER, HEADER, SCAN, header, noisy_power


def naive(tiling: Tiling) -> tuple[np.ndarray, np.ndarray]:
    """Return which channels (c,) and which spectra (t,) are in a window, by going through all windows."""
    channels, spectra = np.zeros(tiling.header.nchans, bool), np.zeros(tiling.header.nsamples, bool)
    for number in range(tiling.n_windows):
        window = tiling.window("S", number)
        channels[window.channel_start : window.channel_stop] = True
        spectra[window.spectrum_start : window.spectrum_stop] = True
    return channels, spectra


@pytest.mark.parametrize(("grid", "coarse", "nchans", "nsamples"), [
    (WindowGrid(16, 16, 4), CoarseLayout(100, "flag"), 410, 11),
    (WindowGrid(16, 24, 4), CoarseLayout(100, "flag"), 300, 5),
    (WindowGrid(16, 8, 4), CoarseLayout(50, "flag", 7), 170, 8),
    (WindowGrid(16, 16, 4, True), CoarseLayout(100, "flag"), 405, 11),
    (WindowGrid(16, 16, 4, True), CoarseLayout(96, "flag"), 192, 9),
])
def test_pixels_beside_a_window_are_those_that_no_window_has(
    grid: WindowGrid, coarse: CoarseLayout, nchans: int, nsamples: int
) -> None:
    tiling = Tiling(replace(HEADER, nchans=nchans, nsamples=nsamples), grid, coarse)
    channels, spectra = naive(tiling)
    told = 0
    for number in range(tiling.n_windows):
        window = tiling.window("S", number)
        wanted = []
        # a run of missed channels ends where a window begins, or where its coarse channel ends
        ends = {0, nchans, *(edge for i in range(tiling.n_coarse) for edge in tiling.coarse_span(i))}
        if window.channel_start > 0 and not channels[window.channel_start - 1]:
            first = window.channel_start - 1
            while first not in ends and not channels[first - 1]:
                first -= 1
            wanted.append(f"{window.channel_start - first} channel{'s' * (window.channel_start - first > 1)} below it")
        if window.channel_stop < nchans and not channels[window.channel_stop]:
            last = window.channel_stop + 1
            while last not in ends and not channels[last]:
                last += 1
            wanted.append(f"{last - window.channel_stop} channel{'s' * (last - window.channel_stop > 1)} above it")
        missed = int((~spectra).sum())
        if missed and window.spectrum_stop == nsamples - missed:
            wanted.append(f"{missed} spect{'rum' if missed == 1 else 'ra'} after it")
        said = beside(tiling, window)
        assert [words.partition(" is in")[0].partition(" are in")[0] for words in said] == wanted
        told += len(said)
    assert told > 0 or channels.all()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A scan with a pulse over its first coarse channel, no data at one end of the second, and spectra left over."""
    root = tmp_path_factory.mktemp("gaps")
    like = header(nsamples=18)
    power = noisy_power(0, like)
    for coarse in range(4):  # a line in each, so that each has a hit
        power[:, coarse * COARSE + 700] += 6e9
    power[5, :COARSE] *= 2
    power[:, 2 * COARSE - 512 : 2 * COARSE] = 0
    write_filterbank(root / "scan.h5", power, like)
    ingest([root / "scan.h5"], root / "corpus", config=Config(replace(SCAN, cover=False), ENCODER), serial=True)
    return open_corpus(root / "corpus")


def test_hits_say_what_is_masked_or_stored_as_gain_around_them(corpus: Corpus) -> None:
    source_id = next(iter(corpus._corpus.manifest.sources))
    number = (2 * COARSE + 700) // 256
    result = corpus.search(window=f"{source_id}/{number}", k=50)

    by_coarse: dict[int, set[str]] = {}
    for hit in result:
        by_coarse.setdefault(hit.window.channel_start // COARSE, set()).update(hit.not_searched)
    assert {0, 1, 3} <= by_coarse.keys()
    after = "2 spectra after it are in no window"
    assert by_coarse[3] == {after}
    pulse = [words for words in by_coarse[0] if "times the gain" in words]
    assert [words.partition(":")[0] for words in pulse] == ["1 of its 16 spectra had up to 2 times the gain"]
    assert by_coarse[0] == {after, *pulse}
    assert {"2 of 16 windows of its coarse channel are masked", after} <= by_coarse[1]
    [best] = [hit for hit in result if hit.window.number == 700 // 256]
    assert best.to_json()["not_searched"] == list(best.not_searched)
    assert result.not_searched is not None
    assert (result.not_searched.scans, result.not_searched.share) == (1, pytest.approx(2 / 18))
    assert str(result.not_searched) == "not searched: 11 % of the samples, in 1 scan, are in no window"
    assert result.to_json()["not_searched"] == {"scans_in_part": 1, "share_of_samples_in_no_window": 0.1111}


def test_a_query_with_a_pulse_says_so(corpus: Corpus) -> None:
    source_id = next(iter(corpus._corpus.manifest.sources))
    note = corpus.search(window=f"{source_id}/{700 // 256}").description.note
    assert "in the query, 1 of its 16 spectra had up to 2 times the gain: what fills a whole coarse channel is" in note
    quiet = corpus.search(window=f"{source_id}/{(2 * COARSE + 700) // 256}").description.note
    assert "in the query" not in quiet


def test_the_table_says_it_once(corpus: Corpus) -> None:
    from pipeline.cli.below_hits import not_searched_lines

    source_id = next(iter(corpus._corpus.manifest.sources))
    result = corpus.search(window=f"{source_id}/{(2 * COARSE + 700) // 256}", k=50)
    lines = not_searched_lines(result)
    assert lines[0] == str(result.not_searched)
    assert len(lines) == 1 + len({hit.not_searched for hit in result if hit.not_searched})
    assert all(line.startswith("not searched there: ") for line in lines[1:])


def test_a_scan_that_windows_cover_is_told_of_in_no_word(tmp_path: Path) -> None:
    write_filterbank(tmp_path / "scan.h5", noisy_power(1), HEADER)
    ingest([tmp_path / "scan.h5"], tmp_path / "corpus", config=Config(SCAN, ENCODER), serial=True)
    corpus = open_corpus(tmp_path / "corpus")
    source_id = next(iter(corpus._corpus.manifest.sources))
    result = corpus.search(window=f"{source_id}/{int(corpus._corpus.numbers(source_id)[0])}")
    assert str(result.not_searched) == ""
    assert {hit.not_searched for hit in result} <= {()}
