"""How much labels help, in sets whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluate import Report
from pipeline.evaluate.refine import LABELS, _precision, evaluate_refine
from pipeline.evaluate.tables import format_report
from pipeline.simulate import NOISE


def test_precision_is_that_of_another_library() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    scores, is_right = rng.normal(size=200).astype(np.float32), rng.random(200) < 0.2
    found = _precision(scores, is_right)
    assert found[0] == pytest.approx(average_precision_score(is_right, scores))
    assert found[1] == np.mean(is_right[np.argsort(-scores)[:10]])


def test_labels_help_where_kinds_overlap_and_change_nothing_where_they_do_not() -> None:
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 8, 800)
    centres = np.concatenate([rng.normal(size=(8, 24)), np.zeros((1, 24))])
    kind[600:] = 8
    labels = np.array([NOISE if one == 8 else f"kind {one}" for one in kind])

    def vectors(noise: float) -> np.ndarray:
        drawn = centres[kind] + noise * rng.normal(size=(800, 24))
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    hard, easy = evaluate_refine("hard", vectors(1.2), labels), evaluate_refine("easy", vectors(0.05), labels)
    assert [(one.labels, one.queries) for one in hard] == [(count, 60) for count in LABELS]
    assert hard[-1].refined > hard[-1].plain + 0.1
    assert hard[-1].refined_at_10 > hard[-1].plain_at_10
    assert all(one.plain == one.refined == pytest.approx(1) for one in easy)
    report = Report(0, False, refine={"one": [*hard, *easy]})
    table = "\n".join(format_report(report))
    assert "Refined by labels" in table
    assert f"{hard[0].plain:.2f} → {hard[0].refined:.2f}" in table


def test_queries_without_anything_left_to_find_do_not_count() -> None:
    vectors = np.eye(12, dtype=np.float32) + 0.1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array(["a"] * 4 + [NOISE] * 8)
    found = evaluate_refine("few", vectors, labels)
    assert found[-1].queries == 0
    assert np.isnan(found[-1].plain)
