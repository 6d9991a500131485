from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, WindowGrid
from pipeline.search.merge import Candidate, merge, touch

from .conftest import FINE


def tiling(step: int = 16) -> Tiling:
    return Tiling(FINE, WindowGrid(16, step, 4), CoarseLayout(256, "flag"))


def candidates(scores: dict[int, float], step: int = 16, source: str = "A") -> list[Candidate]:
    return [Candidate(score, tiling(step).window(source, number), 0) for number, score in scores.items()]


def groups(found: list[Candidate]) -> list[tuple[int, tuple[int, ...]]]:
    return [(one.best.window.number, one.others) for one in merge(found)]


def naive(found: list[Candidate], tolerance: float) -> list[tuple[int, tuple[int, ...]]]:
    """Grow one group after the other: look at every pair until nothing changes."""
    rest = sorted(found, key=lambda c: (-c.score, c.window.number))
    result = []
    while rest:
        group, rest = [rest[0]], rest[1:]
        while True:
            near = [c for c in rest
                    if group[0].score - c.score <= tolerance and any(_touching(c, member) for member in group)]
            if not near:
                break
            group += near
            rest = [c for c in rest if c not in near]
        result.append((group[0].window.number, tuple(sorted(c.window.number for c in group[1:]))))
    return result


def _touching(a: Candidate, b: Candidate) -> bool:
    """Return whether two windows, of which each is grown by one channel and one spectrum, share a pixel."""
    def pixels(start: int, stop: int) -> set[int]:
        return set(range(2 * start, 2 * stop + 1))

    a, b = a.window, b.window
    return bool(pixels(a.channel_start, a.channel_stop) & pixels(b.channel_start, b.channel_stop)
                and pixels(a.spectrum_start, a.spectrum_stop) & pixels(b.spectrum_start, b.spectrum_stop))


@given(
    scores=st.dictionaries(st.integers(0, 2 * 61 - 1), st.integers(0, 40).map(lambda n: n / 80), min_size=1),
    step=st.sampled_from([4, 7, 16, 20]),
)
def test_agrees_with_the_naive_grouping(scores: dict[int, float], step: int) -> None:
    found = candidates({number: score for number, score in scores.items() if number < tiling(step).n_windows}, step)
    assert groups(found) == naive(found, 0.1)


def test_neighbours_in_frequency_and_time_that_score_alike_are_one_hit() -> None:
    per_block = tiling().windows_per_block
    scores = {5: 0.80, 6: 0.85, 7: 0.78, per_block + 7: 0.79, per_block + 8: 0.77}
    assert groups(candidates(scores)) == [(6, (5, 7, per_block + 7, per_block + 8))]


def test_a_neighbour_that_scores_otherwise_stays_a_hit_of_its_own() -> None:
    assert groups(candidates({5: 0.90, 6: 0.79})) == [(5, ()), (6, ())]
    assert groups(candidates({5: 0.90, 6: 0.81})) == [(5, (6,))]


def test_a_chain_does_not_slide_down() -> None:
    scores = {number: 0.9 - 0.06 * i for i, number in enumerate(range(5, 10))}
    assert groups(candidates(scores)) == [(5, (6,)), (7, (8,)), (9, ())]


def test_a_valley_within_the_tolerance_joins_two_peaks() -> None:
    assert groups(candidates({5: 0.90, 6: 0.82, 7: 0.89})) == [(5, (6, 7))]


def test_windows_apart_or_of_other_sources_are_not_merged() -> None:
    assert groups(candidates({5: 0.9, 7: 0.9})) == [(5, ()), (7, ())]
    both = candidates({5: 0.9}) + candidates({6: 0.9}, source="B")
    assert groups(both) == [(5, ()), (6, ())]


def test_windows_side_by_side_touch_across_a_coarse_channel_edge_without_a_gap() -> None:
    last, first = tiling().window("A", 15), tiling().window("A", 16)
    assert last.channel_stop == first.channel_start == 256
    assert touch(last, first)
    gap = Tiling(FINE, WindowGrid(16, 16, 4), CoarseLayout(250, "flag"))
    assert not touch(gap.window("A", 14), gap.window("A", 15))


def test_every_candidate_ends_in_one_group_ordered_by_score() -> None:
    rng = np.random.default_rng(0)
    found = candidates({int(n): float(s) for n, s in zip(rng.permutation(128), rng.random(128), strict=True)})
    merged = merge(found)
    everyone = [one.best.window.number for one in merged] + [number for one in merged for number in one.others]
    assert sorted(everyone) == list(range(128))
    assert all(a.best.score >= b.best.score for a, b in pairwise(merged))
