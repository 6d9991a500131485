"""Patterns larger than a window: their windows must be arranged alike, in any place, for both signs of foff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.arranged_hits import MAX_ARRANGED_WINDOWS
from pipeline.search.arrangement import Votes, arrangement_at, ranked_shifts
from tests.search.conftest import CHANNELS, FINE, INTEGRATIONS, SPEC, Made, unit

SHAPE = (16, 256)
A, B = "GBT_59000_0_A", "GBT_59000_1_B"
QUERY = [3, 4, 6, 65]
"""Windows of a pattern: channels 48–64, 64–80 and 96–112 in the first time block, 64–80 in the second."""
PER_BLOCK = 60


def positions(count: int, seed: int = 0) -> np.ndarray:
    """Draw windows of a grid, all different."""
    rng = np.random.default_rng(seed)
    return np.column_stack(np.unravel_index(rng.choice(400, count, replace=False), (20, 20))) * SHAPE


@given(st.integers(2, 12), st.integers(0, 99), st.integers(-7, 7), st.integers(-127, 127), st.integers(-9, 9))
def test_a_true_copy_scores_one_and_no_order_of_its_windows_does(
    count: int, seed: int, off_t: int, off_f: int, blocks: int
) -> None:
    pattern = positions(count, seed)
    shift = np.array([16 * blocks, 300 * blocks])
    copy = pattern + shift + (off_t, off_f)  # less than half a window from where it is expected
    cosines = np.where(np.eye(count, dtype=bool), 1.0, 0.3)
    made = arrangement_at(shift, pattern, copy, cosines, SHAPE)
    assert made.score == pytest.approx(1)
    assert made.matches.tolist() == list(range(count))
    order = np.random.default_rng(seed).permutation(count)
    permuted = arrangement_at(shift, pattern, copy[order], cosines, SHAPE)
    kept = np.count_nonzero(order == np.arange(count))
    assert permuted.score == pytest.approx((kept + 0.3 * (count - kept)) / count)


@given(st.integers(1, 6), st.integers(0, 30), st.integers(0, 999))
def test_a_match_is_the_best_window_within_half_a_window_by_brute_force(count: int, others: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pattern, found = rng.integers(-40, 40, (count, 2)) * (4, 64), rng.integers(-40, 40, (others, 2)) * (4, 64)
    cosines = rng.uniform(-1, 1, (count, others))
    made = arrangement_at(np.zeros(2, np.int64), pattern, found, cosines, SHAPE)
    total = 0.0
    for i in range(count):
        there = [j for j in range(others) if all(
            -size / 2 <= found[j, axis] - pattern[i, axis] < size / 2 for axis, size in enumerate(SHAPE))]
        best = max((cosines[i, j] for j in there), default=0.0)
        total += max(best, 0.0)
        assert bool(made.matches[i] >= 0) is bool(best > 0)
        assert best <= 0 or cosines[i, made.matches[i]] == best
    assert made.score == pytest.approx(total / count)


@given(st.integers(2, 8), st.integers(0, 999), st.integers(-8, 8), st.integers(-99, 99))
def test_the_shift_of_a_copy_is_ranked_first_among_many_votes(count: int, seed: int, blocks: int, windows: int) -> None:
    rng = np.random.default_rng(seed)
    shift, noise = np.array([16 * blocks, 256 * windows]), 200
    votes = Votes(
        source=np.concatenate([np.full(count, 7), rng.integers(0, 5, noise)]),
        shift=np.concatenate([np.tile(shift, (count, 1)), rng.integers(-10**6, 10**6, (noise, 2)) * (16, 256)]),
        query=np.concatenate([np.arange(count), rng.integers(0, count, noise)]),
        similarity=np.concatenate([np.full(count, 0.9), rng.uniform(0, 0.99, noise)]),
    )
    source, ranked = ranked_shifts(votes, SHAPE)
    assert (source[0], *ranked[0]) == (7, *shift)
    assert len(np.unique(np.column_stack([source, ranked]), axis=0)) == len(source)


def test_votes_on_both_sides_of_the_edge_of_a_cell_count_together() -> None:
    votes = Votes(np.zeros(3, np.int64), np.array([[0, 127], [0, 128], [0, 1000]]), np.array([0, 1, 0]),
                  np.array([0.5, 0.5, 0.9]))
    _, ranked = ranked_shifts(votes, SHAPE)
    assert ranked.tolist()[2] == [0, 1000]


def test_of_votes_for_one_window_only_the_best_counts() -> None:
    votes = Votes(np.zeros(4, np.int64), np.array([[0, 0], [0, 0], [0, 0], [16, 256]]), np.array([0, 0, 0, 1]),
                  np.array([0.5, 0.5, 0.5, 0.9]))
    assert ranked_shifts(votes, SHAPE)[1].tolist() == [[16, 256], [0, 0]]


def test_without_votes_there_is_no_shift() -> None:
    nothing = np.empty(0, np.int64)
    assert ranked_shifts(Votes(nothing, np.empty((0, 2), np.int64), nothing, nothing), SHAPE)[0].tolist() == []


# --- searches ------------------------------------------------------------------------------------------------------


def planted(make: Callable[..., Made], copy: list[int], *, ascending: bool = False, name: str = "corpus") -> Made:
    """Make a corpus of a pattern, a copy of its windows at some places, and many others."""
    made, rng = make(name), np.random.default_rng(5)
    pattern = unit(rng.normal(size=(len(QUERY), SPEC.dimension)))
    made.add(A, QUERY, pattern)
    header = replace(FINE, tstart_mjd=FINE.tstart_mjd + 1)
    if ascending:
        header = replace(header, fch1_mhz=header.f_min_mhz + header.channel_width_mhz / 2, foff_mhz=-header.foff_mhz)
    others = [number for number in range(2 * PER_BLOCK) if number not in copy][::2]
    near = unit(np.concatenate([pattern + 0.05 * rng.normal(size=pattern.shape),
                                rng.normal(size=(len(others), SPEC.dimension))]))
    made.add(B, [*copy, *others], near, header=header)
    return made


def search(made: Made, **options: object):  # type: ignore[no-untyped-def]
    f = FINE.channel_edge_mhz
    return made.open().search(file=A, f_start_mhz=f(48), f_stop_mhz=f(112), **options)


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_a_shifted_copy_is_found_as_one_hit(make: Callable[..., Made], ascending: bool, exact: bool) -> None:
    copy = [number + 5 for number in QUERY]
    result = search(planted(make, copy, ascending=ascending), exact=exact)
    assert result.query["arranged"] is True
    assert result.query["windows"] == len(QUERY)
    first = result[0]
    assert first.source_id == B
    assert {first.window.number, *first.merged} == set(copy)
    assert 0.9 < first.score <= 1
    assert first.query_window is not None
    assert first.window.channel_start - first.query_window.channel_start == 5 * CHANNELS
    assert first.window.spectrum_start == first.query_window.spectrum_start
    assert result[1].score < 0.75


def test_the_score_is_the_mean_over_the_windows_of_the_pattern(make: Callable[..., Made]) -> None:
    copy = [number + 5 for number in QUERY]
    made = planted(make, copy)
    row = {int(number): i for i, number in enumerate(made.numbers[B])}
    pattern, stored = unit(made.vectors[A].astype(np.float64)), unit(made.vectors[B].astype(np.float64))
    cosines = [float(pattern[i] @ stored[row[number]]) for i, number in enumerate(copy)]
    assert search(made)[0].score == pytest.approx(np.mean(cosines), abs=1e-6)


def test_the_same_windows_in_another_order_score_less(make: Callable[..., Made]) -> None:
    copy = [number + 5 for number in QUERY]
    in_order = search(planted(make, copy))[0].score
    permuted = search(planted(make, [copy[1], copy[0], copy[3], copy[2]], name="permuted"))[0].score
    assert permuted < in_order - 0.2


def test_each_window_can_be_searched_for_by_itself(make: Callable[..., Made]) -> None:
    made = planted(make, [number + 5 for number in QUERY])
    result = search(made, each_window=True)
    assert result.query["arranged"] is False
    assert len({hit.query_window for hit in result}) > 1
    assert all(hit.score > 0.9 for hit in result.hits[:2])


def test_a_part_of_the_copy_that_filters_reject_is_missing(make: Callable[..., Made]) -> None:
    from pipeline.search import Filters

    made = planted(make, [number + 5 for number in QUERY])
    whole = search(made)[0]
    cut_mhz = FINE.channel_edge_mhz((QUERY[2] + 5) * CHANNELS)
    half = search(made, filters=Filters(not_mhz=((cut_mhz, cut_mhz + 16e-6),)))[0]
    assert {half.window.number, *half.merged} < {whole.window.number, *whole.merged}
    assert half.score == pytest.approx(whole.score * 3 / 4, abs=0.02)


def test_what_overlaps_the_pattern_itself_is_no_hit(make: Callable[..., Made]) -> None:
    result = search(planted(make, [number + 5 for number in QUERY]), k=99)
    assert {hit.source_id for hit in result} == {B}


def test_limits_leave_the_best_place_of_each_file(make: Callable[..., Made]) -> None:
    result = search(planted(make, [number + 5 for number in QUERY]), per_file=1)
    assert len(result) == 1
    assert result[0].score > 0.9


def test_an_array_of_several_windows_is_arranged_too(make: Callable[..., Made]) -> None:
    made = planted(make, [number + 5 for number in QUERY])
    power = np.random.default_rng(1).gamma(102, 1 / 102, (2 * INTEGRATIONS, 2 * CHANNELS))
    with pytest.MonkeyPatch.context() as patched:
        vectors = made.vectors[A][[0, 1, 3]]  # of (0, 0), (0, 16) and (4, 16), as the pattern's first, second and last
        patched.setattr("pipeline.search.draft.embed", lambda *_: (unit(vectors.astype(np.float32)), ""))
        patched.setattr("pipeline.search.from_power.find_signals", lambda *_: (np.array([0, 1, 3]), ""))
        result = made.open().search(power=power)
    assert result.query["arranged"] is True
    assert {hit.source_id for hit in result.hits[:2]} == {A, B}
    assert all(hit.score > 0.9 for hit in result.hits[:2])
    assert result[2].score < 0.75


def test_a_pattern_of_very_many_windows_is_not_arranged(make: Callable[..., Made]) -> None:
    made, count = make(), MAX_ARRANGED_WINDOWS + 1
    rng = np.random.default_rng(2)
    made.add(A, range(count), unit(rng.normal(size=(count, SPEC.dimension))))
    made.add(B, range(20), unit(rng.normal(size=(20, SPEC.dimension))))
    header = FINE
    result = made.open().search(file=A, f_start_mhz=header.f_min_mhz, f_stop_mhz=header.f_max_mhz)
    assert result.query["windows"] == count
    assert result.query["arranged"] is False
    assert f"the pattern has {count} windows; each is searched for by itself" in result.query["note"]
