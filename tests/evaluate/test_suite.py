"""Parts and encoders that are measured by default and on request, and what the report says about the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.encoders import ENCODERS, fit_projection
from pipeline.errors import ConfigError, EncoderError
from pipeline.evaluate import PARTS, depth, evaluate, published, steps, suite
from pipeline.evaluate.report import RANDOM
from pipeline.evaluate.sets import SetSpec, labelled_set, simulate_set
from pipeline.evaluate.skies import LEVEL_BAND
from pipeline.evaluate.speed import Speed
from pipeline.evaluate.tables import format_report
from pipeline.model import EncoderSpec

TINY = SetSpec("tiny", signals=18, noise=18, kinds=6)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every set small."""
    sets = [labelled_set(TINY), labelled_set(replace(TINY, name="also tiny", families="unseen"))]
    monkeypatch.setattr(suite, "labelled_sets", lambda *_, **__: sets)
    monkeypatch.setattr(suite, "SPEED_SET", TINY)
    monkeypatch.setattr("pipeline.evaluate.speed.MIN_DURATION_S", 0.01)
    rng = np.random.default_rng(0)
    clean, busy = (published.class_injections(rng, 3, busy=is_busy, classes=5) for is_busy in (False, True))
    injected = published.PublishedSets(clean, busy, published.property_injections(rng, 20))
    monkeypatch.setattr(published, "published_sets", lambda size, seed: injected)
    monkeypatch.setattr(depth, "depth_set", lambda seed: simulate_set(TINY, seed))
    monkeypatch.setattr(steps, "labelled_set", lambda spec, seed: labelled_set(TINY, seed))
    monkeypatch.setattr(suite, "STEP_SIGNALS", 12)
    monkeypatch.setattr(suite, "PRODUCTS", [replace(suite.PRODUCTS[0], channels=2**16, coarse_width=None, apart=700,
                                                    instrument=LEVEL_BAND, sizes=suite.PRODUCTS[0].sizes[:1])])
    monkeypatch.setattr(suite, "SCALE_MEMBERS", 2)


def test_parts_that_are_named_are_measured_alone(tiny: None) -> None:
    told: list[str] = []
    report = evaluate(["power-spectrum"], parts=("retrieval", "rerank", "published", "step", "depth", "scales"),
                      tell=told.append)
    assert report.encoders == {"power-spectrum": "power-spectrum-v1"}
    assert [one.spec.name for one in report.retrieval["power-spectrum"]] == ["tiny", "also tiny"]
    assert [one.spec.name for one in report.rerank["power-spectrum"]] == ["tiny", "also tiny"]
    assert list(report.published) == ["power-spectrum", RANDOM]
    assert report.step["power-spectrum"].signals == 12
    assert len(report.depth["power-spectrum"]) >= 4
    assert {one.patterns for one in report.scales["power-spectrum"]} == {2}
    assert (report.gate, report.speed, report.notebook, report.real, report.not_measured) == (None, {}, {}, {}, {})
    assert "retrieval: power-spectrum" in told
    assert report.elapsed_s > 0


def test_by_default_all_that_can_be_measured_is_and_the_rest_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def measure(part: str) -> object:
        def one(run: suite._Run) -> None:
            if part == "published":
                raise ConfigError("needs setigen")
            measured.append((part, list(run.encoders)))
        return one

    def load(name: str, *_: object) -> object:
        if name != "power-spectrum":
            raise EncoderError(f"no weights of {name}")
        return ENCODERS[name](suite.WindowGrid(), "")

    monkeypatch.setattr(suite, "_MEASURE", {part: measure(part) for part in PARTS})
    monkeypatch.setattr(suite, "_load_encoder", load)
    report = evaluate()
    others = [name for name in ENCODERS if name != "power-spectrum"]
    assert measured == [(part, ["power-spectrum"]) for part in PARTS if part != "published"]
    assert report.not_measured == {**{name: f"no weights of {name}" for name in others}, "published": "needs setigen"}
    with pytest.raises(ConfigError, match="needs setigen"):
        evaluate(parts=["published"])
    with pytest.raises(EncoderError, match="no weights of resnet50"):
        evaluate(["power-spectrum", "resnet50"])


def test_real_data_must_be_named() -> None:
    with pytest.raises(ConfigError, match="--real DIR"):
        evaluate(["power-spectrum"], parts=["real"])


def test_an_encoder_is_measured_with_several_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(name: str, weights: str, *_: Any) -> Any:
        loaded.append((name, weights))
        return ENCODERS["power-spectrum"](suite.WindowGrid(), "")

    monkeypatch.setattr(suite, "_load_encoder", load)
    monkeypatch.setattr(suite, "_MEASURE", {"speed": lambda run: None})
    report = evaluate(["spectral", "spectral=old/a.npz"], weights={"spectral": "b.npz"}, parts=["speed"])
    assert loaded == [("spectral", "b.npz"), ("spectral", "old/a.npz")]
    assert list(report.encoders) == ["spectral", "spectral=a.npz"]


def test_weights_of_no_encoder_are_refused() -> None:
    with pytest.raises(ConfigError, match="weights for nothing, but the encoders are"):
        evaluate(["power-spectrum"], weights={"nothing": "file"})


def test_an_encoder_that_needs_a_projection_has_the_corpus_or_one_fitted_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded = []
    features = np.random.default_rng(0).standard_normal((200, 12)).astype(np.float32)
    monkeypatch.setattr(suite, "load_encoder", lambda name, **how: loaded.append((name, how)))
    monkeypatch.setattr(suite, "fit", lambda name, cutouts, *, weights: fit_projection(features, 4))
    monkeypatch.setattr(suite, "_SAMPLE", TINY)
    suite._load_encoder("power-spectrum", "", None, 0, lambda _: None)
    suite._load_encoder("resnet50", "w.h5", None, 0, lambda _: None)
    assert loaded[0] == ("power-spectrum", {"weights": ""})
    assert loaded[1][1]["weights"] == "w.h5"
    assert Path(loaded[1][1]["projection"]).name == "projection.npz"
    monkeypatch.setattr(suite, "is_fitted", lambda root, name: root == tmp_path)
    monkeypatch.setattr(suite, "corpus_encoder", lambda root, config, grid: (root, config.name, config.weights))
    assert suite._load_encoder("resnet50", "w.h5", tmp_path, 0, lambda _: None) == (tmp_path, "resnet50", "w.h5")


@pytest.mark.parametrize("names", [["power-spectrum"], []])
def test_speed_is_that_of_encoders_with_weights_of_their_own(
    monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    class Fake:
        spec = EncoderSpec("power-spectrum", 1, 256, "none")

        def encode(self, cutouts: np.ndarray) -> np.ndarray:
            return np.ones((len(cutouts), 1), np.float32)

    def encoder(name: str, *_: Any) -> Any:
        if name != "power-spectrum":
            raise EncoderError(f"{name}: no weights")
        return Fake()

    monkeypatch.setattr(suite, "_load_encoder", encoder)
    monkeypatch.setattr(suite, "SPEED_SET", TINY)
    monkeypatch.setattr(suite, "measure_speed", lambda encode, cutouts: 7.0)
    report = suite.evaluate(names, parts=["speed"])
    assert report.speed == {"power-spectrum": Speed(7.0)}
    assert report.not_measured.get("resnet50") == (None if names else "resnet50: no weights")
    said = "\n".join(format_report(report))
    assert ("resnet50" in said) == (not names)
    with pytest.raises(EncoderError, match="resnet50: no weights"):
        suite.evaluate(["resnet50"], parts=["speed"])
