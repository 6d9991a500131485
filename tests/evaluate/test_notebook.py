"""The notebook, step by step."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from skimage.transform import resize

from pipeline.encoders import load_encoder
from pipeline.errors import EncoderError
from pipeline.evaluate.metrics import rank, rank_order, scores
from pipeline.evaluate.notebook import (
    INTERVAL_MHZ,
    NotebookSet,
    evaluate_notebook,
    grab,
    notebook_features,
    notebook_set,
    order_by_distance,
    picture,
)
from pipeline.evaluate.sets import SetSpec
from pipeline.filterbank import read_waterfall
from pipeline.simulate import NOISE
from pipeline.simulate.signals import FINE

SPEC = SetSpec("notebook", signals=16, noise=16, kinds=4, snr=(20.0, 60.0))


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> NotebookSet:
    return notebook_set(tmp_path_factory.mktemp("notebook"), SPEC)


def test_the_picture_has_lost_its_time_axis() -> None:
    data = np.random.default_rng(0).gamma(102, 1e7, (16, 256)).astype(np.float32)
    drawn = picture(data)
    assert drawn.shape == (1, 224, 224, 3)
    assert (drawn == drawn[:, :, :1, :1]).all()  # the picture varies along one axis only
    log = np.log(resize(data, (1, 224, 224, 3)))
    np.testing.assert_array_equal(drawn, (log - log.min()) / log.max())
    assert drawn.max() < 0.1  # divided by the logarithm of the power, not by its range


def test_windows_begin_at_rounded_megahertz_and_vary_in_width(band: NotebookSet) -> None:
    waterfall = read_waterfall(band.path)
    channels = []
    for i in range(len(band.labels)):
        f_mhz = 1530.001 + i * INTERVAL_MHZ
        spectra, width = grab(waterfall, f_mhz).shape
        assert spectra == 16
        assert abs(width - (f_mhz + 256 * 2.79e-6 - round(f_mhz, 3)) * 1e6 / FINE.channel_width_hz) < 2.5
        channels.append(width)
    assert max(channels) - min(channels) > 200


def test_windows_hold_what_their_labels_say(band: NotebookSet) -> None:
    assert len(band.labels) == len(band.cutouts) == 32
    assert (band.labels == NOISE).sum() == 16
    noise = band.cutouts[band.labels == NOISE]
    signals = band.cutouts[band.labels != NOISE]
    assert signals.max(axis=(1, 2)).min() > noise.max()
    found = scores(rank(load_encoder("power-spectrum").encode(band.cutouts), band.labels))
    assert found.mean_average_precision > 0.9


def test_features_are_flattened_unit_vectors_in_order(band: NotebookSet) -> None:
    seen = []

    def predict(pictures: np.ndarray) -> np.ndarray:
        assert pictures.dtype == np.float32
        seen.append(len(pictures))
        return pictures[:, ::28, :2, :]

    features = notebook_features(band.path, len(band.labels), predict)
    assert features.shape == (32, 8 * 2 * 3)
    assert seen == [16, 16]
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    drawn = picture(grab(read_waterfall(band.path), 1530.001 + 20 * INTERVAL_MHZ)).astype(np.float32)
    flat = drawn[:, ::28, :2, :].ravel()
    np.testing.assert_allclose(features[20], flat / np.linalg.norm(flat), rtol=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_are_brute_force(metric: str) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 8)).astype(np.float32)
    order = order_by_distance(features, metric)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T if metric == "cosine" else np.linalg.norm(features[:, None] - features, axis=2)
    assert np.array_equal(order, np.argsort(distance, axis=1))
    labels = np.array(["a", "b", NOISE] * 10)
    if metric == "cosine":
        assert scores(rank_order(order, labels)) == scores(rank(unit, labels))


class Keras:
    """A fake Keras whose network returns a few pixels, or fails to load."""

    def __init__(self, error: Exception | None = None) -> None:
        self.applications = self
        self.asked: dict[str, Any] = {}
        self.error = error

    def ResNet50(self, **how: Any) -> Keras:
        sys.stdout.write("Downloading")  # as Keras does
        self.asked = how
        if self.error:
            raise self.error
        return self

    def predict_on_batch(self, pictures: np.ndarray) -> np.ndarray:
        return pictures[:, ::8]


def test_both_metrics_rank_what_the_network_makes(
    band: NotebookSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keras = Keras()
    monkeypatch.setattr("pipeline.evaluate.notebook.keras", lambda: keras)
    found = evaluate_notebook(band)
    assert keras.asked == {"weights": "imagenet", "include_top": False, "input_shape": (224, 224, 3)}
    assert set(found) == {"cosine", "euclidean"}
    assert found["cosine"].queries == 16
    assert found["cosine"].mean_average_precision == pytest.approx(found["euclidean"].mean_average_precision, abs=0.02)
    assert capsys.readouterr().out == ""


def test_weights_that_cannot_be_had_are_an_error(band: NotebookSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.evaluate.notebook.keras", lambda: Keras(ValueError("no such file\nand more")))
    with pytest.raises(EncoderError, match=r"w\.h5: cannot be loaded.*\(no such file\); name a weights file"):
        evaluate_notebook(band, "w.h5")
