from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.encoders.frequency import frequency_embedding, near_scores, nearness


def naive_embedding(f_mhz, dimension, longest):
    """The definition of transformer positions, one number at a time."""
    out = []
    for i in range(dimension // 2):
        scale = longest ** (2 * i / dimension)
        out += [math.sin(f_mhz / scale), math.cos(f_mhz / scale)]
    return np.array(out) / math.sqrt(dimension / 2)


@pytest.mark.parametrize(("dimension", "longest"), [(10, 1000.0), (2, 50.0), (16, 10_000.0)])
def test_embedding_is_sines_and_cosines_in_turn(dimension, longest):
    f_mhz = np.array([[0.0, 1.5], [1420.405751, 8438.6]])
    made = frequency_embedding(f_mhz, dimension, longest)
    assert made.shape == (2, 2, dimension)
    for place in np.ndindex(2, 2):
        np.testing.assert_allclose(made[place], naive_embedding(f_mhz[place], dimension, longest), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(made, axis=-1), 1, atol=1e-6)


def test_nearness_depends_on_the_difference_alone():
    apart = np.array([0, 0.1, 0.7, 2.0])
    expected = [1, 0.9989, 0.9497, 0.6904]
    for f_mhz in (1100.0, 1420.4, 8421.25):
        np.testing.assert_allclose(nearness(f_mhz + apart, f_mhz), expected, atol=1e-3)
        np.testing.assert_allclose(nearness(f_mhz - apart, f_mhz), expected, atol=1e-3)


def test_hits_near_in_frequency_come_first_among_equals():
    scores = np.array([0.9, 0.9, 0.9, 0.95])
    f_mhz = np.array([1421.0, 1420.1, 1435.0, 1435.0])
    assert list(np.argsort(-near_scores(scores, f_mhz, 1420.0, 0.5))) == [1, 0, 3, 2]
    np.testing.assert_array_equal(near_scores(scores, f_mhz, 1420.0, 0), scores)


def test_scores_equal_the_cosines_of_vectors_with_the_embedding_appended():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(50, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    f_mhz = rng.uniform(1100, 1900, 50)
    embedded = np.array([naive_embedding(f, 10, 1000.0) for f in f_mhz])
    extended = np.concatenate([vectors, math.sqrt(0.3) * embedded], axis=1)
    extended /= np.linalg.norm(extended, axis=1, keepdims=True)
    expected = near_scores(vectors @ vectors[7], f_mhz, f_mhz[7], 0.3)
    np.testing.assert_allclose(extended @ extended[7], expected, atol=1e-6)


def test_an_odd_dimension_is_refused():
    with pytest.raises(ValueError, match="even number of components, not 5"):
        frequency_embedding(np.zeros(2), 5)
