"""Labels of a corpus: on hits, for windows of another grid, and beside runs that change the corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import QueryError
from pipeline.run import embed, remove, upgrade
from pipeline.search import open_corpus
from tests.search.archive import Archive
from tests.search.conftest import CONFIG, Made

SOURCE = "GBT_59000_0_A"


def test_hits_carry_the_labels_of_their_windows(fill: Callable[..., Made]) -> None:
    corpus = fill().open()
    first = corpus.search(window=f"{SOURCE}/{int(corpus._corpus.numbers(SOURCE)[0])}", k=20)
    assert {hit.labels for hit in first} == {()}

    corpus.labels.add([first[2], first[5].window], "comb", "ann")
    corpus.labels.add([f"{first[2].source_id}/{first[2].window.number}"], "line")

    again = corpus.search(window=f"{SOURCE}/{int(corpus._corpus.numbers(SOURCE)[0])}", k=20)
    assert [hit.labels for hit in again] == [
        ("comb", "line") if i == 2 else ("comb",) if i == 5 else () for i in range(20)]
    assert again.to_json()["hits"][2]["labels"] == ["comb", "line"]
    assert again.rows()[2]["labels"] == "comb | line"
    assert [label.text for label in corpus.labels.of(again[2])] == ["comb", "line"]
    corpus.labels.undo()
    assert [label.text for label in corpus.labels.of(again[2])] == ["comb"]


def test_a_window_that_is_not_there_is_not_labelled(fill: Callable[..., Made]) -> None:
    corpus = fill().open()
    with pytest.raises(QueryError, match=r"has .* windows, numbered from 0"):
        corpus.labels.add([f"{SOURCE}/0", f"{SOURCE}/99999"], "comb")
    assert not corpus.labels.folder.exists()


def test_another_grid_keeps_the_labels(make: Callable[..., Made], fill: Callable[..., Made], tmp_path: Path) -> None:
    """Windows of half the width: both halves of a labelled window have its label."""
    corpus = fill().open()
    number = int(corpus._corpus.numbers(SOURCE)[0])
    [label] = corpus.labels.add([f"{SOURCE}/{number}"], "comb")
    narrow = make("narrow", CONFIG.override({"scan": {"window": 8, "step": 8}}))
    narrow.add(SOURCE, [0, 1], fill("another").vectors[SOURCE][:2])
    corpus.labels.folder.rename(tmp_path / "narrow-labels")

    there = narrow.open()
    tiling = there._corpus.tiling(SOURCE)
    has = [window for window in (tiling.window(SOURCE, i) for i in range(tiling.n_windows)) if there.labels.of(window)]
    assert [(one.channel_start, one.spectrum_start) for one in has] == [
        (label.place.channel_start, label.place.spectrum_start),
        (label.place.channel_start + 8, label.place.spectrum_start)]


def test_labels_that_cannot_be_read_do_not_stop_a_search(fill: Callable[..., Made]) -> None:
    corpus = fill().open()
    corpus.labels.folder.mkdir()
    (corpus.labels.folder / "labels.jsonl").write_text("mine\n")
    result = corpus.search(window=f"{SOURCE}/{int(corpus._corpus.numbers(SOURCE)[0])}")
    assert len(result) == 10
    assert "hits are shown without labels: " in result.description.note
    assert "its first line is not that of a file of labels; move it away" in result.description.note


def test_runs_leave_labels_alone_and_a_removed_source_keeps_its_own(archive: Archive, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "corpus"
    shutil.copytree(archive.root / "corpus", root)
    corpus = open_corpus(root)
    source_id = min(corpus._corpus.manifest.sources)
    corpus.labels.add([f"{source_id}/{int(corpus._corpus.numbers(source_id)[0])}"], "comb")
    before = (corpus.labels.folder / "labels.jsonl").read_bytes()

    upgrade(root)
    embed(root, "spectral", serial=True)
    remove([source_id], root)
    gone = open_corpus(root)
    assert [(label.text, gone.labels.is_held(label)) for label in gone.labels.every()] == [("comb", False)]
    remove([source_id], root, undo=True)
    back = open_corpus(root)
    assert [(label.text, back.labels.is_held(label)) for label in back.labels.every()] == [("comb", True)]
    assert (corpus.labels.folder / "labels.jsonl").read_bytes() == before


def test_labels_can_be_given_while_a_run_holds_the_corpus(fill: Callable[..., Made]) -> None:
    made = fill()
    with made.store.lock():
        assert made.open().labels.add([f"{SOURCE}/0"], "comb")


def test_labels_are_imported_once(fill: Callable[..., Made], tmp_path: Path) -> None:
    from pipeline.labels import LABEL_COLUMNS
    from pipeline.support.text import csv_text

    labels = fill().open().labels
    labels.add([f"{SOURCE}/0", f"{SOURCE}/1"], "comb")
    (tmp_path / "labels.csv").write_text(csv_text(LABEL_COLUMNS, (one.to_json() for one in labels.every())))
    assert labels.import_csv(tmp_path / "labels.csv") == ()
    labels.undo()
    assert [one.text for one in labels.import_csv(tmp_path / "labels.csv")] == ["comb", "comb"]
    assert len({replace(one, id="").place for one in labels.every()}) == 2
