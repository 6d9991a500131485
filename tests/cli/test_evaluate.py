"""``lookalike evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import evaluate as door
from pipeline.evaluate import PARTS, Report
from pipeline.evaluate.depth import Depth
from pipeline.evaluate.metrics import Scores
from tests.cli.conftest import Lookalike
from tests.evaluate.labelled import KINDS, make_folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the evaluation by one that returns at once; return the arguments that it received."""
    seen: dict[str, Any] = {}

    def evaluate(names: tuple[str, ...], *, tell: Any, **how: Any) -> Report:
        seen.update(how, names=names)
        tell("depth: fake")
        return Report(how["seed"], how["full"], {"fake": "fake-v1"}, {"notebook": "no weights"},
                      depth={"fake": [Depth(8, Scores(9, 0.75, 0.5, 0.25, 0.0))]})

    monkeypatch.setattr(door, "evaluate", evaluate)
    return seen


def test_tables_go_to_standard_output_and_progress_to_standard_error(lookalike: Lookalike, asked: dict) -> None:
    ran = lookalike("evaluate")
    assert ran.code == 0
    assert "fake, 8 bits" in ran.out
    assert ran.out.endswith("not measured: notebook: no weights\n")
    assert ran.err == "depth: fake\n"
    assert asked == {"names": (), "weights": {}, "corpus": None, "parts": (), "full": False, "seed": 0,
                     "resnet50_weights": "", "real_data": None}


def test_flags_reach_the_evaluation(lookalike: Lookalike, asked: dict, tmp_path: Path) -> None:
    ran = lookalike("evaluate", "--encoder", "a", "--encoder", "b", "--weights", "a=x=y.npz", "--part", "depth",
                    "--part", "gate", "--full", "--seed", "7", "--real", tmp_path, "--resnet50-weights", "w.h5",
                    "--corpus", tmp_path)
    assert ran.code == 0
    assert asked == {"names": ("a", "b"), "weights": {"a": "x=y.npz"}, "corpus": tmp_path, "parts": ("depth", "gate"),
                     "full": True, "seed": 7, "resnet50_weights": "w.h5", "real_data": tmp_path}


def test_json_to_a_file_beside_the_tables_or_instead_of_them(lookalike: Lookalike, asked: dict, tmp_path: Path) -> None:
    ran = lookalike("evaluate", "--json", tmp_path / "all.json")
    assert "fake, 8 bits" in ran.out
    alone = lookalike("evaluate", "--json", "-")
    assert alone.json == json.loads((tmp_path / "all.json").read_text())
    assert alone.json["depth"]["fake"][0] == {"bits": 8, "scores": {
        "queries": 9, "mean_average_precision": 0.75, "r_precision": 0.5, "precision_at_5": 0.25, "noise_at_5": 0.0}}


def test_where_results_cannot_go_is_said_before_the_work(lookalike: Lookalike, asked: dict, tmp_path: Path) -> None:
    for flag in ("--json", "--picture", "--mistakes"):
        lookalike("evaluate", flag, tmp_path / "no" / "file.png").assert_misused("there is no folder")
    assert not asked
    ran = lookalike("evaluate", "--json", tmp_path)
    assert ran.code == 2
    assert "fake, 8 bits" in ran.out  # not lost
    assert "cannot be written" in ran.err


def test_a_picture_is_drawn(lookalike: Lookalike, asked: dict, tmp_path: Path) -> None:
    assert lookalike("evaluate", "--picture", tmp_path / "curves.png").code == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_labelled_windows_are_scored_and_the_mistakes_drawn(lookalike: Lookalike, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "windows")
    ran = lookalike("evaluate", "--encoder", "power-spectrum", "--part", "real", "--real", folder, "--json", "-",
                    "--mistakes", tmp_path / "mistakes.png")
    assert ran.code == 0
    forms = ran.json["labelled"]["power-spectrum"]
    assert [form["means"]["queries"]["queries"] for form in forms] == [16, 16, 16]
    assert [form["means"]["queries, no row-filling kinds"]["queries"] for form in forms] == [12, 12, 12]
    assert forms[0]["means"]["kinds"]["precision_at_1"]["value"] > 0.5
    assert set(forms[0]["by_kind"]) == set(KINDS)
    assert (tmp_path / "mistakes.png").read_bytes().startswith(b"\x89PNG")
    for flags in ((), ("--real", folder, "--part", "gate")):
        lookalike("evaluate", "--mistakes", "m.png", *flags).assert_misused("--mistakes needs --real DIR")


def test_misuse_is_explained(lookalike: Lookalike) -> None:
    lookalike("evaluate", "--weights", "spectral").assert_misused("--weights takes NAME=FILE, got spectral")
    lookalike("evaluate", "--part", "nothing").assert_misused("'nothing' is not one of", *map(repr, PARTS))


def test_an_unknown_encoder_and_missing_real_data_are_refused(lookalike: Lookalike, tmp_path: Path) -> None:
    unknown = lookalike("evaluate", "--encoder", "nothing")
    assert unknown.code == 2
    assert "lookalike: no encoder 'nothing'; there are" in unknown.err
    real = lookalike("evaluate", "--encoder", "power-spectrum", "--part", "real", "--real", tmp_path)
    assert real.code == 2
    assert "holds no voyager1_hits_seticore.npz" in real.err
