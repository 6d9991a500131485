"""Searches among some of a segment's rows."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.index import Segment
from tests.index.heavy_tailed import Built, recall_by_distance

pytestmark = pytest.mark.timeout(400)  # the first test builds the graph
RNG = np.random.default_rng(3)
SHARES = [0.9, 0.2, 0.01]


def brute_force(built: Built, queries: np.ndarray, k: int, passes: np.ndarray) -> np.ndarray:
    """Return the scores of the ``k`` best rows that pass, in float64. ``passes`` has one entry per given vector."""
    stored = built.vectors[passes].astype(np.float16).astype(np.float64)
    cosines = (queries.astype(np.float64) @ stored.T) / np.linalg.norm(stored, axis=1)
    return -np.sort(-cosines / np.linalg.norm(queries, axis=1)[:, None], axis=1)[:, :k]


def among(built: Built, passes: np.ndarray) -> np.ndarray:
    """Return ``passes`` in the order of the segment's rows."""
    segment = built.segment
    wanted = set(zip(built.row_source[passes].tolist(), built.row_number[passes].tolist(), strict=True))
    pairs = zip(segment.row_source.tolist(), segment.row_number.tolist(), strict=True)
    return np.array([pair in wanted for pair in pairs])


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("which", ["heavy", "tenfold"])
def test_a_scan_equals_brute_force(request: pytest.FixtureRequest, which: str, share: float) -> None:
    built: Built = request.getfixturevalue(which)
    passes = RNG.random(len(built.vectors)) < share
    mask = among(built, passes)
    found = built.segment.search(built.queries[:40], 25, exact=True, among=mask)
    np.testing.assert_allclose(found.score, brute_force(built, built.queries[:40], 25, passes), rtol=0, atol=3e-7)
    allowed = set(zip(built.row_source[passes].tolist(), built.row_number[passes].tolist(), strict=True))
    pairs = list(zip(found.row_source.ravel().tolist(), found.row_number.ravel().tolist(), strict=True))
    assert set(pairs) <= allowed
    assert all(len({*pairs[25 * i : 25 * i + 25]}) == 25 for i in range(40))


@pytest.mark.parametrize("share", SHARES)
def test_recall_by_the_graph(heavy: Built, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr("pipeline.index.segment.SCANNED_PER_NEIGHBOUR", 1)  # otherwise all rows are scanned
    walks = []
    walk = Segment._walk
    monkeypatch.setattr(Segment, "_walk", lambda *a: (walks.append(a[2]), walk(*a))[1])
    mask = RNG.random(heavy.segment.rows) < share
    found = heavy.segment.search(heavy.queries[:150], 10, among=mask)
    exact = heavy.segment.search(heavy.queries[:150], 10, exact=True, among=mask)
    assert recall_by_distance(found.score, exact.score) >= 0.95
    assert bool(walks) == (share > 0.05), "where one in a hundred passes, even a walk at no cost is given up"
    assert all(mask[(heavy.segment.row_source == s) & (heavy.segment.row_number == n)].all()
               for s, n in zip(found.row_source[:5].ravel(), found.row_number[:5].ravel(), strict=True))


def test_a_query_whose_neighbours_are_left_out_walks_on_or_scans(
    heavy: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.index.segment.SCANNED_PER_NEIGHBOUR", 1)
    segment, query = heavy.segment, heavy.queries[300:301]
    near = segment.search(query, 3000, exact=True)
    mask = np.ones(segment.rows, np.bool_)
    mask[np.isin(segment.row_number, near.row_number)] = False  # numbers are distinct here
    found, exact = (segment.search(query, 10, exact=exact, among=mask) for exact in (False, True))
    assert recall_by_distance(found.score, exact.score) >= 0.95
    assert found.score[0, 0] <= near.score[0, -1]


@pytest.mark.parametrize("exact", [False, True])
def test_none_and_fewer_than_asked_for(heavy: Built, exact: bool) -> None:
    mask = np.zeros(heavy.segment.rows, np.bool_)
    assert (heavy.segment.search(heavy.queries[:3], 5, exact=exact, among=mask).row_number == -1).all()
    mask[[7, 11]] = True
    found = heavy.segment.search(heavy.queries[:3], 5, exact=exact, among=mask)
    assert (np.isfinite(found.score).sum(axis=1) == 2).all()
    assert {*found.row_number[0, :2].tolist()} == {*heavy.segment.row_number[[7, 11]].tolist()}
