"""Hit tables are read as the programs write them. Where a real one is at hand, it is read too."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import QueryError
from pipeline.hit_tables import HitTable, parse_hit_table, read_hit_table
from tests.filterbank.files import real_file
from tests.hit_tables.cadence import DRIFTS_HZ_PER_S, GAP_S, TABLES, f_at, write_hits

BLISS = """# -------------------------- o --------------------------
# File ID: on0.h5
# -------------------------- o --------------------------
# Source:TARGET
# MJD: 59000.115740740737 RA: 15h46m48.00s DEC: +34d54m00.00s
# DELTAT: 18.253611 DELTAF(Hz): -2.793968 max_drift_rate: 5.000000 obs_length: 292.057776
# --------------------------
# Drift_Rate SNR Uncorrected_Frequency Corrected_Frequency Index freq_start freq_end SEFD SEFD_freq \
Coarse_Channel_Number Full_number_of_hits
# --------------------------
000001 0.397966 119.56 1530.020061 1530.020061 58376 1530.020003 1530.020119 0.0 0.000000 0 3
000002 -0.816340 nan 1530.039994 1530.039994 51221 1530.040113 1530.039875 0.0 0.000000 0 3
000003 -0.816340 130.0
"""
HYPERSETI = "drift_rate,f_start,snr,boxcar_size\n-0.4,1530.5,100.0,2\n0.2,,80.0,2\n"


def parsed(text: str) -> HitTable:
    return parse_hit_table(text.encode(), "table")


def test_turboseti_writes_the_frequency_at_the_first_spectrum() -> None:
    table = read_hit_table(TABLES / "on0.dat")

    assert (len(table.rows), table.unusable) == (6, ())
    for row, line in zip(table.rows, (5, 4, 3, 2, 1, 0), strict=True):
        assert row.f_mhz == pytest.approx(f_at(line, 0), abs=40e-6)  # that of the middle of the spectrum
        assert row.drift_hz_per_s == pytest.approx(DRIFTS_HZ_PER_S[line], abs=0.1)
        assert (row.scan.file_name, row.scan.source_name) == ("on0.h5", "TARGET")
        assert row.scan.mjd == pytest.approx(59_000 + 10_000 / 86_400, abs=1e-9)
        assert row.duration_s == pytest.approx(292.057776)


def test_the_range_of_a_hit_follows_its_drift_and_runs_upwards() -> None:
    falling = read_hit_table(TABLES / "on0.dat").rows[2]

    low, high = falling.range_mhz(1.0)  # the table knows the duration

    assert (low, high) == (pytest.approx(1530.079973 - 2.010238 * 292.057776 / 1e6), 1530.079973)


def test_an_old_table_without_duration_takes_that_of_the_file() -> None:
    text = (TABLES / "on0.dat").read_text().replace("\tmax_drift_rate:   4.000000\tobs_length: 292.057776", "")

    row = parsed(text).rows[0]

    assert row.duration_s is None
    assert row.range_mhz(100.0) == (1530.120033, pytest.approx(1530.120033 + 3.030664e-4))


@pytest.mark.parametrize("text", ["e", "1.2.3", "-5", "0", "1e999"])
def test_a_duration_that_is_none_is_that_of_the_file(text: str) -> None:
    row = parsed((TABLES / "on0.dat").read_text().replace("obs_length: 292.057776", f"obs_length: {text}")).rows[0]
    assert row.duration_s is None


def test_several_tables_in_one_file_keep_their_scans() -> None:
    table = parsed((TABLES / "on0.dat").read_text() + (TABLES / "off0.dat").read_text())

    assert [row.scan.file_name for row in table.rows] == ["on0.h5"] * 6 + ["off0.h5"] * 2
    assert [row.number for row in table.rows] == list(range(1, 9))


def test_bliss_writes_the_middle_and_the_ends_of_a_signal() -> None:
    table = parsed(BLISS)

    assert table.kind == "bliss .dat"
    assert table.rows[0].f_mhz == 1530.020003
    assert table.rows[0].range_mhz(0) == (1530.020003, pytest.approx(1530.020119, abs=1e-6))
    assert [(row.number, row.reason) for row in table.unusable] == [
        (2, "SNR is nan, which is no finite number"), (3, "it has 3 values, and a hit has 12")]


def test_an_event_counts_once() -> None:
    table = read_hit_table(TABLES / "events3.csv")

    assert table.kind == "turboSETI event CSV"
    assert [row.name for row in table.rows] == ["TARGET_2", "TARGET_3", "TARGET_4", "TARGET_5"]
    assert {row.scan.file_name for row in table.rows} == {"on0.h5"}
    twice = parsed("\n".join([*(TABLES / "events3.csv").read_text().splitlines(),
                              (TABLES / "events3.csv").read_text().splitlines()[1].replace("on0.h5", "on1.h5")]))
    assert [(row.number, row.reason) for row in twice.unusable] == [
        (5, "it is the event of row 1, TARGET_2, in another scan")]


def test_an_event_whose_first_row_cannot_be_used_is_taken_from_its_next_row() -> None:
    table = parsed("Hit_ID,DriftRate,Freq,FileID,obs_length\nA_1,0.1,nan,a.dat,0\nA_1,0.2,1400.5,b.dat,-3\n"
                   "A_1,0.3,1400.6,c.dat,300\n")
    assert [(row.number, row.f_mhz, row.duration_s) for row in table.rows] == [(2, 1400.5, None)]
    assert [row.number for row in table.unusable] == [1, 3]
    assert "it is the event of row 2, A_1" in table.unusable[1].reason


def test_only_line_breaks_end_a_row() -> None:
    name = "a\u2028b\x0cc\x85"
    table = parsed(f"TopHitNum,DriftRate,Freq,FileID,Source\n1,0.1,1400.5,a.dat,{name}\n2,0.2,1400.6,a.dat,B\n")
    assert [(row.number, row.scan.source_name) for row in table.rows] == [(1, name.strip()), (2, "B")]


def test_a_row_that_is_no_csv_is_named() -> None:
    long = "x" * (csv.field_size_limit() + 1)
    with pytest.raises(QueryError, match=r"beyond line 1 .*; correct or remove the next line"):
        parsed(f"TopHitNum,DriftRate,Freq,FileID\n{long},0.1,1400.5,a.dat\n")
    with pytest.raises(QueryError, match="is no hit table"):
        parsed(long)


def test_hits_of_events_without_a_name_all_count() -> None:
    table = read_hit_table(TABLES / "events1.csv")

    assert len(table.rows) == 18
    assert {row.scan.file_name for row in table.rows} == {"on0.h5", "on1.h5", "on2.h5"}
    assert {row.duration_s for row in table.rows} == {292.057776}
    starts = {row.scan.file_name: row.scan.mjd for row in table.rows}
    assert (starts["on1.h5"] - starts["on0.h5"]) * 86_400 == pytest.approx(2 * GAP_S, abs=0.01)


def test_hyperseti_names_no_scan() -> None:
    table = parsed(HYPERSETI)

    assert (table.kind, table.rows[0].f_mhz, table.rows[0].drift_hz_per_s) == ("hyperseti CSV", 1530.5, -0.4)
    assert str(table.rows[0].scan) == ""
    assert [row.reason for row in table.unusable] == ["f_start is missing"]


@pytest.mark.parametrize("foff_mhz", [-2.8e-6, 2.8e-6])
def test_seticore_gives_pixels_in_ascending_frequency(tmp_path: Path, foff_mhz: float) -> None:
    power = np.arange(32, dtype=np.float32).reshape(2, 16) + 1
    path = write_hits(tmp_path / "some", [(1530.0, 0.4, power, 1530.0)], foff_mhz=foff_mhz)

    row = read_hit_table(path).rows[0]

    assert row.pixels is not None
    ascending = power[:, ::-1] if foff_mhz < 0 else power
    assert np.array_equal(row.pixels.power, ascending)
    lowest = 1530.0 + min(0, 15 * foff_mhz) - 1.4e-6
    assert (row.pixels.f_start_mhz, row.pixels.f_stop_mhz) == (pytest.approx(lowest), pytest.approx(lowest + 44.8e-6))
    assert (row.scan.source_name, row.scan.telescope_id, row.duration_s) == (
        "TARGET", 6, pytest.approx(2 * 18.253611008))


def test_a_cut_off_file_of_seticore_keeps_what_is_whole(tmp_path: Path) -> None:
    rows = [(1530.0 + i, 0.4, np.ones((16, 64), np.float32), 1530.0) for i in range(3)]
    whole = write_hits(tmp_path / "some", rows, foff_mhz=1e-6).read_bytes()

    table = parse_hit_table(whole[:-100], "some")

    assert [row.f_mhz for row in table.rows] == [1530.0, 1531.0]
    assert [row.number for row in table.unusable] == [3]
    assert "damaged" in table.unusable[0].reason


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x89HDF\r\n\x1a\n" + bytes(100), b"\xff\xfe", bytes(64)])
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(QueryError, match="table: is no hit table"):
        parse_hit_table(content, "table")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"gone\.dat: cannot be read"):
        read_hit_table(tmp_path / "gone.dat")


@pytest.mark.parametrize(("name", "kind", "f_mhz", "drift"), [
    ("turboseti_voyager_2020.dat", "turboSETI or seticore .dat", [8419.542731], [-0.353960]),
    ("seticore_voyager_2020.dat", "turboSETI or seticore .dat", [8419.542731], [-0.357149]),
    ("hyperseti_voyager.csv", "hyperseti CSV", [8419.297028, 8419.274531, 8419.319530], [-0.382660, -0.401793,
                                                                                         -0.401793]),
    ("seticore_voyager.hits", "seticore .hits", [8419.319685, 8419.319368, 8419.297028, 8419.274693, 8419.274374],
     [-0.367353, -0.397966, -0.377557, -0.387762, -0.397966]),
])
def test_real_tables_are_read(name: str, kind: str, f_mhz: list[float], drift: list[float]) -> None:
    table = read_hit_table(real_file(f"hit_tables/{name}"))

    assert (table.kind, table.unusable) == (kind, ())
    assert [row.f_mhz for row in table.rows] == pytest.approx(f_mhz, abs=1e-6)
    assert [row.drift_hz_per_s for row in table.rows] == pytest.approx(drift, abs=1e-6)
