"""Nearness to the query's frequency as part of the order of hits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.encoders.frequency import frequency_embedding
from pipeline.errors import QueryError
from pipeline.model import Hit
from tests.search.conftest import FINE, SPEC, Made, unit


@pytest.fixture
def made(make: Callable[..., Made]) -> Made:
    """Corpus of four sources with similar vectors, each in its own band."""
    made = make()
    for i, offset_mhz in enumerate((0, 1, 5, 40)):
        rng = np.random.default_rng(i)
        vectors = unit(1 + rng.normal(size=(30, SPEC.dimension)))
        header = replace(FINE, fch1_mhz=FINE.fch1_mhz + offset_mhz)
        made.add(f"GBT_59000_{i}_{'ABCD'[i]}", 2 * np.arange(30), vectors, header=header)
    return made


def middle_mhz(hit: Hit) -> float:
    return (hit.window.f_start_mhz + hit.window.f_stop_mhz) / 2


def test_it_counts_as_much_as_it_is_told(made: Made) -> None:
    corpus, window = made.open(), "GBT_59000_0_A/8"
    plain = corpus.search(window=window, k=60)
    weighted = corpus.search(window=window, k=60, near_frequency=0.5)
    assert plain.query_window is not None
    asked = frequency_embedding(np.array((plain.query_window.f_start_mhz + plain.query_window.f_stop_mhz) / 2))
    both = [(hit.score + 0.5 * float(frequency_embedding(np.array(middle_mhz(hit))) @ asked)) / 1.5
            for hit in weighted]
    assert both == sorted(both, reverse=True)
    assert both == pytest.approx([(hit.score + 0.5 * hit.nearness) / 1.5 for hit in weighted], abs=1e-6)
    assert all(hit.nearness is None for hit in plain)
    assert np.mean([hit.source_id.endswith("A") for hit in weighted[:20]]) > np.mean(
        [hit.source_id.endswith("A") for hit in plain[:20]])
    scores = {(hit.source_id, hit.window.number): hit.score for hit in corpus.search(window=window, k=200)}
    assert all(hit.score == scores[hit.source_id, hit.window.number] for hit in weighted)  # the cosine, as ever
    assert [hit.rank for hit in weighted] == list(range(1, 61))
    again = corpus.search(window=window, k=60, near_frequency=0.0)
    assert [hit.window for hit in again] == [hit.window for hit in plain]


@pytest.mark.parametrize(("wrong", "said"), [
    ({"near_frequency": -1.0}, "must be 0 or more, got -1"),
    ({"near_frequency": float("nan")}, "must be 0 or more, got nan"),
    ({"near_frequency": 0.5, "rerank": True}, "does not go with rerank"),
])
def test_what_makes_no_sense_is_refused(made: Made, wrong: dict[str, float], said: str) -> None:
    with pytest.raises(QueryError, match=f"near_frequency {said}"):
        made.open().search(window="GBT_59000_0_A/8", **wrong)
