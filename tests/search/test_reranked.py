"""Figures of re-ranked hits, and the unrelated signals that are made when they are first needed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.encoders import load_encoder
from pipeline.search import open_corpus
from pipeline.search import unrelated as unrelated_module
from pipeline.search.correlate import DRIFTS, WEIGHT, correlate
from pipeline.search.reranked import reranked_scores
from pipeline.significance import Tail
from pipeline.simulate import cutouts_of_unrelated
from tests.search.archive import Archive
from tests.search.conftest import SPEC, Made, unit

A = "GBT_59000_0_A"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> np.ndarray:
    """Only 200 unrelated signals, and an empty cache."""
    cutouts = cutouts_of_unrelated(0, batches=2)
    monkeypatch.setattr("pipeline.simulate.every_unrelated_cutout", lambda: cutouts)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    unrelated_module.unrelated_cutouts.cache_clear()
    unrelated_module.take_news()
    yield cutouts
    unrelated_module.unrelated_cutouts.cache_clear()


@pytest.mark.parametrize("more", [{}, {"drift": True, "mirror": True}])
def test_unrelated_signals_are_reranked_as_hits_are(more: dict[str, bool]) -> None:
    rng = np.random.default_rng(1)
    cutouts = cutouts_of_unrelated(0, batches=1)[:40]
    queries, cosines = cutouts[:2], rng.uniform(-0.2, 0.9, (40, 2)).astype(np.float32)
    found = reranked_scores(queries, cosines, cutouts, **more, compared=30)
    order = np.argsort(-cosines.max(axis=1))
    for place, i in enumerate(order.tolist()):
        best = int(cosines[i].argmax())
        match = correlate(queries[best], cutouts[i : i + 1], drifts=DRIFTS if more else (0.0,), mirror=bool(more))
        correlation = float(match.correlation[0]) if place < 30 else 0.0
        assert found[i] == pytest.approx((1 - WEIGHT) * cosines[i, best] + WEIGHT * correlation, abs=1e-6)


def test_expected_numbers_are_those_of_the_reranked_score(
    fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(9)
    vectors = unit(rng.standard_normal((3000, SPEC.dimension)))
    cutouts = rng.integers(1, 256, (3000, 4, 16), dtype=np.uint8)
    monkeypatch.setattr(unrelated_module, "unrelated_vectors", lambda key: vectors)
    monkeypatch.setattr("pipeline.search.reranked.unrelated_cutouts", lambda: cutouts)
    made = fill()
    result = made.open().search(window=f"{A}/{int(made.numbers[A][0])}", k=30, rerank=True)
    row = made.open()._corpus.cutouts(A, np.array([0]))
    query = unit(made.vectors[A][:1].astype(np.float32))
    scores = reranked_scores(row, vectors @ query.T, cutouts)
    tail, excess = Tail.of(scores), result.background.nulls[0].excess
    for hit in result:
        assert hit.reranked == pytest.approx((1 - WEIGHT) * hit.score + WEIGHT * hit.match.correlation)
        assert hit.expected == pytest.approx(120 * min(1, excess * tail.share(hit.reranked)[0]), rel=1e-3)
    assert [hit.reranked for hit in result] == sorted((hit.reranked for hit in result), reverse=True)
    assert [hit.expected for hit in result] == sorted(hit.expected for hit in result)
    assert result.background.to_json()["expected_of"] == "reranked"
    assert "expected numbers" not in result.description.note


@pytest.mark.parametrize(("asked", "words"), [
    ({"rerank": True}, "expected numbers are those of the score before re-ranking"),
    ({"expand": True}, "expected numbers are those of the score, not of expanded"),
    ({"near_frequency": 1.0}, "expected numbers are those of the score, without nearness in frequency"),
])
def test_figures_of_another_score_are_said_to_be(
    fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, asked: dict, words: str, few: np.ndarray
) -> None:
    """The windows of this corpus have another shape than the unrelated signals, so these cannot be re-ranked."""
    vectors = unit(np.random.default_rng(9).standard_normal((200, SPEC.dimension)))
    monkeypatch.setattr(unrelated_module, "unrelated_vectors", lambda key: vectors)
    made = fill()
    result = made.open().search(window=f"{A}/{int(made.numbers[A][0])}", **asked)
    assert words in result.description.note
    assert result.background.to_json()["expected_of"] == "score"


def test_another_encoder_gets_its_unrelated_signals_when_they_are_needed(archive: Archive, few: np.ndarray,
                                                                         tmp_path: Path) -> None:
    def search() -> tuple[str, list[float | None]]:
        corpus = archive.open()
        source_id = min(corpus._corpus.manifest.sources)
        result = corpus.search(window=f"{source_id}/{int(corpus._corpus.numbers(source_id)[0])}", k=5)
        assert result.background.unrelated == 200
        return result.description.note, [hit.expected for hit in result]

    spec = load_encoder("power-spectrum").spec
    assert set(archive.open()._corpus.manifest.encoders) == {spec.key}
    note, expected = search()
    assert "200 unrelated signals were simulated in " in note
    assert f"200 unrelated signals were encoded by {spec.key} in " in note
    assert None not in expected
    files = sorted((tmp_path / "cache" / "lookalike" / "unrelated").iterdir())
    assert [path.name.rpartition("-")[0] for path in files] == ["cutouts", spec.key]
    assert {path.stat().st_mode & 0o77 for path in (files[0].parent,)} == {0}

    again, same = search()
    assert "unrelated" not in again
    assert same == expected
    files[1].write_bytes(files[1].read_bytes()[:-1] + b"x")  # damaged: encoded again
    assert "encoded by" in search()[0]
    for wrong in (np.zeros((200, 3), np.float16), np.zeros((200, spec.dimension)), np.zeros(200, np.float16)):
        content = io.BytesIO()
        np.save(content, wrong)
        files[1].write_bytes(hashlib.sha256(content.getvalue()).digest() + content.getvalue())
        assert "encoded by" in search()[0], f"an array {wrong.shape} of {wrong.dtype} is encoded again"
    files[0].parent.chmod(0o755)
    unkept, still = search()
    assert "and are not kept: " in unkept
    assert "others can read it (mode 755); run: chmod 700 " in unkept
    assert still == pytest.approx(expected, rel=1e-2)


def test_an_encoder_that_cannot_be_loaded_has_no_figures(fill: Callable[..., Made]) -> None:
    made = fill()
    result = open_corpus(made.root).search(window=f"{A}/{int(made.numbers[A][0])}")
    assert result.background.reason == ("there are no simulated signals to compare with for the encoder random-v1: no "
                                        "encoder 'random'; there are spectral, power-spectrum, resnet50, beta-vae")
