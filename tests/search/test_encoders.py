"""Vectors of several encoders in one corpus, and which of them a search compares."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest

from pipeline.cli import lookalike
from pipeline.config import EncoderConfig
from pipeline.encoders import load_encoder
from pipeline.errors import EncoderError, QueryError
from pipeline.model import EncoderSpec
from pipeline.search import open_corpus
from pipeline.store import VectorGroup
from tests.search.conftest import CONFIG, SPEC, Made, unit

A, B, C = "GBT_59000_0_A", "GBT_59000_1_B", "GBT_59000_2_C"
OTHER = EncoderSpec("other", 3, 20, "none", weights_sha256="ab" * 32)


@pytest.fixture
def made(fill: Callable[..., Made]) -> Made:
    """Corpus with vectors of two encoders. The second encoder has no vectors of source C yet."""
    made = fill()
    for i, source_id in enumerate((A, B)):
        rng = np.random.default_rng(100 + i)
        made.add_vectors(source_id, unit(1 + rng.normal(size=(len(made.numbers[source_id]), OTHER.dimension))), OTHER)
    return made


def brute_force(made: Made, spec: EncoderSpec, source_ids: tuple[str, ...], query: tuple[str, int]) -> np.ndarray:
    """Return the scores of all windows except for the query, best first, in float64."""
    rows = {source_id: VectorGroup.open(made.root, spec.key, source_id).vectors().astype(np.float64)
            for source_id in source_ids}
    wanted = rows[query[0]][made.numbers[query[0]].tolist().index(query[1])]
    scores = [vectors @ wanted / np.linalg.norm(vectors, axis=1) / np.linalg.norm(wanted) for vectors in rows.values()]
    here = [made.numbers[source_id] for source_id in source_ids]
    others = np.concatenate([(numbers != query[1]) | (source_id != query[0])
                             for source_id, numbers in zip(source_ids, here, strict=True)])
    return np.sort(np.concatenate(scores)[others])[::-1]


@pytest.mark.parametrize(("spec", "sources"), [(SPEC, (A, B, C)), (OTHER, (A, B))])
@pytest.mark.parametrize("indexed", [False, True])
def test_each_encoder_answers_as_brute_force_does(
    made: Made, spec: EncoderSpec, sources: tuple[str, ...], indexed: bool
) -> None:
    if indexed:
        made.index(A, B)  # a segment of the own encoder, which the other must not use
    query = (A, int(made.numbers[A][3]))
    asked = {"window": f"{A}/{query[1]}", "k": 100}
    expected = brute_force(made, spec, sources, query)
    answers = [made.open().search(**asked, encoder=spec.name), made.open().search(**asked, encoder=spec.key),
               open_corpus(made.root, encoder=spec.name).search(**asked)]
    if spec is SPEC:
        answers.append(made.open().search(**asked))
    for answer in answers:
        assert answer.query["encoder"] == spec.key
        assert {hit.source_id for hit in answer} <= set(sources)
        assert answer.corpus["vectors"] == 40 * len(sources)
        merged = sum(len(hit.merged) for hit in answer)
        assert len(answer) + merged <= len(expected)
        assert answer[0].score == pytest.approx(expected[0], abs=1e-6)
        best = {hit.window.number: hit.score for hit in answer if hit.source_id == B}
        vectors = VectorGroup.open(made.root, spec.key, B).vectors().astype(np.float64)
        wanted = VectorGroup.open(made.root, spec.key, A).vectors().astype(np.float64)[3]
        for number, score in best.items():
            row = vectors[made.numbers[B].tolist().index(number)]
            assert score == pytest.approx(row @ wanted / np.linalg.norm(row) / np.linalg.norm(wanted), abs=1e-6)


def test_what_a_corpus_is_opened_with_is_what_searches_compare_unless_they_say(made: Made) -> None:
    corpus = open_corpus(made.root, encoder="other")
    window = f"{A}/{made.numbers[A][0]}"
    assert corpus.search(window=window).query["encoder"] == OTHER.key
    assert corpus.search(window=window, encoder="random").query["encoder"] == SPEC.key


def test_an_encoder_without_vectors_is_refused_with_those_that_have_some(made: Made) -> None:
    message = rf"no vectors of encoder spectral, but of {OTHER.key}, random-v1; .* embed --encoder spectral --corpus"
    with pytest.raises(QueryError, match=message):
        made.open().search(window=f"{A}/0", encoder="spectral")
    with pytest.raises(QueryError, match=message):
        open_corpus(made.root, encoder="spectral")
    made.store.publish(lambda m: m.with_encoder(EncoderSpec("spectral", 1, 4, "none"), ""))  # a run that just began
    with pytest.raises(QueryError, match=message):
        open_corpus(made.root, encoder="spectral")


def test_the_advice_to_make_vectors_can_be_followed(made: Made) -> None:
    with pytest.raises(EncoderError, match="comes without weights"):
        load_encoder("beta-vae")
    with pytest.raises(QueryError) as caught:
        made.open().search(window=f"{A}/0", encoder="beta-vae")
    train, _, embed = str(caught.value).partition("make some with: ")[2].partition(", and then ")
    assert train == "lookalike train beta-vae --out beta-vae.npz"
    assert embed == f"lookalike embed --encoder beta-vae --weights beta-vae.npz --corpus {made.root}"
    for command in (train, embed):
        _, name, *arguments = shlex.split(command)
        found = lookalike.get_command(click.Context(lookalike), name)
        assert found is not None
        found.make_context(name, arguments)  # raises an error for a flag that the command lacks


def test_weights_that_the_corpus_names_are_named_in_the_advice(make: Callable[..., Made]) -> None:
    weights = EncoderConfig("beta-vae", "/my weights.npz")
    made = make(config=replace(CONFIG, encoder=weights))
    made.add(A, [0, 1], unit(np.ones((2, SPEC.dimension))))
    with pytest.raises(QueryError, match=r"--encoder beta-vae --weights '/my weights\.npz' --corpus"):
        made.open().search(window=f"{A}/0")


def test_of_several_versions_the_one_with_most_vectors_is_used(made: Made) -> None:
    newer = replace(SPEC, version=2)
    made.add_vectors(B, unit(np.ones((40, SPEC.dimension))), newer)
    window = f"{B}/{made.numbers[B][0]}"
    assert made.open().search(window=window, encoder="random").query["encoder"] == "random-v1"
    assert {hit.source_id for hit in made.open().search(window=window, encoder="random-v2")} == {B}
    assert made.open().search(window=window).query["encoder"] == "random-v1", "the newer is not complete yet"
    for source_id in (A, C):
        made.add_vectors(source_id, unit(np.ones((40, SPEC.dimension))), newer)
    assert made.open().search(window=window).query["encoder"] == "random-v2"


def test_a_stored_window_without_a_vector_is_embedded_from_its_cutout(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, encoder=EncoderConfig("power-spectrum"))
    made = make(config=config)
    encoder = load_encoder("power-spectrum", grid=config.scan.grid)
    rng = np.random.default_rng(1)
    for source_id in (A, B):
        made.add(source_id, range(30), unit(rng.normal(size=(30, 12))))
    cutouts = made.open()._corpus.windows(A).cutouts()
    made.add_vectors(A, encoder.encode(cutouts), encoder.spec)
    found = made.open().search(window=f"{B}/7", k=99)  # its file is gone, too
    query = encoder.encode(made.open()._corpus.windows(B).cutouts([7])).astype(np.float64)[0]
    stored = VectorGroup.open(made.root, encoder.spec.key, A).vectors().astype(np.float64)
    scores = stored @ query / np.linalg.norm(stored, axis=1)
    assert found[0].window.number == scores.argmax()
    assert found[0].score == pytest.approx(scores.max(), abs=1e-5)
    assert {hit.source_id for hit in found} == {A}


def test_weights_are_looked_for_where_they_were_when_the_vectors_were_made(made: Made, tmp_path: Path) -> None:
    lost = EncoderSpec("resnet50", 2, 12, "none", weights_sha256="cd" * 32)
    made.add_vectors(A, unit(np.ones((40, 12))), lost)
    made.store.publish(lambda m: m.with_encoder(lost, str(tmp_path / "lost.h5")))
    with pytest.raises(EncoderError, match=r"lost\.h5"):
        made.open().search(power=np.ones((4, 16)) + np.eye(4, 16), encoder="resnet50")


def test_vectors_of_weights_on_trial_never_answer_unasked(made: Made) -> None:
    trial = replace(SPEC, version=2)
    for source_id, numbers in made.numbers.items():
        made.add_vectors(source_id, unit(np.ones((len(numbers), SPEC.dimension))), trial)
    made.store.publish(lambda manifest: manifest.with_encoder(trial, "/somewhere/trial.npz"))
    window = f"{B}/{made.numbers[B][0]}"
    for asked in (None, SPEC.name, SPEC.key):
        assert made.open().search(window=window, encoder=asked).query["encoder"] == SPEC.key
    assert made.open().search(window=window, encoder=trial.key).query["encoder"] == trial.key
