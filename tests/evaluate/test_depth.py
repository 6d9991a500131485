"""Cutouts with fewer bits, and retrieval from them."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.encoders import load_encoder
from pipeline.evaluate.depth import BITS, evaluate_depth, reduce_bits
from pipeline.evaluate.metrics import rank, scores
from pipeline.evaluate.sets import SetSpec, labelled_set, simulate_set

CODES = np.arange(256, dtype=np.uint8)[None, None]


@pytest.mark.parametrize("bits", BITS)
def test_fewer_bits_are_fewer_levels_over_the_same_range(bits: int) -> None:
    coarse = reduce_bits(CODES, bits)[0, 0]
    assert coarse[0] == 0
    assert len(np.unique(coarse[1:])) == 2**bits - 1
    assert (coarse[1], coarse[255]) == (1, 255)
    step = 254 / (2**bits - 2)
    assert np.abs(coarse[1:].astype(float) - CODES[0, 0, 1:]).max() <= step / 2 + 0.5
    assert (np.diff(coarse.astype(int)) >= 0).all()


def test_eight_bits_are_as_stored() -> None:
    assert np.array_equal(reduce_bits(CODES, 8), CODES)


def test_depths_are_measured_with_and_without_rounding() -> None:
    spec = SetSpec("small", signals=24, noise=24, kinds=6)
    power, labels = simulate_set(spec)
    encoder = load_encoder("power-spectrum")
    measured = evaluate_depth(encoder, power, labels)
    stored = labelled_set(spec)
    by_bits = {one.bits: one.scores for one in measured}
    assert by_bits[8] == scores(rank(encoder.encode(stored.cutouts), labels))
    assert [bits for bits in by_bits if bits != 32] == list(BITS)

    class OfImages:
        """A fake encoder that flattens cutouts or images."""

        spec = encoder.spec

        def encode(self, cutouts: np.ndarray) -> np.ndarray:
            return encoder.encode(cutouts)

        def encode_images(self, images: np.ndarray) -> np.ndarray:
            np.testing.assert_allclose(np.sinh(images), np.log(power) * 102**0.5, rtol=2e-3, atol=1e-3)
            return np.eye(len(np.unique(labels)), dtype=np.float32)[np.unique(labels, return_inverse=True)[1]]

    [unrounded, *others] = evaluate_depth(OfImages(), power, labels)
    assert (unrounded.bits, unrounded.scores.mean_average_precision) == (32, 1)
    assert [one.bits for one in others] == list(BITS)
