"""Scores among labelled windows: how windows are cut, what is averaged, the intervals, and the mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.errors import ConfigError
from pipeline.evaluate.labelled_folder import LabelledFolder, read_labelled_folder
from pipeline.evaluate.labelled_scores import (
    ARRAY,
    ARRAY_IN_FILE,
    FILE,
    LabelledWindows,
    Mistake,
    cut_from_file,
    evaluate_labelled,
    find_mistakes,
    labelled_windows,
    means_over,
)
from pipeline.evaluate.mistakes import draw_mistakes, mistakes_figure
from pipeline.evaluate.report import Report
from pipeline.grid.cutouts import quantise
from pipeline.simulate import FINE, simulate_kinds
from tests.evaluate.labelled import KINDS, make_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("labelled"))


def test_windows_without_a_label_are_left_out_and_a_kind_with_a_plus_counts_as_its_first() -> None:
    one = LabelledFolder(np.zeros((9, 16, 256)), {"b": (7, 2), "a+b": (4,), "a": (3,)}, noise=(8,))
    numbers, labels = one.labelled()
    assert numbers.tolist() == [2, 3, 4, 7, 8]
    assert labels.tolist() == ["b", "a", "a", "b", "noise"]


def test_kinds_that_fill_rows_are_those_of_the_simulator_or_of_the_folder(folder: Path, tmp_path: Path) -> None:
    usual = {"burst-flat", "burst-modulated", "burst-fine-lines", "burst-hooks", "gain-steps"}
    assert read_labelled_folder(folder).fill_rows == usual
    np.save(tmp_path / "power_ascending.npy", np.ones((2, 16, 256)))
    (tmp_path / "labels.json").write_text('{"kinds": {"x": [0], "y": [1]}, "fill_rows": ["y"]}')
    assert read_labelled_folder(tmp_path).fill_rows == {"y"}
    (tmp_path / "labels.json").write_text('{"kinds": {"x": [0, 1], "y": [1]}}')
    with pytest.raises(ConfigError, match="names window 1 2 times"):
        read_labelled_folder(tmp_path)


def test_windows_come_out_of_the_file_as_they_went_in() -> None:
    power, _ = simulate_kinds(np.random.default_rng(0), 2, kinds=KINDS)
    exact = quantise(power, FINE.sigma).astype(int)
    cut = cut_from_file(power).astype(int)
    assert np.abs(cut - exact).max() <= 6  # 0.25 σ: the band is estimated
    assert np.median(np.abs(cut - exact)) <= 1


def test_means_and_their_intervals() -> None:
    labels = np.array(["a"] * 30 + ["b"] * 10 + ["wide"] * 60)
    first = np.array([1.0] * 21 + [0.0] * 9 + [1.0] * 4 + [0.0] * 6 + [1.0] * 60)
    means = means_over(labels, np.stack([first, 1 - first, first / 2], axis=1), frozenset({"wide", "absent"}))
    assert {over: (one.queries, round(one.precision_at_1.value, 12)) for over, one in means.items()} == {
        "queries": (100, 0.85), "kinds": (100, 0.7), "queries, no row-filling kinds": (40, 0.625),
        "kinds, no row-filling kinds": (40, 0.55)}
    found = means["queries"]
    assert found.precision_at_5.value == pytest.approx(0.15)
    assert found.mean_average_precision.value == pytest.approx(0.425)
    # the number of ones in a resample of 100 queries has a binomial distribution
    low, high = binom.ppf((0.025, 0.975), 100, 0.85) / 100
    assert (found.precision_at_1.low, found.precision_at_1.high) == pytest.approx((low, high), abs=0.011)
    assert found.mean_average_precision.low == pytest.approx(found.precision_at_1.low / 2)
    # kinds count the same, so the interval is that of the mean of three independent shares
    spread = np.sqrt(0.7 * 0.3 / 30 + 0.4 * 0.6 / 10) / 3
    over_kinds = means["kinds"].precision_at_1
    assert over_kinds.high - over_kinds.low == pytest.approx(2 * 1.96 * spread, rel=0.08)
    assert list(means_over(labels, np.zeros((100, 3)), frozenset())) == ["queries", "kinds"]


def known(vectors: np.ndarray) -> object:
    """Return a fake encoder: the first pixel of a cutout is the number of its vector."""
    rows = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return lambda cutouts: rows[cutouts[:, 0, 0]]


def windows(labels: list[str]) -> LabelledWindows:
    cutouts = np.zeros((2, len(labels), 16, 256), np.uint8)
    cutouts[:, :, 0, 0] = np.arange(2 * len(labels)).reshape(2, -1)
    return LabelledWindows(100 + np.arange(len(labels)), np.array(labels), *cutouts, frozenset({"b"}))


def test_forms_differ_in_how_queries_and_windows_are_made_and_encoders_are_compared() -> None:
    angles = np.radians([0, 10, 90, 100, 200, 0, 90, 10, 100, 200])  # from a file, then from an array
    encode = known(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    flat = known(np.stack([np.cos(angles[:5].tolist() * 2), np.sin(angles[:5].tolist() * 2)], axis=1))
    found = evaluate_labelled({"one": encode, "two": flat}, windows(["a", "a", "b", "b", "noise"]))
    assert [one.form for one in found["one"]] == [FILE, ARRAY, ARRAY_IN_FILE]
    first = [one.means["queries"].precision_at_1.value for one in found["one"]]
    assert first == [1, 0, 0.5]  # arrays 1 and 2 look like each other's file
    assert [one.by_kind["a"].precision_at_1.value for one in found["one"]] == [1, 0, 0.5]
    assert not found["one"][0].differences
    for one, share in zip(found["two"], first, strict=True):
        difference = one.differences["one"]["queries"].precision_at_1
        assert difference.value == 1 - share
        assert difference.low <= difference.value <= difference.high


def test_mistakes_are_listed_worst_first() -> None:
    asked = np.eye(6, dtype=np.float32)
    searched = np.array([
        [9, .9, .2, .0, .0, .3],
        [.5, 9, .4, .0, .0, .6],
        [.0, .8, 9, .7, .1, .0],
        [.9, .1, .1, 9, .2, .0],
        [1., 1., 1., 1., 9, 1.],  # noise is no query
        [1., 1., 1., 1., 1., 9],  # the only one of its kind
    ], np.float32).T
    found = find_mistakes(asked, searched, windows(["a", "a", "b", "b", "noise", "c"]))
    assert found == (
        Mistake(103, "b", 100, "a", pytest.approx(.9), 102, pytest.approx(.1), 4),
        Mistake(101, "a", 105, "c", pytest.approx(.6), 100, pytest.approx(.5), 2),
        Mistake(102, "b", 101, "a", pytest.approx(.8), 103, pytest.approx(.7), 2),
    )


def test_labelled_windows_are_those_of_the_folder(folder: Path) -> None:
    read = read_labelled_folder(folder)
    made = labelled_windows(read)
    assert made.numbers.tolist() == list(range(19))
    assert made.labels[[0, 5, 18]].tolist() == ["carrier", "comb53", "noise"]
    exact = quantise(np.asarray(read.power[:19], np.float32), FINE.sigma).astype(int)
    assert np.abs(made.from_file.astype(int) - exact).max() <= 6
    assert np.median(np.abs(made.from_array.astype(int) - exact)) <= 6


def test_a_picture_of_mistakes_has_true_axes(folder: Path, tmp_path: Path) -> None:
    mistake = Mistake(1, "carrier", 5, "comb53", 0.75, 2, 0.5, 7)
    axes = mistakes_figure([mistake, mistake], read_labelled_folder(folder)).axes
    assert [one.get_title() for one in axes[:3]] == [
        "query: carrier (window 1)", "first answer, 0.750: comb53 (window 5)",
        "best right answer, 0.500, rank 7 (window 2)"]
    assert axes[0].images[0].get_extent() == pytest.approx((0, 256 * 2.7939677, 16 * 18.253611, 0), rel=1e-6)
    assert (axes[3].get_xlabel(), axes[3].get_ylabel()) == ("frequency (Hz)", "time (s)")
    with pytest.raises(ConfigError, match="add --part real"):
        draw_mistakes(tmp_path / "m.png", folder, Report(0, False))
    right = evaluate_labelled({"one": known(np.eye(4)[[0, 0, 0, 0]])}, windows(["a", "a"]))
    with pytest.raises(ConfigError, match="with one, the first answer to every query is right"):
        draw_mistakes(tmp_path / "m.png", folder, Report(0, False, labelled=right))
