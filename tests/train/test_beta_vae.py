from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.encoders.beta_vae import BetaVae
from pipeline.errors import EncoderError
from pipeline.grid.cutouts import cutouts_of_power
from pipeline.model import WindowGrid
from pipeline.simulate import simulate_families
from pipeline.train.beta_vae import train


@pytest.fixture(scope="module")
def windows():
    power, _ = simulate_families(np.random.default_rng(1), 8, snr=(30, 300))
    cutouts = cutouts_of_power(power)
    return cutouts[np.random.default_rng(2).permutation(len(cutouts))][:48, :, 96:160]  # narrow windows train faster


def batches(windows):
    return itertools.cycle(np.split(windows, 6))


@pytest.fixture(scope="module")
def trained(windows, tmp_path_factory):
    losses, path = [], tmp_path_factory.mktemp("trained") / "w.npz"

    def on_step(step, loss):
        assert step == len(losses) + 1
        losses.append(loss)

    train(batches(windows), 24, path, 3, on_step)
    return losses, path


@pytest.mark.slow
def test_some_steps_make_the_loss_fall_and_the_weights_encode(trained, windows):
    losses, path = trained
    assert len(losses) == 24
    assert np.mean(losses[-6:]) < 0.95 * np.mean(losses[:6])
    vectors = BetaVae(WindowGrid(64, 64, 16), str(path)).encode(windows)
    assert vectors.shape == (48, 10)
    assert np.ptp(vectors, axis=0).max() > 0.1  # the vectors differ between windows
    with np.load(path, allow_pickle=False) as file:
        assert {file[key].dtype for key in file.files} == {np.dtype(np.float32)}
        assert not any("widen" in key or "variance_dense" in key for key in file.files)


@pytest.mark.slow
def test_seed_decides_the_beginning_and_what_breaks_off_leaves_no_file(windows, tmp_path, uncompiled):
    losses = []

    def stop(step, loss):
        losses.append(loss)
        raise RuntimeError

    for seed in (3, 3, 6):
        with pytest.raises(RuntimeError):
            train(batches(windows), 2, tmp_path / "w.npz", seed, stop)
    first, same, other = losses
    assert same == pytest.approx(first, rel=1e-5)
    assert abs(same - other) > 1e-3 * same
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.slow
def test_reduced_precision_learns_too_and_writes_float32(windows, tmp_path):
    losses = []
    train(batches(windows), 6, tmp_path / "w.npz", 3, lambda _, loss: losses.append(loss), precision="bfloat16")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert np.isfinite(BetaVae(WindowGrid(64, 64, 16), str(tmp_path / "w.npz")).encode(windows[:4])).all()


def test_windows_that_do_not_halve_are_refused(windows, tmp_path):
    with pytest.raises(EncoderError, match="multiple of 32"):
        train(iter([windows[:, :, :50]]), 1, tmp_path / "w.npz", 0, lambda step, loss: None)
