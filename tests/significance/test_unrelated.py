"""The simulated signals in the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.config import EncoderConfig
from pipeline.encoders import load_encoder
from pipeline.significance import unrelated, unrelated_vectors, write_unrelated
from pipeline.simulate.unrelated import BATCH, BATCHES, POPULATIONS, cutouts_of_unrelated


def test_the_default_encoder_has_its_signals_in_less_than_a_megabyte() -> None:
    encoder = load_encoder(EncoderConfig().name)
    vectors = unrelated_vectors(encoder.spec.key)
    assert vectors is not None
    assert vectors.shape == (BATCH * BATCHES * len(POPULATIONS), encoder.spec.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert max(path.stat().st_size for path in unrelated._FOLDER.iterdir()) < 1e6
    again = encoder.encode(cutouts_of_unrelated(0, batches=1))  # the first signals are those of the script
    assert np.allclose((again * vectors[:BATCH]).sum(axis=1), 1, atol=1e-3)


def test_precision_does_not_matter_and_other_encoders_have_none() -> None:
    key = load_encoder(EncoderConfig().name).spec.key
    assert unrelated_vectors(f"{key}-bfloat16") is unrelated_vectors(key)
    assert unrelated_vectors("beta-vae-v1-01234567") is None


def test_eight_bits_change_scores_by_little(tmp_path: Path, monkeypatch) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 152)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_unrelated(tmp_path / "some-v1-00000000.npy", vectors)
    monkeypatch.setattr(unrelated, "_FOLDER", tmp_path)
    read = unrelated_vectors("some-v1-00000000")
    assert read is not None
    assert np.abs(read @ vectors.T - vectors @ vectors.T).max() < 3e-3
