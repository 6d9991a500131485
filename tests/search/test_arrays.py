"""Queries from arrays, in a corpus that was ingested."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.errors import QueryError
from pipeline.grid.cutouts import cutouts_of_power
from pipeline.search.from_power import cut_array
from tests.search.archive import (
    SCAN,
    Archive,
    array_of,
    check_scores,
    names_at,
)


def test_an_array_of_one_window(archive: Archive) -> None:
    truth = archive.truth[archive.outside][1]
    middle = (truth.channel_start + truth.channel_stop) // 2
    power = array_of(archive, middle - 128, middle + 128)
    result = archive.open().search(power=power, k=4)
    check_scores(archive, result, cutouts_of_power(power[None]), without=set())
    assert truth.placed.signal.name in names_at(archive, result[0].file, result[0].window.channel_start,
                                                result[0].window.channel_stop)
    assert result.query["shape"] == [16, 256]
    assert result.query_window is None
    np.testing.assert_allclose(result.query_power(), power / np.median(power), rtol=1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint16])
def test_an_array_of_any_kind_of_number(archive: Archive, kind: type) -> None:
    power = (array_of(archive, 512, 768) * 1e-5).astype(kind)
    hits = archive.open().search(power=power)
    assert list(hits) == list(archive.open().search(power=power.astype(np.float64)))


@pytest.mark.parametrize(("rows", "columns", "windows"), [(16, 256, 1), (32, 256, 2), (40, 700, 4), (16, 511, 1),
                                                          (7, 256, 1), (16, 100, 1), (3, 20, 1), (5, 600, 2)])
def test_arrays_of_any_size(archive: Archive, rows: int, columns: int, windows: int) -> None:
    power = np.random.default_rng(0).gamma(102, size=(rows, columns))
    power[:, [columns // 4, 3 * columns // 4]] *= 5  # a line in each window
    result = archive.open().search(power=power, k=2)
    assert result.query["windows"] == windows
    assert len(result) == 2


def test_arrays_are_cut_from_the_first_row_and_the_middle_column() -> None:
    array = np.arange(40 * 700, dtype=float).reshape(40, 700) + 1
    pieces = cut_array(array, SCAN.grid)
    expected = [array[row : row + 16, column : column + 256] for row in (0, 16) for column in (94, 350)]
    np.testing.assert_array_equal(pieces, expected)


def test_small_arrays_are_put_in_the_middle() -> None:
    piece = cut_array(np.ones((7, 101)), SCAN.grid)[0]
    assert (np.isfinite(piece[4:11, 77:178])).all()
    assert np.isfinite(piece).sum() == 7 * 101


@pytest.mark.parametrize(("power", "message"), [
    (np.ones(256), r"two-dimensional.*\(256,\)"),
    (np.ones((1, 16, 256)), r"two-dimensional.*\(1, 16, 256\)"),
    (np.full((16, 256), "1"), "array of numbers"),
    (np.ones((16, 256), complex), "array of numbers.*complex128"),
    (np.full((16, 256), np.nan), "no number above zero"),
    (-np.ones((16, 256)), "no number above zero: give linear power, not dB"),
    (np.ones((0, 256)), "no number above zero"),
    (np.ones((16, 256)), "only dead or constant pixels"),
    (np.ma.masked_all((16, 256)), "no number above zero"),
])
def test_arrays_that_show_nothing_are_refused(archive: Archive, power: np.ndarray, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        archive.open().search(power=power)


def test_masked_pixels_of_an_array_are_left_out(archive: Archive) -> None:
    power = array_of(archive, 512, 768).astype(np.float64)
    with_nan = power.copy()
    with_nan[3:5, 10:40] = np.nan
    masked = np.ma.masked_array(power, mask=np.isnan(with_nan))
    corpus = archive.open()
    assert list(corpus.search(power=masked)) == list(corpus.search(power=with_nan))


@pytest.mark.parametrize(("power", "message"), [
    (lambda rng: 10 * np.log10(rng.gamma(102, 1 / 102, (16, 256))), "% of the array .* is negative: that is dB"),
    (lambda rng: rng.gamma(102, size=(16, 256)) - 102, "% of the array .* is negative"),
    (lambda rng: rng.gamma(102, size=(256, 16)), r"256 spectra of 16 channels, .*: .* give array\.T"),
    (lambda rng: rng.gamma(102, size=(3000, 9)), r"3000 spectra of 9 channels, .* it lies on its side"),
])
def test_arrays_that_are_something_else_are_told_what(archive: Archive, power: Callable, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        archive.open().search(power=power(np.random.default_rng(0)))


@pytest.mark.parametrize(("shape", "noted"), [((64, 32), True), ((300, 200), True), ((300, 256), False),
                                              ((16, 16), False), ((7, 5), True), ((5, 7), False)])
def test_an_array_that_may_lie_on_its_side_is_noted(archive: Archive, shape: tuple[int, int], noted: bool) -> None:
    power = np.random.default_rng(0).gamma(102, size=shape)
    power[:, shape[1] // 2] *= 9
    note = archive.open().search(power=power, k=1).query.get("note", "")
    assert ("if it lies on its side, give array.T" in note) == noted


def test_a_few_pixels_that_are_not_positive_are_masked(archive: Archive) -> None:
    power = array_of(archive, 512, 768).astype(np.float64)
    with_nan, broken = power.copy(), power.copy()
    with_nan[3:9, 10:40] = np.nan
    broken[3:9, 10:40] = -1.0
    broken[4, 10:40] = 0.0
    corpus = archive.open()
    assert list(corpus.search(power=broken)) == list(corpus.search(power=with_nan))


def decibels(mean_db: float, line_db: float = 0.0) -> np.ndarray:
    """Noise of the resolution of the archive (N = 102) in dB, with a line that rises above it."""
    power = 10 * np.log10(np.random.default_rng(1).gamma(102, 1 / 102, (16, 256))) + mean_db
    power[:, 100] += line_db
    return power


@pytest.mark.parametrize(("power", "noted"), [
    (decibels(75.0, 12.0), True),
    (decibels(12.0), True),
    (decibels(150.0, 40.0), True),
    (10 ** (decibels(75.0, 12.0) / 10), False),
    (10 ** (decibels(0.0, 12.0) / 10), False),
    (10 ** (decibels(19.0, 1.0) / 10), False),  # around 80: these numbers could be dB
    (np.random.default_rng(1).normal(128, 21, (16, 256)), False),  # 8 bits of a digitiser
])
def test_an_array_that_may_hold_decibels_is_noted(archive: Archive, power: np.ndarray, noted: bool) -> None:
    note = archive.open().search(power=power, k=1).query.get("note", "")
    assert ("if so, give linear power, 10**(array/10)" in note) == noted


@pytest.mark.parametrize(("spectra", "channels"), [(16, 115), (16, 60), (16, 40), (9, 115), (5, 256)])
def test_the_gate_judges_the_part_of_a_window_that_a_small_array_fills(
    archive: Archive, spectra: int, channels: int
) -> None:
    power = np.random.default_rng(2).gamma(102, 1 / 102, (spectra, channels))
    corpus = archive.open()
    assert "no signal in the query" in corpus.search(power=power, k=1).query["note"]
    power[:, channels // 2] *= 1.8  # 8 sigmas in each spectrum
    assert "no signal" not in corpus.search(power=power, k=1).query.get("note", "")


def test_an_array_in_which_the_encoder_sees_nothing_is_refused(archive: Archive) -> None:
    power = 1 + 1e-3 * np.random.default_rng(3).random((16, 256))  # no pixel stands out
    with pytest.raises(QueryError, match="encoder power-spectrum sees nothing in the query"):
        archive.open().search(power=power)
