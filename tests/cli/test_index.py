"""``lookalike index``. The segments here are too small for a graph, whose code takes long to compile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pipeline.run
from pipeline.config import Config, IndexConfig, RunConfig
from pipeline.store import CorpusStore
from tests.cli.conftest import Lookalike
from tests.conftest import UserSays


def test_few_vectors_become_a_segment_without_a_graph(lookalike: Lookalike, corpus: Path, tmp_path: Path) -> None:
    root = shutil.copytree(corpus, tmp_path / "corpus")
    ran = lookalike("index", "--corpus", root)
    (segment,) = CorpusStore.open(root).manifest().segments
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{segment.id}: {segment.count} vectors of 3 sources, without a graph\n"
    before = CorpusStore.open(root).manifest()
    again = lookalike("index", "--corpus", root)
    assert (again.code, again.err, again.out) == (0, "", "nothing to index: all vectors are in segments\n")
    assert lookalike("index", "--corpus", root, "--json").json == {"segments": []}
    assert CorpusStore.open(root).manifest() == before


def test_the_help_names_the_numbers_that_hold(lookalike: Lookalike) -> None:
    said = " ".join(lookalike("index", "--help").out.split())
    for most in (IndexConfig().exact_below, IndexConfig().routed_from):
        assert f"from {most:,} windows on" in said.lower()
        assert f"Default: {most:,}." in said


def test_a_segment_is_built_told_and_searched(lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path) -> None:
    root = shutil.copytree(corpus, tmp_path / "corpus")
    asked = ("search", "--corpus", root, "--window", kept, "--json")
    unindexed = lookalike(*asked).json["hits"]

    ran = lookalike("index", "--corpus", root, "--exact-below", "2")

    (segment,) = CorpusStore.open(root).manifest().segments
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{segment.id}: {segment.count} vectors of 3 sources\n"
    said = lookalike("status", "--corpus", root).out
    assert f"index     {segment.count} of power-spectrum-v1 in 1 segment, 0 compared" in said
    indexed = lookalike(*asked).json["hits"]
    assert [(one["source"], one["window"]) for one in indexed] == [(one["source"], one["window"]) for one in unindexed]
    assert lookalike("index", "--corpus", root, "--exact-below", "2").out.startswith("nothing to index: ")


def test_a_routed_segment_is_built_told_and_searched(
    lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path
) -> None:
    root = shutil.copytree(corpus, tmp_path / "corpus")
    asked = ("search", "--corpus", root, "--window", kept, "--json", "--careful")
    unindexed = lookalike(*asked).json
    ran = lookalike("index", "--corpus", root, "--routed-from", "2")
    (segment,) = CorpusStore.open(root).manifest().segments
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{segment.id}: {segment.count} vectors of 3 sources in 1 cell\n"
    said = lookalike("status", "--corpus", root).out
    assert f"{segment.count} of power-spectrum-v1 in 1 segment of 1 cell, 0 compared" in said
    assert lookalike(*asked).json["hits"] == unindexed["hits"]
    assert unindexed["query"]["careful"] is True


def test_json_lists_the_new_segments(lookalike: Lookalike, corpus: Path, tmp_path: Path) -> None:
    root = shutil.copytree(corpus, tmp_path / "corpus")
    ran = lookalike("index", "--corpus", root, "--exact-below", "2", "--json")
    (segment,) = ran.json["segments"]
    (entry,) = CorpusStore.open(root).manifest().segments
    assert (ran.err, segment["id"], segment["count"]) == ("", entry.id, entry.count)
    assert segment["source_ids"] == list(entry.source_ids)


def test_flags_beat_the_files_of_corpus_and_user(
    lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_says: UserSays
) -> None:
    (tmp_path / "corpus.toml").write_text("[index]\nexact_below = 7\n")
    user_says("scheduler = 'tcp://old:1'\n")
    calls: list[Config] = []

    def index(corpus: Path, *, config: Config, progress: object) -> tuple[()]:
        assert corpus == tmp_path
        assert progress
        calls.append(config)
        return ()

    monkeypatch.setattr(pipeline.run, "index", index)
    assert lookalike("index", "--corpus", tmp_path).code == 0
    lookalike("index", "--corpus", tmp_path, "--exact-below", "5", "--scheduler", "tcp://new:1",
              "--no-compact", "--routed-from", "900")
    assert [(call.index, call.run) for call in calls] == [
        (IndexConfig(exact_below=7), RunConfig(scheduler="tcp://old:1")),
        (IndexConfig(exact_below=5, compact=False, routed_from=900), RunConfig(scheduler="tcp://new:1")),
    ]
