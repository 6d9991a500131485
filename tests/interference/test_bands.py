"""The table of known interference: what is in it, what a user adds, and which hits it names."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.errors import ConfigError
from pipeline.interference import KnownBand, bands_named, known_bands, names_at
from pipeline.model import Header

GBT = Header(fch1_mhz=1500.0, foff_mhz=1e-6, nchans=16, nifs=1, nbits=32, tsamp_s=1.0, nsamples=16, tstart_mjd=59_000.0,
             telescope_id=6)
PARKES = replace(GBT, telescope_id=4)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's own table goes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "lookalike").mkdir()
    return tmp_path / "lookalike" / "known-bands.csv"


def test_each_row_of_the_package_has_ends_a_source_and_a_name_of_its_own() -> None:
    bands = known_bands()
    assert len({band.name for band in bands}) == len(bands) > 80
    assert all(band.source and band.kind and band.f_start_mhz < band.f_stop_mhz for band in bands)
    assert list(bands) == sorted(bands, key=lambda band: band.f_start_mhz)
    with (Path(pipeline.__file__).parent / "interference" / "bands.csv").open(encoding="utf-8") as table:
        assert len(list(csv.DictReader(table))) == len(bands)  # no row is dropped


@pytest.mark.parametrize(("mhz", "names"), [
    (1575.42, {"GPS L1", "Galileo E1", "BeiDou B1C"}),  # the carrier of these three
    (1227.60, {"GPS L2"}), (1176.45, {"GPS L5", "Galileo E5", "BeiDou B2a"}), (1602.0, {"GLONASS L1"}),
    (1268.52, {"BeiDou B3I", "Galileo E6"}), (1090.0, {"ADS-B and Mode S", "DME and TACAN"}),
    (1621.25, {"Iridium"}), (1530.0, {"Inmarsat and Thuraya downlink"}), (8419.5, {"Deep-space downlink (X band)"}),
    (1420.4058, set()),  # hydrogen: protected
])
def test_well_known_emitters_are_named_at_their_carriers(mhz: float, names: set[str]) -> None:
    found = set(names_at(PARKES, mhz, mhz + 0.0007))
    assert names <= found
    assert names or not found


def test_the_narrowest_band_comes_first_and_a_notch_is_of_its_telescope() -> None:
    names = names_at(GBT, 1210.0, 1210.1)
    width = {band.name: band.f_stop_mhz - band.f_start_mhz for band in known_bands()}
    assert list(names) == sorted(names, key=width.__getitem__)
    assert set(names) - set(names_at(PARKES, 1210.0, 1210.1)) == {"Green Bank L-band notch filter"}


@given(st.floats(80, 30_000), st.floats(1e-6, 500))
def test_a_range_touches_a_band_if_they_share_frequencies(start: float, width: float) -> None:
    stop = start + width
    shared = {band.name for band in known_bands() if band.telescope in ("", "PKS")
              and min(stop, band.f_stop_mhz) > max(start, band.f_start_mhz)}
    assert set(names_at(PARKES, start, stop)) == shared


def test_a_pattern_names_bands_by_name_or_kind() -> None:
    assert {band.name for band in bands_named("gps*")} == {"GPS L1", "GPS L2", "GPS L3", "GPS L5"}
    assert {band.kind for band in bands_named("Navigation")} == {"navigation"}
    assert bands_named("*") == known_bands()
    assert bands_named("GPS") == ()


def test_a_users_rows_are_added_and_replace_those_of_the_same_name(own: Path) -> None:
    before = known_bands()
    own.write_text("# of our site\nname,f_start_mhz,kind,f_stop_mhz,telescope\n\n"
                   "Local oscillator,1499.9,self-made,1500.1,GBT\n\"GPS L1\",1574,navigation,1576\n")
    assert names_at(GBT, 1500.0, 1500.01) == ("Local oscillator", "Aeronautical telemetry (L band)")
    assert names_at(PARKES, 1500.0, 1500.01) == ("Aeronautical telemetry (L band)",)
    assert [band for band in known_bands() if band.name == "GPS L1"] == [
        KnownBand("GPS L1", "navigation", 1574.0, 1576.0)]
    assert len(known_bands()) == len(before) + 1
    own.write_text("name,kind,f_start_mhz,f_stop_mhz\nBeacon,own,1,2\n")  # a changed file is read again
    assert {band.name for band in known_bands()} - {band.name for band in before} == {"Beacon"}


@pytest.mark.parametrize(("text", "message"), [
    ("", "has no line with the names of its columns"),
    ("name,kind,f_start_mhz\n", "has no column 'f_stop_mhz'"),
    ("name,kind,f_start_mhz,f_stop_mhz,colour\n", "unknown column 'colour'; known: name, kind"),
    ("name,kind,f_start_mhz,f_stop_mhz\na,b,1\n", "line 2: f_stop_mhz must be a number in MHz, got ''"),
    ("name,kind,f_start_mhz,f_stop_mhz\n\na,b,x,2\n", "line 3: f_start_mhz must be a number in MHz, got 'x'"),
    ("name,kind,f_start_mhz,f_stop_mhz\na,b,2,1\n", "line 2: f_start_mhz must be below f_stop_mhz, got 2 and 1"),
    ("name,kind,f_start_mhz,f_stop_mhz\na,b,1,nan\n", "line 2: f_start_mhz must be below f_stop_mhz, got 1 and nan"),
    ("name,kind,f_start_mhz,f_stop_mhz\n,b,1,2\n", "line 2: the name is empty"),
    ("name,kind,f_start_mhz,f_stop_mhz\na, b,1,2,3\n", "line 2: has more cells than columns"),
    ('name,kind,f_start_mhz,f_stop_mhz\n"a\n', "line 2: is no CSV"),
])
def test_a_table_that_cannot_be_used_is_named_with_the_line(own: Path, text: str, message: str) -> None:
    own.write_text(text)
    with pytest.raises(ConfigError) as raised:
        known_bands()
    assert str(raised.value).startswith(str(own))
    assert message in str(raised.value)


def test_a_table_that_cannot_be_read_is_named(own: Path) -> None:
    own.write_bytes(b"name\xff")
    with pytest.raises(ConfigError, match=r"known-bands\.csv: is not UTF-8 text"):
        known_bands()
    own.unlink()
    own.mkdir()
    with pytest.raises(ConfigError, match=r"known-bands\.csv: cannot be read \(is a folder, not a file\)"):
        known_bands()
    own.rmdir()
    os.mkfifo(own)  # opening it would wait for a writer
    with pytest.raises(ConfigError, match=r"known-bands\.csv: cannot be read \(is a pipe, not a file\)"):
        known_bands()
