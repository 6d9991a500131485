"""Sheets of waterfalls, and the folders of labelled windows beside which they are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.evaluate.labelled_folder import read_labelled_folder
from pipeline.evaluate.sheet import draw_sheet, sheet_figure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of ten windows, of which each holds its number."""
    power = np.ones((10, 16, 256), np.float16) + np.arange(10, dtype=np.float16)[:, None, None]
    np.save(tmp_path / "power_ascending.npy", power)
    labels = {"kinds": {"carrier": [1, 2, 3, 4, 5, 6], "banded": [7]}, "noise": [9]}
    (tmp_path / "labels_half.json").write_text(json.dumps(labels))
    return tmp_path


def test_windows_of_a_kind_are_read(folder: Path) -> None:
    read = read_labelled_folder(folder)
    assert read.kinds == {"carrier": (1, 2, 3, 4, 5, 6), "banded": (7,)}
    assert read.noise == (9,)
    assert read.windows("carrier", 3)[:, 0, 0].tolist() == [2, 4, 6]
    assert read.windows("banded", 3)[:, 0, 0].tolist() == [8]
    assert read.windows("comb36", 3).shape == (0, 16, 256)


@pytest.mark.parametrize(("broken", "message"), [
    ("labels", r"must hold power_ascending.npy and one file labels\*.json, but holds 0"),
    ("power", r"holds 1 such files and no power_ascending.npy"),
    ("json", r"cannot be read"),
    ("shape", r"shape \(10, 8, 256\); expected .*\(n, 16, 256\)"),
    ("number", r"names window 10, but power_ascending.npy has windows 0 to 9"),
])
def test_what_is_wrong_with_a_folder_is_said(folder: Path, broken: str, message: str) -> None:
    match broken:
        case "labels":
            (folder / "labels_half.json").unlink()
        case "power":
            (folder / "power_ascending.npy").unlink()
        case "json":
            (folder / "labels_half.json").write_text("[]")
        case "shape":
            np.save(folder / "power_ascending.npy", np.ones((10, 8, 256), np.float32))
        case "number":
            (folder / "labels_half.json").write_text('{"kinds": {"carrier": [10]}}')
    with pytest.raises(ConfigError, match=message):
        read_labelled_folder(folder)


def test_a_sheet_has_a_row_for_each_kind_and_real_windows_beside(folder: Path) -> None:
    alone = sheet_figure(("carrier", "banded"), None, 0, 2).axes
    beside = sheet_figure(("carrier", "banded"), read_labelled_folder(folder), 0, 2).axes
    assert [one.get_title() for one in alone] == ["carrier"] * 2 + ["banded"] * 2
    real, simulated = "{}, real".format, "{}, simulated".format
    assert [one.get_title() for one in beside] == [
        real("carrier"), real("carrier"), simulated("carrier"), simulated("carrier"),
        real("banded"), "", simulated("banded"), simulated("banded")]
    for one, same in zip(alone, [*beside[2:4], *beside[6:8]], strict=True):
        np.testing.assert_array_equal(one.images[0].get_array(), same.images[0].get_array())
    assert np.ptp(beside[4].images[0].get_array()) == 0  # the real window is flat
    assert not beside[5].images


def test_a_sheet_is_written(folder: Path, tmp_path: Path) -> None:
    draw_sheet(tmp_path / "sheet.png", kinds=["carrier"], per_kind=2, beside=folder)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_sheet_with_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no kind of interference 'steady'"):
        draw_sheet(tmp_path / "sheet.png", kinds=["steady"])
