"""Windows of several sources that hold the same pixels: a file of a single node, and the file spliced of all nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.search import table
from pipeline.export.page import _table as html_table
from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Header, Hit, Window, WindowGrid
from pipeline.run import ingest
from pipeline.search import Corpus, open_corpus
from pipeline.search.copies import do_agree, do_overlap, offset_of
from pipeline.simulate import Truth, fine_header, scatter, simulate_file
from tests.search.archive import CONFIG, INSTRUMENT, WIDTH, places

GRID = WindowGrid(16, 16, 16)
SKY = np.random.default_rng(0).integers(1, 256, (64, 100)).astype(np.uint8)
"""Codes of all pixels: what windows of every file are cut out of."""
WHOLE = Header(fch1_mhz=1500.0, foff_mhz=2.7939677238464355e-06, nchans=100, nifs=1, nbits=32, tsamp_s=18.253611008,
               nsamples=64, tstart_mjd=59_000.25, telescope_id=6)


def part_of_whole(channel: int, spectrum: int, channels: int, spectra: int, *, mirrored: bool = False) -> Header:
    """The header of a file that holds a part of the sky; its frequencies are rounded as in headers."""
    foff = WHOLE.foff_mhz
    first = WHOLE.fch1_mhz + (channel + (channels - 1 if mirrored else 0)) * foff
    return replace(WHOLE, fch1_mhz=round(first, 7), foff_mhz=-foff if mirrored else foff, nchans=channels,
                   nsamples=spectra, tstart_mjd=WHOLE.mjd_at(spectrum * WHOLE.tsamp_s))


@st.composite
def windows(draw: Callable, name: str) -> tuple[Window, set[tuple[int, int]], np.ndarray]:
    """A window of any file of the sky, its pixels, and their codes."""
    channel, spectrum = draw(st.integers(0, 60)), draw(st.integers(0, 40))
    header = part_of_whole(channel, spectrum, draw(st.integers(16, 100 - channel)),
                           draw(st.integers(16, 64 - spectrum)), mirrored=draw(st.booleans()))
    tiling = Tiling(header, GRID, CoarseLayout(header.nchans, "whole-band"))
    window = tiling.window(name, draw(st.integers(0, tiling.n_windows - 1)))
    rows = range(spectrum + window.spectrum_start, spectrum + window.spectrum_stop)
    columns = range(channel + window.channel_start, channel + window.channel_stop)
    return window, {(t, c) for t in rows for c in columns}, SKY[np.ix_(rows, columns)]


@given(a=windows("A"), b=windows("B"), jitter=st.integers(0, 4))
def test_windows_of_one_recording_hold_the_same_pixels_where_they_overlap(
    a: tuple, b: tuple, jitter: int
) -> None:
    (one, pixels, codes), (other, others, other_codes) = a, b
    assert do_overlap(one, other) == do_overlap(other, one) == bool(pixels & others)
    offset = offset_of(one, other)
    assert offset is not None
    assert offset == tuple(int(x) - int(y) for x, y in zip(min(others), min(pixels), strict=True))
    noisy = np.clip(other_codes.astype(int) + np.random.default_rng(jitter).integers(-jitter, jitter + 1, codes.shape),
                    1, 255).astype(np.uint8)
    beam = np.random.default_rng(7).permutation(other_codes.ravel()).reshape(other_codes.shape)
    enough = len(pixels & others) >= 64
    assert do_agree(codes, noisy, offset) is (True if enough else None)
    assert do_agree(codes, beam, offset) is (False if enough else None)


def test_pixels_of_other_size_or_between_those_of_a_window_are_not_the_same() -> None:
    whole = Tiling(WHOLE, GRID, CoarseLayout(100, "whole-band")).window("A", 3)
    for changes in ({"tsamp_s": WHOLE.tsamp_s * 1.1}, {"foff_mhz": WHOLE.foff_mhz * 1.1},
                    {"tstart_mjd": WHOLE.mjd_at(0.5 * WHOLE.tsamp_s)},
                    {"fch1_mhz": WHOLE.fch1_mhz + 0.5 * WHOLE.foff_mhz}):
        header = replace(WHOLE, **changes)
        assert offset_of(whole, Tiling(header, GRID, CoarseLayout(100, "whole-band")).window("B", 3)) is None


def test_masked_pixels_are_not_compared() -> None:
    a = SKY[:16, :16].copy()
    b = a.copy()
    b[:10] = 0
    assert do_agree(a, b, (0, 0)) is True
    b[:13] = 0
    assert do_agree(a, b, (0, 0)) is None


@dataclass
class Recordings:
    """A recording as two files of nodes and the file spliced of them; one more scan; and a second beam."""

    root: Path
    truth: list[Truth]
    other: list[Truth]

    @property
    def spliced(self) -> Path:
        return self.root / "data" / "spliced.h5"

    def node(self, i: int) -> Path:
        return self.root / "data" / f"node{i}.h5"

    def open(self) -> Corpus:
        return open_corpus(self.root / "corpus")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Not to be changed. Node 0 lacks the lower 100 channels of the band, so its windows lie across those spliced."""
    root = tmp_path_factory.mktemp("recordings")
    (root / "data").mkdir()
    header = fine_header(coarse_channels=2, coarse_width=WIDTH, source_name="TARGET", second=100)
    found: dict[str, list[Truth]] = {}
    for name, seed, second in (("spliced", 1, 100), ("other", 2, 5000), ("beam", 3, 100)):
        mine = replace(header, tstart_mjd=header.tstart_mjd + (second - 100) / 86_400)
        seeds = {"beam": 1}.get(name, seed)  # the beam has the same signals in other noise
        placed = scatter(np.random.default_rng(seeds), header, count=8, coarse_width=WIDTH, snr=(30, 60),
                         families=("rising", "comb", "pulsed", "hump"))
        found[name] = simulate_file(root / "data" / f"{name}.h5", mine, placed, coarse_width=WIDTH,
                                    instrument=INSTRUMENT, seed=seed)
    made = Recordings(root, found["spliced"], found["other"])
    with open_filterbank(made.spliced) as filterbank:
        for i, (first, stop) in enumerate(((100, WIDTH), (WIDTH, 2 * WIDTH))):
            top = header.channel_edge_mhz(stop) - header.channel_width_mhz / 2
            node = replace(header, nchans=stop - first, fch1_mhz=round(top, 8))
            write_filterbank(made.node(i), filterbank.read(0, 16, first, stop), node)
    ingest([root / "data"], root / "corpus", config=CONFIG, serial=True)
    return made


def lies_at(hit: Hit, header: Header, truth: Truth) -> bool:
    low, high = (header.channel_edge_mhz(channel) for channel in (truth.channel_start, truth.channel_stop))
    return hit.window.f_start_mhz < high and low < hit.window.f_stop_mhz


@pytest.mark.parametrize("one", [0, 3, 6])
def test_copies_of_the_query_are_no_hits(recordings: Recordings, one: int) -> None:
    truth, corpus = recordings.truth[one], recordings.open()
    with open_filterbank(recordings.spliced) as filterbank:
        header = filterbank.header
    node = recordings.node(int(truth.channel_start >= WIDTH))
    for file in (recordings.spliced, node):
        hits = corpus.search(file=file, **places(truth), k=100)
        there = {Path(hit.file).name for hit in hits if lies_at(hit, header, truth)}
        assert there - {"other.h5"} <= {"beam.h5"}
        assert {Path(hit.file).name for hit in hits} >= {"other.h5", "beam.h5"}


def test_copies_of_a_hit_are_one_hit_with_all_paths(recordings: Recordings) -> None:
    hits = recordings.open().search(window=f"other.h5/{first_number(recordings)}", k=100)
    mine = [hit for hit in hits if Path(hit.file).name not in ("other.h5", "beam.h5")]
    with open_filterbank(recordings.spliced) as filterbank:
        header = filterbank.header
    for truth in recordings.truth:
        best = next(hit for hit in mine if lies_at(hit, header, truth))
        node = recordings.node(int(truth.channel_start >= WIDTH))
        assert {best.file, *best.also_at} == {str(recordings.spliced), str(node)}
        assert len(best.copies) == 1
    for a in mine:
        assert not any(do_overlap(a.window, b.window) for b in mine if b.source_id != a.source_id)
    assert sum(Path(hit.file).name == "beam.h5" for hit in hits) >= 4, "the same signals in other noise are other hits"


def first_number(recordings: Recordings) -> int:
    corpus = recordings.open()._corpus
    return int(corpus.numbers(corpus.find_source("other.h5"))[0])


def test_one_hit_of_a_file_is_one_of_its_recording(recordings: Recordings) -> None:
    hits = recordings.open().search(window=f"other.h5/{first_number(recordings)}", k=100, per_file=1)
    names = [name for hit in hits for name in (hit.source_id, *(copy.rpartition("/")[0] for copy in hit.copies))]
    assert len(names) == len(set(names))


def test_copies_are_told_in_the_table_and_in_html(recordings: Recordings) -> None:
    result = recordings.open().search(window=f"other.h5/{first_number(recordings)}", k=100)
    (hit, *_) = [hit for hit in result if hit.copies]
    assert f"    also at {hit.also_at[0]}" in table(result)
    assert f"<td>{hit.file}, also at {hit.also_at[0]}</td>" in html_table(result, None)
