"""``lookalike simulate``: a file that can be opened, and the list of its signals."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.filterbank import open_filterbank
from pipeline.simulate import FAMILIES
from tests.cli.conftest import Lookalike

SMALL = ("--coarse-width", "32768", "--signals", "3")


@pytest.mark.parametrize("name", ["sim.h5", "sim.fil", "with space.HDF5", os.fsdecode(b"raw\xff.fil")])
def test_a_file_is_written_and_its_signals_are_told(lookalike: Lookalike, tmp_path: Path, name: str) -> None:
    ran = lookalike("simulate", tmp_path / name, *SMALL, "--seed", "1")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.split()[-1] in FAMILIES
        assert " MHz " in line
        assert " SNR " in line
    with open_filterbank(tmp_path / name) as filterbank:
        header = filterbank.header
        assert (header.nchans, header.nsamples, header.nbits) == (32_768, 16, 32)
        assert (header.source_name, header.foff_mhz < 0) == ("SIMULATED", True)
        assert header.f_min_mhz == pytest.approx(1530.0, abs=1e-6)
        assert header.tstart_mjd == pytest.approx(59_000 + 10_000 / 86_400)


def test_the_truth_in_json_is_where_the_power_is(lookalike: Lookalike, tmp_path: Path) -> None:
    path = tmp_path / "sim.h5"
    ran = lookalike("simulate", path, *SMALL, "--family", "steady", "--snr", "50", "50", "--json")
    record = ran.json
    assert (ran.err, record["file"]) == ("", str(path))
    assert len(record["signals"]) == 3
    with open_filterbank(path) as filterbank:
        mean = filterbank.read(0, 16, 0, 32_768).mean(axis=0)
    quiet = np.median(mean)
    for signal in record["signals"]:
        assert (signal["family"], signal["snr"], signal["drift_hz_per_s"]) == ("steady", 50.0, 0.0)
        assert mean[signal["channel_start"] : signal["channel_stop"]].max() > 2 * quiet
        assert signal["f_start_mhz"] < signal["f_stop_mhz"]


def test_options_arrive_in_the_header(lookalike: Lookalike, tmp_path: Path) -> None:
    ran = lookalike(
        "simulate", tmp_path / "sim.fil", "--coarse-width", "8192", "--coarse-channels", "2", "--signals", "0",
        "--spectra", "20", "--f-min", "8400", "--ascending", "--target", "VOYAGER1", "--mjd", "59046", "--second", "3")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    with open_filterbank(tmp_path / "sim.fil") as filterbank:
        header = filterbank.header
    assert (header.nchans, header.nsamples, header.source_name) == (16_384, 20, "VOYAGER1")
    assert header.foff_mhz > 0
    assert header.f_min_mhz == pytest.approx(8400.0, abs=1e-6)
    assert header.tstart_mjd == pytest.approx(59_046 + 3 / 86_400)


def test_equal_seeds_give_equal_files(lookalike: Lookalike, tmp_path: Path) -> None:
    said = {name: lookalike("simulate", tmp_path / f"{name}.fil", *SMALL, "--seed", seed).out
            for name, seed in (("a", "1"), ("b", "1"), ("c", "2"))}
    a, b, c = ((tmp_path / f"{name}.fil").read_bytes() for name in "abc")
    assert said["a"] == said["b"] != said["c"]
    assert a == b != c


@pytest.mark.parametrize(("arguments", "words"), [
    (["sim.h5", *SMALL, "--family", "ufo"], ["no signal family 'ufo'; there are steady",
                                              ", two-bursts, random, carrier, "]),
    (["sim.h5", "--coarse-width", "8192"], ["96 signals do not fit", "ask for fewer"]),
    (["sim.h5", *SMALL, "--spectra", "15"], ["3 signals do not fit", "room for 0"]),
    (["no/such/folder.h5", *SMALL], ["no/such/folder.h5: cannot be written (No such file or directory)"]),
    (["no/such/folder.fil", *SMALL], ["no/such/folder.fil: cannot be written (No such file or directory)"]),
    (["file/sim.h5", *SMALL], ["file/sim.h5: cannot be written (Not a directory)"]),
])
def test_what_cannot_be_written_is_named(
    lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    lookalike("simulate", *arguments).assert_refused(2, *words)
    assert os.listdir() == ["file"]


def test_a_file_that_is_there_is_replaced_only_by_force(lookalike: Lookalike, tmp_path: Path) -> None:
    there, link = tmp_path / "observed.h5", tmp_path / "link.h5"
    there.write_bytes(b"a night at the telescope")
    link.symlink_to("nowhere.h5")
    for path in (there, link):
        lookalike("simulate", path, *SMALL).assert_refused(
            2, f"{path}: already exists; choose another file, or replace this one with --force")
    assert there.read_bytes() == b"a night at the telescope"
    assert link.is_symlink()
    assert lookalike("simulate", there, *SMALL, "--force").code == 0
    with open_filterbank(there) as filterbank:
        assert filterbank.header.source_name == "SIMULATED"


@pytest.mark.parametrize(("arguments", "words"), [
    (["sim.txt"], "OUT must end in one of .h5, .hdf5, .fil, .png, .pdf, .svg, got sim.txt"),
    (["sim.h5", "--snr", "9", "6"], "the lower first, got 9 6"),
    (["sim.h5", "--snr", "0", "6"], "two numbers above 0"),
    (["sim.h5", "--snr", "nan", "6"], "two numbers above 0"),
    (["sim.h5", "--snr", "6", "inf"], "two numbers above 0"),
    (["sim.h5", "--f-min", "nan"], "--f-min must be 0 or more, got nan"),
    (["sim.h5", "--f-min", "-1"], "--f-min must be 0 or more, got -1"),
    (["sim.h5", "--seed", "-1"], "--seed"),
    (["."], "is a directory"),
])
def test_impossible_options_show_the_usage(lookalike: Lookalike, arguments: list[str], words: str) -> None:
    lookalike("simulate", *arguments).assert_misused(words)


def test_random_signals_and_gains_may_be_asked_for(lookalike: Lookalike, tmp_path: Path) -> None:
    size = ("--coarse-width", "65536", "--signals", "6", "--json")
    record = lookalike("simulate", tmp_path / "random.h5", *size, "--family", "random", "--snr", "50", "50").json
    assert {one["family"] for one in record["signals"]} == {"random"}
    assert len({one["drift_hz_per_s"] for one in record["signals"]}) > 1
    spreads = {}
    for spread in ("0", "0.2"):
        path = tmp_path / f"gain{spread}.h5"
        assert lookalike("simulate", path, *size[:2], "--signals", "0", "--gain-spread", spread).code == 0
        with open_filterbank(path) as filterbank:
            rows = filterbank.read(0, 16, 0, 65_536).mean(axis=1)
        spreads[spread] = rows.std() / rows.mean()
    assert spreads["0"] < 0.01
    assert 0.1 < spreads["0.2"] < 0.3


def test_a_picture_is_a_sheet_of_interference(lookalike: Lookalike, tmp_path: Path) -> None:
    ran = lookalike("simulate", tmp_path / "sheet.png", "--family", "banded", "--seed", "2")
    assert (ran.code, ran.err, ran.out.strip()) == (0, "", str(tmp_path / "sheet.png"))
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_real_windows_stand_beside_on_a_sheet_alone(lookalike: Lookalike, tmp_path: Path) -> None:
    ran = lookalike("simulate", tmp_path / "scan.h5", "--beside", tmp_path)
    assert ran.code == 2
    assert "--beside is for a sheet" in ran.err


def test_interference_is_written_with_its_parameters(lookalike: Lookalike, tmp_path: Path) -> None:
    ran = lookalike("simulate", tmp_path / "sim.h5", "--coarse-width", "32768", "--signals", "2", "--family", "comb36",
                    "--json")
    assert (ran.code, ran.err) == (0, "")
    for signal in ran.json["signals"]:
        assert signal["family"] == "comb36"
        assert 99.5 <= signal["spacing_hz"] <= 101.5
        assert signal["lines_per_khz"] == pytest.approx(1e3 / signal["spacing_hz"], abs=1e-3)
