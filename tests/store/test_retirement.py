"""Objects that are dropped from a corpus stay for those who opened it before. They are deleted two days later."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.catalogue import Manifest, SegmentEntry
from pipeline.model import EncoderSpec
from pipeline.store import (
    CorpusStore,
    SourceGroup,
    VectorGroup,
    commit_source_group,
    commit_vector_group,
    retirement,
    source_folder,
)
from pipeline.store.retirement import GRACE_S

DAY = 86_400


class Clock:
    """Replaces the store's clock. Only the test changes the time."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pipeline.support.clock.time", clock)
    return clock


@pytest.fixture
def filled(store: CorpusStore, stage: Callable[..., Any], spec: EncoderSpec) -> CorpusStore:
    """Store of three sources of three windows: a and b are in one segment, c in none."""
    for source_id in ("a", "b", "c"):
        staged = stage(3, source_id=source_id)
        commit_source_group(store.root, staged.staging, staged.source, 1, report=staged.report, fingerprint="f00d")
        commit_vector_group(store.root, staged.staging, source_id, 1, spec=spec)
        store.publish(
            lambda m, s=staged: m.with_sources([(s.source, s.report)]).with_vectors_of(spec, {s.source.id: 3}))
    (store.root / "index" / "ab").mkdir()
    (store.root / "index" / "ab" / "segment.json").write_text("{}")  # by which the store knows its own
    store.publish(lambda m: m.with_segment(SegmentEntry("ab", spec.key, "2.794Hz-18.25s", 6, ("a", "b"))))
    return store


def on_disk(store: CorpusStore) -> set[str]:
    found = [*store.root.glob("sources/*"), *store.root.glob("vectors/*/*"), *store.root.glob("index/*")]
    return {path.relative_to(store.root).as_posix() for path in found}


def test_what_is_removed_stays_for_a_day_and_then_goes_with_the_generations_that_name_it(
    filled: CorpusStore, spec: EncoderSpec, clock: Clock
):
    everything = on_disk(filled)
    of_a = {"sources/a", f"vectors/{spec.key}/a"}
    filled.publish(lambda m: m.with_removed(["a"]))
    assert filled.manifest().retired == dict.fromkeys(of_a, clock.now)
    clock.now += DAY - 1
    filled.publish(lambda m: m.with_removed(["b"]))  # nothing is left of the segment
    of_b = {"sources/b", f"vectors/{spec.key}/b", "index/ab"}
    filled.clean_retired()
    assert on_disk(filled) == everything
    clock.now += 1
    filled.clean_retired()  # the first day is over
    clock.now += DAY - 1
    filled.clean_retired()
    assert on_disk(filled) == everything
    clock.now += 1
    filled.clean_retired()
    assert on_disk(filled) == everything - of_a
    assert filled.manifest().retired == dict.fromkeys(of_b, clock.now - 1 - DAY)
    generations = sorted(int(path.stem) for path in (filled.root / "manifest").glob("*.json"))
    assert generations == [filled.manifest().generation - 1, filled.manifest().generation]
    clock.now += DAY
    filled.clean_retired()
    assert on_disk(filled) == everything - of_a - of_b
    assert filled.manifest().retired == {}
    before = filled.manifest()
    filled.clean_retired()
    assert filled.manifest() is before
    assert list((filled.root / "staging").glob(".*")) == []
    assert GRACE_S == DAY


def test_every_generation_on_disk_is_whole(filled: CorpusStore, clock: Clock):
    filled.publish(lambda m: m.with_removed(["a"]))
    clock.now += DAY
    filled.publish(lambda m: m.with_removed(["b"]))
    filled.clean_retired()
    clock.now += DAY
    filled.clean_retired()
    assert "sources/a" not in on_disk(filled)
    for path in (filled.root / "manifest").iterdir():
        manifest = Manifest.from_json(path.read_bytes())
        for source_id, entry in manifest.sources.items():
            assert SourceGroup.open(filled.root, source_id).n_windows == 3
            assert [VectorGroup.open(filled.root, key, source_id).count for key in entry.vectors] == [3]
        assert all((filled.root / "index" / segment.id).is_dir() for segment in manifest.segments)


def test_what_was_removed_is_not_adopted_until_it_is_taken_back(filled: CorpusStore, spec: EncoderSpec, clock: Clock):
    filled.publish(lambda m: m.with_removed(["a"]))
    assert filled.recover().sources == filled.recover().vectors == ()
    clock.now += DAY - 1
    filled.publish(lambda m: m.with_taken_back(["a"]))
    found = filled.recover()
    assert [group.source_id for group in found.sources] == [group.source_id for group in found.vectors] == ["a"]
    clock.now += 2
    filled.clean_retired()
    assert len(filled.recover().sources) == 1
    filled.publish(lambda m: m.with_sources([(found.sources[0].source, found.sources[0].report)]))
    assert filled.manifest().retired == {}


def test_what_is_named_again_is_no_longer_retired(filled: CorpusStore, spec: EncoderSpec, clock: Clock):
    entry = filled.manifest().sources["c"]
    filled.publish(lambda m: m.without_vectors({("c", spec.key)}))
    assert set(filled.manifest().retired) == {f"vectors/{spec.key}/c"}
    assert [group.source_id for group in filled.recover().vectors] == ["c"]
    filled.publish(lambda m: m.with_vectors_of(spec, {"c": 3}))
    assert filled.manifest().retired == {}
    filled.publish(lambda m: m.without_sources(["c"]))
    assert set(filled.manifest().retired) == {"sources/c", f"vectors/{spec.key}/c"}
    filled.publish(lambda m: replace(m, sources={**m.sources, "c": entry}))
    assert filled.manifest().retired == {}


def test_a_folder_that_vanished_by_hand_is_not_retired_and_what_belongs_to_it_is_not_adopted(
    filled: CorpusStore, spec: EncoderSpec, clock: Clock
):
    shutil.rmtree(source_folder(filled.root, "a"))
    assert filled.forget_missing() == ("a",)
    assert set(filled.manifest().retired) == {f"vectors/{spec.key}/a"}
    assert [segment.live_ids for segment in filled.manifest().segments] == [("b",)]
    assert filled.recover().vectors == ()
    assert filled.manifest().removed == {}, "it may be ingested anew"


def test_segments_of_killed_builds_go_at_once_and_retired_ones_stay(
    filled: CorpusStore, spec: EncoderSpec, clock: Clock
):
    (filled.root / "index" / "half.partial").mkdir()
    (filled.root / "index" / "planned").mkdir()
    filled.publish(lambda m: m.without_segments(["ab"]))
    filled.clean_segments(["planned"])
    assert {path.name for path in (filled.root / "index").iterdir()} == {"ab", "planned"}


@pytest.mark.parametrize("step", range(1, 12))
def test_cleaning_that_is_cut_short_anywhere_leaves_a_whole_corpus_and_is_completed(
    filled: CorpusStore, spec: EncoderSpec, clock: Clock, monkeypatch: pytest.MonkeyPatch, step: int
):
    filled.publish(lambda m: m.with_removed(["a", "b"]))
    clock.now += DAY
    filled.clean_retired()
    clock.now += DAY
    steps = Steps(step)
    with monkeypatch.context() as patch:
        for module, name in ((os, "rename"), (os, "replace"), (os, "unlink"), (os, "rmdir")):
            patch.setattr(module, name, steps.counted(getattr(module, name)))
        if step < 11:  # three folders are moved away and emptied, the generations' files go, the last is published
            with pytest.raises(Killed):
                filled.clean_retired()
        else:
            steps.left = 10**6
            filled.clean_retired()
    again = CorpusStore.open(filled.root)
    for path in (again.root / "manifest").glob("*.json"):
        assert all(source_folder(again.root, i).is_dir() for i in Manifest.from_json(path.read_bytes()).sources)
    assert again.recover().sources == ()
    again.clean_staging()
    again.clean_retired()
    assert on_disk(again) == {"sources/c", f"vectors/{spec.key}/c"}
    assert again.manifest().retired == {}
    assert list((again.root / "staging").iterdir()) == []


class Killed(BaseException):
    """Simulates a kill; only a test catches it."""


class Steps:
    """Simulates a kill at the n-th step of an action."""

    def __init__(self, left: int) -> None:
        self.left = left

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left <= 0:
                raise Killed
            return call(*arguments, **named)

        return wrapper


def test_readers_of_an_older_generation_find_what_they_opened(filled: CorpusStore, spec: EncoderSpec, clock: Clock):
    pinned = CorpusStore.open(filled.root).manifest()
    filled.publish(lambda m: m.with_removed(["a"]))
    for _ in range(12):  # more generations than are kept
        clock.now += 1
        filled.publish(lambda m: replace(m, losses=m.losses + 1))
    filled.clean_retired()
    for source_id in pinned.sources:
        assert VectorGroup.open(filled.root, spec.key, source_id).vectors().shape == (3, spec.dimension)
    assert Path(filled.root, "index", pinned.segments[0].id).is_dir()


@pytest.mark.parametrize("days", [(400,), (-400, 400), (400, -400)], ids=["forward", "slow then", "fast then"])
def test_a_clock_that_is_wrong_when_a_source_is_removed_or_later_takes_no_day_of_grace_away(
    filled: CorpusStore, clock: Clock, days: tuple[int, ...]
):
    """With two values, the clock jumps by the first right before the removal, and is corrected right after."""
    everything = on_disk(filled)
    if len(days) > 1:
        clock.now += days[0] * DAY
    filled.publish(lambda m: m.with_removed(["a"]))
    clock.now += days[-1] * DAY
    for _ in range(24):
        filled.clean_retired()
        assert on_disk(filled) == everything
        clock.now += 3600 - 1
    for _ in range(3):
        filled.clean_retired()
        clock.now += DAY
    assert on_disk(filled) == everything - {path for path in everything if path.endswith("/a")}


def test_no_single_jump_of_the_clock_deletes_within_a_day(tmp_path: Path):
    """Random runs, and one jump at any moment: the true time is the measure, which no program knows."""
    folder = tmp_path / "sources" / "a"
    folder.mkdir(parents=True)
    (folder / "digests.json").touch()
    random = Random(0)
    for _ in range(300):
        true, offset = 2e9, 0.0
        jump_at, jump = true + random.uniform(-3, 3) * DAY, random.choice([-1, 1]) * random.choice([0.5, 2, 400]) * DAY
        old = Manifest(sources={}, retired={})
        retired = {"sources/a": retirement._begin(tmp_path, "sources/a", true + (jump if true >= jump_at else 0.0))}
        for run in range(16):
            true += random.uniform(0.01, 0.9) * DAY if run < 8 else DAY
            offset = jump if true >= jump_at else 0.0
            doomed, retired = retirement.settle(tmp_path, replace(old, retired=retired), true + offset)
            if doomed:
                break
        assert doomed == ["sources/a"], "it is deleted in the end"
        assert true - 2e9 >= DAY - 1, "whole seconds are stored"
