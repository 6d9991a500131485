"""VOTable and Parquet, read back by astropy and pyarrow, whatever names the hits have."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.io import votable
from astropy.io.votable.ucd import parse_ucd
from astropy.time import Time

from pipeline.export import COLUMNS, encoded
from pipeline.model import OnOff
from pipeline.search import SearchResult
from pipeline.search.result import HIT_COLUMNS
from tests.cli.test_search import hit, result

ODD = "/d/<a> & \"b\" 天\n\x07\udcff.h5"
ODD_ESCAPED = "/d/<a> & \"b\" 天\\n\\x07\\xff.h5"


def several() -> SearchResult:
    made = result(hit(1, file=ODD, merged=(7, 8), expected=3.25e-7, expected_low=1e-8, extrapolated=True),
                  hit(2, on_off=OnOff("in OFF", ("B",), ("B/1", "B/2")), expected=12.5, extrapolated=False))
    return replace(made, description=made.description.with_notes("a note"))


def read(made: SearchResult) -> Any:
    return votable.parse(io.BytesIO(encoded(made, "vot")), verify="exception")


def test_astropy_reads_every_column_of_the_votable_with_its_unit_and_ucd() -> None:
    file = read(several())
    table = file.get_first_table()
    assert [field.name for field in table.fields] == list(HIT_COLUMNS)
    for field in table.fields:
        column = COLUMNS[field.name]
        assert (field.description, field.ucd) == (column.description, column.ucd)
        parse_ucd(field.ucd, check_controlled_vocabulary=True)
    assert {field.name: field.unit for field in table.fields if field.unit is not None} == {
        name: units.Unit(unit, format="vounit") for name, unit in (
            ("f_start_mhz", "MHz"), ("f_stop_mhz", "MHz"), ("t_start_s", "s"), ("t_stop_s", "s"), ("mjd", "d"),
            ("shift_hz", "Hz"), ("shift_s", "s"), ("extra_drift_hz_per_s", "Hz/s"), ("query_f_start_mhz", "MHz"),
            ("query_f_stop_mhz", "MHz"), ("query_t_start_s", "s"), ("query_t_stop_s", "s"))}


def test_the_cells_of_the_votable_are_those_of_the_hits() -> None:
    made = several()
    rows = read(made).get_first_table().to_table()
    assert rows["file"].tolist() == [ODD_ESCAPED, "/d/a.h5"]
    assert rows["f_start_mhz"].tolist() == [1400.123456789] * 2
    assert rows["expected"].tolist() == [3.25e-7, 12.5]
    assert rows["extrapolated"].tolist() == [True, False]
    assert rows["expected_low"].mask.tolist() == [False, True]
    assert np.ma.getmaskarray(rows["mirrored"]).all()
    assert rows["merged"].tolist() == ["7 8", ""]
    assert rows["in_off"].tolist() == ["", "B/1 B/2"]
    assert Time(rows["mjd"][0], format="mjd", scale="utc").isot == "2020-05-31T06:00:00.000"


def test_the_votable_says_what_was_searched_and_that_dates_are_utc() -> None:
    file = read(several())
    [resource] = file.resources
    infos = {info.name: info.value for info in resource.infos}
    assert json.loads(infos["query"])["window"] == 3
    assert (infos["encoder"], infos["note"]) == ("spectral-v1-ab", "a note")
    [system] = resource.time_systems
    assert (system.timescale, system.timeorigin) == ("UTC", "MJD-origin")
    assert file.get_first_table().get_field_by_id("mjd").ref == system.ID


def test_a_votable_without_hits_is_one() -> None:
    table = read(result()).get_first_table().to_table()
    assert (len(table), table.colnames) == (0, list(HIT_COLUMNS))


def test_parquet_holds_the_columns_of_the_data_frame_with_units() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    made = several()
    table = parquet.read_table(io.BytesIO(encoded(made, "parquet")))
    assert tuple(table.column_names) == HIT_COLUMNS
    first, second = table.to_pylist()
    expected = made.rows()[1]
    assert {**second, "on_off": "in OFF"} == {**expected, "on_off": "in OFF"}
    assert first["file"] == ODD.replace("\udcff", "\\xff")
    assert first["on_off"] == ""
    assert table.schema.field("shift_hz").metadata[b"unit"] == b"Hz"
    assert json.loads(table.schema.metadata[b"lookalike.query"])["window"] == 3


def test_columns_are_the_keys_of_a_hit_in_json() -> None:
    assert tuple(COLUMNS) == HIT_COLUMNS == tuple(hit(1).to_json())


def test_topcats_own_reader_reads_columns_units_ucds_and_rows(tmp_path: Path) -> None:
    stilts = shutil.which("stilts")
    if stilts is None:
        pytest.skip("stilts, the tables of TOPCAT without its windows, is not installed (apt-get install stilts)")
    several().save(path := tmp_path / "hits.vot")

    def run(*words: str) -> str:
        done = subprocess.run([stilts, *words], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    meta = list(csv.DictReader(io.StringIO(run(
        "tpipe", f"in={path}", "ifmt=votable", "cmd=meta name units ucd", "ofmt=csv"))))
    assert [(one["Name"], one["Units"], one["UCD"]) for one in meta] == [
        (name, column.unit, column.ucd) for name, column in COLUMNS.items()]
    rows = list(csv.DictReader(io.StringIO(run(
        "tpipe", f"in={path}", "ifmt=votable", "cmd=keepcols 'rank f_start_mhz expected mirrored merged'",
        "ofmt=csv"))))
    assert [(row["rank"], float(row["f_start_mhz"]), float(row["expected"])) for row in rows] == [
        ("1", 1400.123456789, 3.25e-7), ("2", 1400.123456789, 12.5)]
    assert [row["merged"] for row in rows] == ["7 8", ""]
    assert run("votlint", f"votable={path}") == "", "votlint finds nothing to say"
