from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.cutouts import cutouts_of_power
from pipeline.encoders.beta_vae import BetaVae
from pipeline.errors import EncoderError
from pipeline.model import WindowGrid
from pipeline.simulate import simulate_families
from pipeline.train.beta_vae import train


@pytest.fixture(scope="module")
def windows():
    power, _ = simulate_families(np.random.default_rng(1), 8, snr=(30, 300))
    cutouts = cutouts_of_power(power)
    return cutouts[np.random.default_rng(2).permutation(len(cutouts))][:96, :, 64:192]  # narrow ones are quicker


def batches(windows):
    return itertools.cycle(np.split(windows, 6))


def test_some_steps_make_the_loss_fall_and_the_weights_encode(windows, tmp_path):
    losses = []

    def on_step(step, loss):
        assert step == len(losses) + 1
        losses.append(loss)

    train(batches(windows), 24, tmp_path / "w.npz", 3, on_step)
    assert len(losses) == 24
    assert np.mean(losses[-6:]) < 0.95 * np.mean(losses[:6])
    vectors = BetaVae(WindowGrid(128, 128, 16), str(tmp_path / "w.npz")).encode(windows)
    assert vectors.shape == (96, 10)
    assert np.ptp(vectors, axis=0).max() > 0.1  # not one vector for all
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        assert {file[key].dtype for key in file.files} == {np.dtype(np.float32)}
        assert not any("decoder" in key or "variance" in key for key in file.files if "moving" not in key)


def test_seed_decides_the_beginning(windows, tmp_path):
    first = {}
    for name, seed in {"one": 5, "same": 5, "other": 6}.items():
        train(batches(windows), 1, tmp_path / f"{name}.npz", seed, lambda _, loss, name=name: first.update({name: loss}))
    assert first["one"] == pytest.approx(first["same"], rel=1e-5)
    assert abs(first["one"] - first["other"]) > 1e-3 * first["one"]


def test_reduced_precision_learns_too_and_writes_float32(windows, tmp_path):
    losses = []
    train(batches(windows), 6, tmp_path / "w.npz", 3, lambda _, loss: losses.append(loss), precision="bfloat16")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert np.isfinite(BetaVae(WindowGrid(128, 128, 16), str(tmp_path / "w.npz")).encode(windows[:4])).all()


def test_nothing_is_written_where_training_breaks_off(windows, tmp_path):
    def stop(step, loss):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(batches(windows), 3, tmp_path / "w.npz", 0, stop)
    assert not list(tmp_path.iterdir())
    with pytest.raises(EncoderError, match="multiple of 32"):
        train(iter([windows[:, :, :100]]), 1, tmp_path / "w.npz", 0, stop)
