"""A corpus of an earlier version opens, gives the same hits, grows and is upgraded. Its source files are gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.integrity import verify
from pipeline.run import embed, index, ingest, upgrade
from pipeline.search import open_corpus
from pipeline.simulate import fine_header, scatter, simulate_file
from pipeline.store import CorpusStore
from tests.fixtures.old_corpus import ANSWERS, assert_answers_as_before, unpacked
from tests.run.small import contents

WIDTH = 4096
"""Fine channels of a coarse channel, as in the old files."""


def new_file(folder: Path) -> Path:
    """Write a file of two coarse channels with four signals."""
    header = fine_header(coarse_channels=2, coarse_width=WIDTH, source_name="NEW", second=50_000)
    placed = scatter(np.random.default_rng(99), header, count=4, snr=(20.0, 60.0), coarse_width=WIDTH)
    path = folder / "new.h5"
    simulate_file(path, header, placed, coarse_width=WIDTH, seed=99)
    return path


@pytest.mark.parametrize("name", ANSWERS)
def test_it_answers_as_it_did(tmp_path: Path, name: str) -> None:
    root = unpacked(tmp_path, name)
    assert not any(Path(entry.path).exists() for entry in CorpusStore.open(root).manifest().sources.values())
    assert_answers_as_before(root, name)


@pytest.mark.parametrize("name", ANSWERS)
def test_it_is_whole_and_holds_what_it_held(tmp_path: Path, name: str) -> None:
    root = unpacked(tmp_path, name)
    status = open_corpus(root).status().to_json()
    expected = ANSWERS[name]["status"]
    assert {key: status[key] for key in expected} == expected
    verified = verify(root)
    assert verified.damages == ()
    assert verified.objects == ANSWERS[name]["verify"]["objects"]
    removed = CorpusStore.open(root).manifest().removed
    assert {source_id: list(paths) for source_id, paths in removed.items()} == ANSWERS[name]["removed"]


@pytest.mark.parametrize("is_upgraded", [False, True], ids=["as it is", "upgraded"])
def test_it_takes_in_more(tmp_path: Path, is_upgraded: bool) -> None:
    root = unpacked(tmp_path, "plain")
    if is_upgraded:
        upgrade(root)
    before = open_corpus(root).status()
    (done,) = ingest([new_file(tmp_path)], root, serial=True).reports
    assert (done.status, done.message) == ("done", "")
    embed(root, encoder="power-spectrum", serial=True)
    after = open_corpus(root).status()
    kept = after.windows_kept - before.windows_kept
    assert kept > 0
    assert after.vectors == {key: count + kept for key, count in before.vectors.items()}

    assert index(root)
    assert open_corpus(root).status().index["spectral-v1-ef3fe2e6"].vectors_unindexed == 0
    assert verify(root).damages == ()
    source_id = done.source_id
    new = CorpusStore.open(root).manifest().sources[source_id]
    old_window = ANSWERS["plain"]["searches"][0]["window"]
    hits = open_corpus(root).search(window=old_window, k=100, exact=True)
    assert {hit.source_id for hit in hits} >= {source_id, old_window.split("/")[0]}
    assert new.vectors.keys() == set(before.vectors)


@pytest.mark.parametrize("name", ANSWERS)
def test_it_is_upgraded(tmp_path: Path, name: str) -> None:
    root = unpacked(tmp_path, name)
    held = contents(root)
    done = upgrade(root)
    assert done.changes
    assert (done.files_to_read, done.bytes_to_read) == (0, 0)
    assert upgrade(root).changes == ()
    assert verify(root).damages == ()
    after = contents(root)
    assert after.keys() == held.keys()
    np.testing.assert_equal(after, held)
    assert_answers_as_before(root, name)


def test_it_goes_on_with_its_encoder_until_embed_makes_the_next(tmp_path: Path) -> None:
    root = unpacked(tmp_path, "plain")
    assert_answers_as_before(root, "plain")
    first = "spectral-v1-ef3fe2e6"
    path = new_file(tmp_path)
    assert ingest([path], root, serial=True).encoder == first
    second = embed(root, serial=True).encoder
    assert second.startswith("spectral-v4-")
    corpus = open_corpus(root)
    vectors = corpus.status().vectors
    assert vectors[second] == vectors[first] == corpus.status().windows_kept
    power = np.random.default_rng(1).gamma(102, 1 / 102, (16, 256)).astype(np.float32)
    power[:, 100] *= 4
    one = next(hit.window for hit in corpus.search(power=power, k=100).hits if hit.file == str(path))
    for chosen in (first, second):
        for found in (corpus.search(power=power, encoder=chosen, k=3),
                      corpus.search(file=path, f_start_mhz=one.f_start_mhz, f_stop_mhz=one.f_stop_mhz,
                                    encoder=chosen, k=3)):
            assert (found.encoder, len(found.hits)) == (chosen, 3)
    assert {corpus.search(power=power, encoder=name, k=3).encoder for name in (None, "spectral")} == {second}
