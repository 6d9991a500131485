"""Correlation of hits with the query, compared with loops over every position, and its use in a search."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from pipeline.errors import QueryError
from pipeline.grid.cutouts import image_of_cutouts, quantise
from pipeline.search.correlate import DRIFTS, THRESHOLD, WEIGHT, correlate, fused
from pipeline.search.description import QueryDescription
from pipeline.search.merge import Candidate, Merged
from pipeline.search.query import Query
from pipeline.search.reorder import compare_cutouts
from pipeline.search.snapshot import OpenCorpus
from pipeline.simulate import Signal, add_signal, noise
from pipeline.simulate.signals import FINE
from pipeline.store import SourceGroup

from .conftest import Made

BASELINE = 77  # code of u = 0


def image(cutout: np.ndarray) -> np.ndarray:
    raw, along = image_of_cutouts(cutout).astype(float), np.linspace(-1, 1, cutout.shape[1])
    quiet = np.clip(raw, -1, 1)
    slope, _ = np.polyfit(along, quiet.mean(axis=0), 1)
    flat = raw - quiet.mean(axis=1, keepdims=True) - slope * along
    smooth = convolve1d(flat, np.array([1, 4, 6, 4, 1]) / 16, axis=1, mode="constant")
    return np.maximum(convolve1d(smooth, np.array([1, 4, 1]) / 6, axis=0, mode="constant") - THRESHOLD, 0)


def naive(query: np.ndarray, candidate: np.ndarray, drifts: tuple[int, ...], mirrors: tuple[bool, ...]
          ) -> tuple[float, set[tuple[int, int, int, bool]]]:
    """Return the best correlation and its positions, from a loop over all positions. The number of spectra is odd."""
    a, b = image(query), image(candidate)
    spectra, channels = a.shape
    found: dict[tuple[int, int, int, bool], float] = {}
    for mirrored, drift, later in itertools.product(mirrors, drifts, range(-(spectra // 2), spectra // 2 + 1)):
        pattern = a[:, ::-1] if mirrored else a
        for higher in range(-2 * channels, 2 * channels):
            total = 0.0
            for t in range(spectra):
                for f in range(channels):
                    at = f + higher + drift * (t - spectra // 2)
                    if 0 <= at < channels:
                        total += pattern[t, f] * b[(t + later) % spectra, at]
            found[higher, later, drift, mirrored] = total / np.sqrt((a**2).sum() * (b**2).sum())
    best = max(found.values())
    return best, {place for place, value in found.items() if value > best - 1e-6}


def blobs(rng: np.random.Generator, n: int, shape: tuple[int, int] = (5, 14)) -> np.ndarray:
    """Make cutouts of noise with some bright pixels."""
    codes = rng.integers(BASELINE - 40, BASELINE + 40, (n, *shape))
    bright = rng.random((n, *shape)) < 0.08
    return np.where(bright, rng.integers(150, 256, (n, *shape)), codes).astype(np.uint8)


def lines(channels: tuple[float, ...], *, drift: float = 0.0, snr: float = 30.0, rows: slice = slice(None),
          seed: int = 0, gain: np.ndarray | float = 1.0) -> np.ndarray:
    """Make a cutout of the fine grid with narrow lines. ``channels`` are their places in the middle spectrum, and
    ``drift`` is in channels per row.
    """
    rng = np.random.default_rng(seed)
    power = noise(rng, (16, 256), FINE)
    hz_per_s = drift * FINE.channel_width_hz / FINE.tsamp_s
    signal = Signal("line", snr=snr, width_hz=5.0, drift_hz_per_s=hz_per_s)
    for channel in channels:
        drawn = power.copy()
        add_signal(drawn, signal, axes=FINE, channel=channel - 8 * drift, rng=rng)
        power[rows] = drawn[rows]
    return quantise(power * gain, FINE.sigma)


@pytest.mark.parametrize(("drifts", "mirrors"), [((0,), (False,)), ((0, 1, -1, 3), (False,)), ((0, -2), (False, True))])
def test_equals_loops_over_every_position(drifts: tuple[int, ...], mirrors: tuple[bool, ...]) -> None:
    rng = np.random.default_rng(len(drifts))
    query, *candidates = blobs(rng, 4)
    candidates[0] = np.roll(query, (1, 2), axis=(0, 1))[:, ::-1]
    found = correlate(query, np.array(candidates), drifts=drifts, mirror=True in mirrors)
    for i, candidate in enumerate(candidates):
        best, places = naive(query, candidate, drifts, mirrors)
        assert found.correlation[i] == pytest.approx(best, abs=2e-6)
        place = found.channels[i], found.spectra[i], found.drift[i], found.mirrored[i]
        assert place in places


def test_rows_that_drift_apart_do_not_come_round() -> None:
    """Two pixels at opposite ends drift farther apart. If rows were rings of 64 channels, they would come closer."""
    query, candidate = np.full((2, 5, 32), BASELINE, np.uint8)
    query[[0, 4], [0, 31]] = candidate[[0, 4], [25, 4]] = 250
    found = correlate(query, candidate[None], drifts=(0, 3))
    assert found.correlation[0] == pytest.approx(naive(query, candidate, (0, 3), (False,))[0], abs=2e-6)
    assert found.correlation[0] < 0.6


def test_of_equally_good_ones_the_first_counts() -> None:
    symmetric = np.full((16, 256), BASELINE, np.uint8)
    symmetric[4:9, [100, 155]] = 220
    found = correlate(symmetric, np.stack([symmetric] * 3), drifts=(0, 0, 0.25), mirror=True)
    assert not found.mirrored.any()
    assert (found.correlation <= 1).all()


def test_an_even_number_of_spectra_goes_round_the_shorter_way() -> None:
    rng = np.random.default_rng(3)
    query = blobs(rng, 1, (6, 20))[0]
    rolled = np.stack([np.roll(query, later, axis=0) for later in range(6)])
    assert correlate(query, rolled).spectra.tolist() == [0, 1, 2, 3, -2, -1]


def test_a_pattern_finds_itself_wherever_it_lies() -> None:
    query = lines((60.0, 100.0), seed=1)
    others = np.stack([query, lines((160.0, 200.0), seed=2), lines((20.0, 60.0), snr=8.0, seed=3)])
    found = correlate(query, others)
    assert found.correlation[0] == pytest.approx(1, abs=1e-6)
    assert (found.correlation > 0.8).all()
    assert found.channels.tolist() == [0, 100, -40]
    assert not found.drift.any()
    assert not found.mirrored.any()


def test_a_burst_finds_a_burst_at_another_time() -> None:
    found = correlate(lines((128.0,), rows=slice(2, 6)), lines((50.0,), rows=slice(9, 13), seed=1)[None])
    assert found.correlation[0] > 0.85
    assert (found.channels[0], found.spectra[0]) == (-78, 7)


def test_what_leaves_the_window_does_not_come_in_on_the_other_side() -> None:
    """Two lines are 80 channels apart, two others 176 = 256 − 80. If the window were a ring, they would be equal."""
    near, far = lines((60.0, 140.0)), lines((40.0, 216.0), seed=1)
    assert correlate(near, far[None]).correlation[0] < 0.6


def test_other_bright_things_count_against_a_candidate() -> None:
    query = lines((128.0,))
    alone, crowd = lines((90.0,), seed=1), lines((30.0, 90.0, 130.0, 200.0), seed=2)
    few, many = correlate(query, np.stack([alone, crowd])).correlation
    assert few > 0.85
    assert many == pytest.approx(few / 2, abs=0.06)  # one of four equal lines: 1/√4


def test_drift_is_told_apart_and_found_where_it_may_differ() -> None:
    query, steeper = lines((128.0,), drift=0.5), lines((100.0,), drift=1.25, seed=1)
    plain = correlate(query, steeper[None])
    free = correlate(query, steeper[None], drifts=DRIFTS)
    assert plain.correlation[0] < 0.6
    assert free.correlation[0] > 0.9
    assert free.drift[0] == 0.75
    assert free.channels[0] == pytest.approx(-28, abs=1)


def test_mirror_images_are_found_where_they_may_be() -> None:
    rising, falling = lines((128.0,), drift=1.5), lines((128.0,), drift=-1.5, seed=1)
    assert correlate(rising, falling[None]).correlation[0] < 0.5
    found = correlate(rising, np.stack([falling, rising]), mirror=True)
    assert (found.correlation > 0.9).all()
    assert found.mirrored.tolist() == [True, False]


def test_noise_has_little_in_common_and_empty_images_nothing() -> None:
    query = lines((128.0,))
    still = np.full_like(query, BASELINE)
    empty = correlate(query, np.stack([still, np.zeros_like(query)]))
    assert empty.correlation.tolist() == [0, 0]
    assert correlate(still, query[None]).correlation.tolist() == [0]
    noises = np.stack([lines((), seed=seed) for seed in range(5, 25)])
    assert correlate(query, noises).correlation.max() < 0.4


def test_gain_of_rows_and_slope_of_the_band_count_for_nothing() -> None:
    """All windows of a file may share such gains and slopes."""
    rng = np.random.default_rng(4)
    gain = (1 + 0.1 * rng.standard_normal((16, 1))) * (1 + 0.15 * np.linspace(-1, 1, 256))
    noises = np.stack([lines((), seed=seed, gain=gain) for seed in range(5, 25)])
    assert correlate(lines((), seed=4, gain=gain), noises).correlation.max() < 0.4
    query = lines((128.0,), gain=gain)
    assert correlate(query, lines((90.0,), seed=1)[None]).correlation[0] > 0.8


def test_company_changes_nothing() -> None:
    query, *candidates = blobs(np.random.default_rng(8), 151, (16, 64))
    together = correlate(query, np.array(candidates), drifts=(0, 0.5), mirror=True)
    for i in (0, 63, 64, 149):
        alone = correlate(query, candidates[i][None], drifts=(0, 0.5), mirror=True)
        assert alone.correlation[0] == pytest.approx(together.correlation[i], abs=1e-6)
        assert (alone.channels[0], alone.spectra[0]) == (together.channels[i], together.spectra[i])


def test_nothing_to_compare_and_other_shapes() -> None:
    query = blobs(np.random.default_rng(9), 1)[0]
    assert len(correlate(query, np.zeros((0, *query.shape), np.uint8), drifts=DRIFTS).correlation) == 0
    with pytest.raises(ValueError, match=r"got \(5, 14\) and \(2, 5, 13\)"):
        correlate(query, np.zeros((2, 5, 13), np.uint8))


def test_fused_is_the_weighted_mean() -> None:
    assert fused(np.array([0.8, 1.0]), np.array([0.4, 0.0]), weight=0.25).tolist() == pytest.approx([0.7, 0.75])


# --- in a search ---------------------------------------------------------------------------------------------------


def cutout_of(made: Made, source_id: str, number: int) -> np.ndarray:
    row = int(np.flatnonzero(made.numbers[source_id] == number)[0])
    return SourceGroup.open(made.root, source_id).cutouts([row])[0]


@pytest.mark.parametrize("options", [{}, {"rerank_drift": True}, {"rerank_mirror": True}])
def test_hits_are_ordered_by_both_scores(fill: Callable[..., Made], options: dict[str, bool]) -> None:
    made = fill(count=60)
    corpus, source_id = made.open(), next(iter(made.numbers))
    number = int(made.numbers[source_id][0])
    plain = {(hit.source_id, hit.window.number): hit for hit in corpus.search(window=f"{source_id}/{number}", k=999)}
    result = corpus.search(window=f"{source_id}/{number}", k=999, rerank=True, **options)
    assert len(result) == len(plain)
    query, both = cutout_of(made, source_id, number), []
    drifts = DRIFTS if options.get("rerank_drift") else (0.0,)
    for rank, hit in enumerate(result, start=1):
        before = plain[hit.source_id, hit.window.number]
        assert (hit.rank, hit.score, hit.merged) == (rank, before.score, before.merged)
        assert before.match is None
        assert hit.match is not None
        alone = correlate(query, cutout_of(made, hit.source_id, hit.window.number)[None], drifts=drifts,
                          mirror=options.get("rerank_mirror", False))
        assert hit.match.correlation == pytest.approx(alone.correlation[0], abs=1e-6)
        assert hit.match.shift_hz == pytest.approx(alone.channels[0] * 2.7939677238464355)
        assert hit.match.shift_s == pytest.approx(alone.spectra[0] * 18.253611008)
        assert hit.match.extra_drift_hz_per_s == pytest.approx(alone.drift[0] * 2.7939677238464355 / 18.253611008)
        assert hit.match.mirrored == alone.mirrored[0]
        both.append((1 - WEIGHT) * hit.score + WEIGHT * hit.match.correlation)
    assert both == sorted(both, reverse=True)
    assert [hit.score for hit in result] != sorted((hit.score for hit in result), reverse=True)


def test_the_pool_does_not_depend_on_how_many_are_asked_for(fill: Callable[..., Made]) -> None:
    made = fill(count=60)
    source_id = next(iter(made.numbers))
    window = f"{source_id}/{made.numbers[source_id][3]}"
    few, many = (made.open().search(window=window, k=k, rerank=True) for k in (3, 30))
    assert list(few) == list(many[:3])
    assert few.query["rerank"] is True


def test_drift_and_mirror_go_with_a_second_look(fill: Callable[..., Made]) -> None:
    with pytest.raises(QueryError, match="go with rerank"):
        fill().open().search(window="A/1", rerank_mirror=True)


def test_each_hit_is_compared_with_the_window_that_found_it(fill: Callable[..., Made]) -> None:
    made = fill(count=60)
    corpus = OpenCorpus(made.root)
    source_id = next(iter(made.numbers))
    numbers = [int(number) for number in made.numbers[source_id][:4]]
    cutouts = np.stack([cutout_of(made, source_id, number) for number in numbers])
    query = Query(vectors=np.zeros((2, 12), np.float32), cutouts=cutouts[:2], positions=np.zeros((2, 2), np.int64),
                  windows=(), regions=(), resolution="",
                  power_of=lambda i: np.zeros((4, 16)), description=QueryDescription(kind="array"))
    hits = [Merged(Candidate(0.5, corpus.window(source_id, number), i % 2), ()) for i, number in enumerate(numbers)]
    found = {merged.best.window.number: match.correlation for merged, match in compare_cutouts(corpus, query, hits)}
    assert [found[number] for number in numbers[:2]] == pytest.approx([1, 1], abs=1e-6)
    for i in (2, 3):
        assert found[numbers[i]] == pytest.approx(correlate(cutouts[i % 2], cutouts[i][None]).correlation[0], abs=1e-6)
    assert compare_cutouts(corpus, query, []) == []
