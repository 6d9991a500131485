"""Counts divided by exposure, compared with plain loops and with simulated emitters of a known rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Header, WindowGrid
from pipeline.occurrence import (
    AxisName,
    Occurrences,
    SearchedScan,
    allowed_ranges,
    axis_of,
    bands_of,
    has_local_time,
    tally_along,
    total,
)
from tests.occurrence.made import scan

HOUR = 1 / 24


def seen(places: list[tuple[float, float]], width_mhz: float = 1e-6) -> Occurrences:
    """Make windows of (MHz, MJD), by frequency."""
    f_mhz, mjd = np.array(sorted(places), np.float64).reshape(-1, 2).T
    return Occurrences(f_mhz - width_mhz / 2, f_mhz + width_mhz / 2, mjd)


def random_scans(rng: np.random.Generator, count: int) -> list[SearchedScan]:
    """Make scans whose exposures differ by up to a factor of about a hundred, with gaps in frequency and time."""
    scans = []
    for i in range(count):
        low, begin = rng.uniform(1000, 1040), rng.uniform(59_000, 59_004)
        hours = 10 ** rng.uniform(-1, 0.3)
        wide = 10 ** rng.uniform(-0.5, 0.7)
        scans.append(scan(f"s{i}", [(low, low + wide, begin, begin + hours / 24),
                                    (low + 1.5 * wide, low + 2 * wide, begin, begin + hours / 24)],
                          share=rng.uniform(0.5, 1), target=f"T{i % 3}"))
    return scans


def emitters(rng: np.random.Generator, scans: list[SearchedScan], rate: float) -> dict[str, Occurrences]:
    """Draw emitters of a true rate per MHz h in what was searched."""
    found = {}
    for one in scans:
        i = np.repeat(np.arange(len(one.share)), rng.poisson(rate * one.exposure_mhz_h))
        f_mhz = rng.uniform(one.f_start_mhz[i], one.f_stop_mhz[i])
        found[one.scan_id] = seen(list(zip(f_mhz, one.middle_mjd[i], strict=True)))
    return found


@pytest.mark.parametrize("axis", ["frequency", "date", "hour", "target"])
def test_tables_agree_with_plain_loops(axis: AxisName) -> None:
    rng = np.random.default_rng(1)
    scans = random_scans(rng, 30)
    found = emitters(rng, scans, 3.0)
    rows = tally_along(axis_of(axis, scans), scans, found, 0.0)
    for row in rows:
        exposure, n_scans, n_with, n_emitters = 0.0, 0, 0, 0
        for one in scans:
            here = 0.0
            for i in range(len(one.share)):
                middle = (one.begin_mjd[i] + one.end_mjd[i]) / 2
                mhz = one.f_stop_mhz[i] - one.f_start_mhz[i]
                if axis == "frequency":
                    mhz = max(0.0, min(one.f_stop_mhz[i], row.bin.stop) - max(one.f_start_mhz[i], row.bin.start))
                elif axis == "date":
                    mhz *= row.bin.start <= middle < row.bin.stop
                elif axis == "hour":
                    mhz *= row.bin.start <= middle % 1 * 24 < row.bin.stop
                else:
                    mhz *= one.header.source_name == row.bin.label
                here += mhz * (one.end_mjd[i] - one.begin_mjd[i]) * 24 * one.share[i]
            windows = found[one.scan_id]
            keys = {"frequency": windows.middle_mhz, "date": windows.mjd, "hour": windows.mjd % 1 * 24}
            inside = ([one.header.source_name == row.bin.label] * len(windows.mjd) if axis == "target" else
                      [row.bin.start <= value < row.bin.stop for value in keys[axis]])
            exposure, n_scans, n_with = exposure + here, n_scans + (here > 0), n_with + any(inside)
            n_emitters += sum(inside)
        assert row.exposure_mhz_h == pytest.approx(exposure)
        assert (row.scans, row.scans_with, row.emitters) == (n_scans, n_with, n_emitters)
    whole = total(scans, found, 0.0)
    assert sum(row.exposure_mhz_h for row in rows) == pytest.approx(whole.exposure_mhz_h)
    assert sum(row.emitters for row in rows) == whole.emitters > 100


@pytest.mark.parametrize("mean", [0.1, 1.0, 5.0, 12.0, 50.0])
def test_intervals_cover_the_true_rate_with_unequal_exposures(mean: float) -> None:
    rng = np.random.default_rng(3)
    scans = random_scans(rng, 12)
    axis = axis_of("target", scans)
    exposures = [row.exposure_mhz_h for row in tally_along(axis, scans, {}, 0.0)]
    assert max(exposures) > 1.5 * min(exposures)
    rate = mean / exposures[0]
    repeats = 500
    covered = 0
    own = [one for one in scans if one.header.source_name == "T0"]  # the others have no part in the first bin
    for _ in range(repeats):
        row = tally_along(axis, scans, emitters(rng, own, rate), 0.0)[0]
        assert row.rate_per_mhz_h is not None
        _, low, high = row.rate_per_mhz_h
        covered += low <= rate <= high
    spread = math.sqrt(0.95 * 0.05 / repeats)
    assert covered / repeats >= 0.95 - 3 * spread
    if mean >= 10:
        assert covered / repeats <= 0.98 + 2 * spread


def test_where_nothing_was_searched_is_not_observed_and_not_zero() -> None:
    scans = [scan("a", [(1000, 1001, 59_000.0, 59_000.1), (1004, 1005, 59_000.0, 59_000.1)])]
    rows = tally_along(axis_of("frequency", scans, bin_mhz=1.0), scans, {}, 0.0)
    assert [row.is_observed for row in rows] == [True, False, False, False, True]
    assert rows[1].share is None
    assert rows[1].rate_per_mhz_h is None
    record = rows[1].to_json()
    assert (record["observed"], record["rate_per_mhz_h"], record["rate_high"], record["share"]) == (
        False, None, None, None)
    assert rows[0].rate_per_mhz_h == (0.0, 0.0, pytest.approx(3.6889 / 2.4, rel=1e-3))
    assert bands_of(scans) == ((1000, 1001), (1004, 1005))


def test_windows_close_together_are_one_emitter_in_each_scan() -> None:
    windows = seen([(1000.1, 59_000), (1000.105, 59_000), (1000.112, 59_000.01), (1000.2, 59_000)], width_mhz=0.001)
    assert windows.first_of_emitters(0.0065).tolist() == [True, False, False, True]
    assert windows.first_of_emitters(0.001).tolist() == [True, True, True, True]
    scans = [scan(name, [(1000, 1001, 59_000.0, 59_000.1)]) for name in "ab"]
    row = total(scans, {"a": windows, "b": windows}, 0.0065)
    assert (row.scans_with, row.emitters) == (2, 4)


def test_local_hours_follow_the_longitude() -> None:
    begin = 59_000 + 18.5 * HOUR
    scans = [scan("a", [(1000, 1001, begin, begin + 0.1 * HOUR)])]
    assert has_local_time(scans)
    rows = tally_along(axis_of("local hour", scans), scans, {"a": seen([(1000.5, begin + 0.05 * HOUR)])}, 0.0)
    assert [row.bin.start for row in rows if row.is_observed] == [13]  # Green Bank is 5.32 h behind UTC
    assert [row.bin.start for row in rows if row.emitters] == [13]
    assert not has_local_time([scan("x", [(1000, 1001, begin, begin + 1)], telescope_id=99)])


def test_bins_have_round_ends_and_words() -> None:
    scans = [scan("a", [(1000.4, 1123.2, 59_000.2, 59_090.3)])]
    edges = axis_of("frequency", scans).bins
    assert (edges[0].start, edges[-1].stop, len(edges)) == (1000, 1130, 13)
    assert edges[0].label == "1000–1010 MHz"
    assert axis_of("date", scans, bin_days=1).bins[0].label == "2020-05-31"
    assert len(axis_of("date", scans).bins) <= 24
    assert axis_of("date", scans).bins[0].label.startswith("2020-05-")
    with pytest.raises(ValueError, match="12,280,001 bins, and at most 20,000"):
        axis_of("frequency", scans, bin_mhz=1e-5)


def test_conditions_leave_ranges() -> None:
    assert allowed_ranges([], []) == [(-math.inf, math.inf)]
    assert allowed_ranges([(1, 5), (4, 8)], [(2, 3)]) == [(1, 2), (3, 8)]
    assert allowed_ranges([], [(2, 3)]) == [(-math.inf, 2), (3, math.inf)]
    one = scan("a", [(1000, 1010, 59_000.0, 59_000.1), (1020, 1030, 59_000.2, 59_000.3)])
    part = one.within([(1008, 1025)], None, 59_000.25)
    assert list(zip(part.f_start_mhz, part.f_stop_mhz, strict=True)) == [(1008, 1010), (1020, 1025)]
    assert part.windows.tolist() == [20, 50]
    assert len(one.within([(1008, 1025)], 59_000.1, None).share) == 1
    assert one.holds(np.array([1005.0, 1015.0, 1025.0]), np.array([59_000.05] * 3)).tolist() == [True, False, False]


def test_exposure_counts_each_sample_once_and_no_masked_window() -> None:
    """The last time block covers what is left over, so it shares spectra with the one before."""
    header = Header(fch1_mhz=1000.0, foff_mhz=0.001, nchans=1024, nifs=1, nbits=32, tsamp_s=3600.0, nsamples=10,
                    tstart_mjd=59_000.0, telescope_id=6)
    tiling = Tiling(header, WindowGrid(256, 256, 4, cover=True), CoarseLayout(1024, "whole-band"))
    assert tiling.n_blocks == 3
    columns = {"time_block": np.arange(3), "f_start_mhz": np.full(3, header.f_min_mhz),
               "f_stop_mhz": np.full(3, header.f_max_mhz), "windows_searched": np.array([4, 3, 4]),
               "windows_masked": np.array([0, 1, 0]), "noise_spectra": np.full(3, 50)}
    one = SearchedScan.of("a", tiling, columns.__getitem__)
    assert one.exposure_mhz_h.tolist() == pytest.approx([1.024 * 4, 1.024 * 4 * 3 / 4, 1.024 * 2])
