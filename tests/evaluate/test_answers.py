"""What is expected by chance and what comes, where both are known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluate.answers import (
    POPULATIONS,
    Figures,
    Sight,
    evaluate_answers,
    evaluate_labelled_answers,
    figures,
    outcome,
    simulate_sight,
)
from pipeline.evaluate.labelled_scores import LabelledWindows
from pipeline.evaluate.report import Report
from pipeline.evaluate.tables import format_report
from pipeline.significance import Tail

DIMENSION = 12


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_sight(rng: np.random.Generator, emitters: int) -> Sight:
    """Emitters in random directions. Windows of one emitter are close together."""
    count = emitters * len(POPULATIONS)
    centres = unit(rng.standard_normal((count, 1, DIMENSION)))
    seen = unit(centres + 0.08 * rng.standard_normal((count, 60, DIMENSION)))
    return Sight(unit(rng.standard_normal((9000, DIMENSION))), seen, unit(rng.standard_normal((count, 2, DIMENSION))),
                 np.repeat(list(POPULATIONS), emitters))


def test_random_directions_come_as_often_as_expected() -> None:
    rng = np.random.default_rng(1)
    every, *each = evaluate_answers(random_sight(rng, 12), unit(rng.standard_normal((6000, DIMENSION))), 1500, 120)
    assert [one.name for one in each] == list(POPULATIONS)
    assert sum(one.queries for one in each) == every.queries == 120
    assert 1500 <= every.windows <= 1540
    assert 0.5 < every.at_one < 2
    assert 0.5 < every.decoys < 2
    assert every.at_tenth < 0.3
    assert every.found > 0.8
    assert every.pure > 0.95
    assert every.quiet > 0.9
    assert every.false < 0.12


def test_an_outcome_counts_as_a_loop_does() -> None:
    rng = np.random.default_rng(2)
    scores = np.concatenate([rng.uniform(-0.3, 0.7, 90), rng.uniform(0.8, 0.95, 10)]).astype(np.float32)
    is_kin = np.arange(100) >= 92
    unrelated = rng.uniform(-0.3, 0.75, 3000).astype(np.float32)
    found = outcome(scores, is_kin, unrelated, scores[:0], scores[:0])
    tail = Tail.of(unrelated)  # a hundred windows of the corpus are too few to raise it
    expected = [100 * tail.share(float(score))[0] for score in scores]
    assert found["at_one"] == sum(one <= 1 and not kin for one, kin in zip(expected, is_kin, strict=True))
    assert found["kin"] == 8
    assert (found["right"], found["wrong"]) == (8, 2)  # two unrelated windows score like kin
    assert found["false"] == pytest.approx(0.2)
    assert np.isnan(found["decoys"])


def test_sums_are_over_the_queries_that_they_name() -> None:
    one = {"windows": 10.0, "at_one": 1.0, "at_tenth": 0.0, "false": 0.0, "decoys": 1.0}
    made = figures("some", [{**one, "kin": 10.0, "right": 4.0, "wrong": 1.0}, {**one, "kin": 5.0, "right": 0.0,
                                                                               "wrong": 0.0},
                            {**one, "kin": 0.0, "right": 0.0, "wrong": 3.0}, {**one, "kin": 0.0, "right": 0.0,
                                                                              "wrong": 0.0}])
    assert made == Figures("some", 10, 4, 1, 0, 0.5, 0.2, 0.5, 0.5, 0, 1)


def test_labelled_windows_of_one_kind_are_kin() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(["a", "b", "noise"], [8, 8, 30])
    centres = unit(rng.standard_normal((3, DIMENSION)))
    spread = np.where(labels == "noise", 5.0, 0.03)[:, None] * rng.standard_normal((46, DIMENSION))
    vectors = unit(centres[np.searchsorted(["a", "b", "noise"], labels)] + spread)
    dark = np.zeros((46, 16, 256), np.uint8)
    windows = LabelledWindows(np.arange(46), labels, dark, dark, frozenset())
    made = evaluate_labelled_answers(vectors, windows, unit(rng.standard_normal((6000, DIMENSION))))
    assert (made.queries, made.windows) == (16, 45)
    assert (made.found, made.kin, made.pure) == (1, 1, 1)
    assert any(line.startswith("labelled windows") for line in format_report(Report(0, False, answers={"x": [made]})))


@pytest.mark.slow
def test_simulated_windows_of_an_emitter_are_alike() -> None:
    from pipeline.encoders import load_encoder

    sight = simulate_sight(load_encoder("spectral").encode, 20, 1, seed=3)
    assert sight.single.shape[0] == 60
    assert sight.seen.shape[:2] == (4, 60)
    for emitter in sight.seen:
        assert np.median(emitter[1:] @ emitter[0]) > np.median(sight.single @ emitter[0]) + 0.2
