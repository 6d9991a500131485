import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import (
    ConfigError,
    CorpusDamaged,
    CorpusError,
    CorpusLocked,
    CorpusMismatch,
    CorpusNotFound,
)
from pipeline.model import EncoderSpec
from pipeline.store import CorpusStore, commit_source_group, commit_vector_group


def test_a_corpus_is_made_once_and_opened_with_the_same_identity(tmp_path: Path, identity: dict[str, Any]):
    root = tmp_path / "deep" / "corpus"
    with pytest.raises(CorpusNotFound, match="deep/corpus"):
        CorpusStore.open(root)
    made = CorpusStore.open_or_create(root, identity)
    assert made.manifest() == Manifest()
    assert made.identity == identity == CorpusStore.open(str(root)).identity
    assert CorpusStore.open_or_create(root, identity).root == root
    with pytest.raises(CorpusError, match="a corpus already"):
        CorpusStore.create(root, identity)
    identity["scan"]["step"] = 128
    with pytest.raises(CorpusMismatch, match=r"scan\.step: corpus has 256, this run asks 128"):
        CorpusStore.open_or_create(root, identity)


def test_a_file_in_the_place_of_a_corpus_is_refused(tmp_path: Path, identity: dict[str, Any]):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "corpus"):
        with pytest.raises(ConfigError, match="not a folder"):
            CorpusStore.open_or_create(root, identity)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_corpus_without_its_identity_is_not_made_anew(store: CorpusStore, identity: dict[str, Any]):
    store.publish(lambda manifest: manifest.with_files({"/a": FileEntry(1, 2, "done")}))
    (store.root / "identity.json").unlink()
    with pytest.raises(CorpusDamaged, match=r"identity\.json.* restore it"):
        CorpusStore.open_or_create(store.root, identity)
    assert store.manifest().generation == 1


def test_a_folder_where_making_one_was_cut_short_is_completed(store: CorpusStore, identity: dict[str, Any]):
    (store.root / "identity.json").unlink()
    assert CorpusStore.open_or_create(store.root, identity).manifest() == Manifest()


def test_what_a_killed_writer_left_goes_with_the_staging(store: CorpusStore):
    for name in (".0123456789abcdef.tmp", ".notes.tmp"):
        (store.root / name).touch()
    store.clean_staging()
    assert [path.name for path in store.root.iterdir() if path.suffix == ".tmp"] == [
        ".notes.tmp"]


def test_staging_is_cleaned_only_under_the_lock(store: CorpusStore):
    dead, mine = CorpusStore.open(store.root).new_staging(), store.new_staging()
    assert dead != mine
    (dead / "source").mkdir()
    (dead / "source" / "part").write_text("part")
    store.clean_staging()
    assert list((store.root / "staging").iterdir()) == []
    with CorpusStore.open(store.root).lock(), pytest.raises(CorpusLocked):
        store.clean_staging()


def test_recover_finds_what_is_committed_but_not_named(
    store: CorpusStore, stage: Callable[..., Any], spec: EncoderSpec
):
    assert store.recover().sources == store.recover().vectors == ()
    for source_id in ("a", "b", "c"):
        staged = stage(3, source_id=source_id)
        group = commit_source_group(store.root, staged.staging, staged.source, 1, report=staged.report,
                                    fingerprint="f00d")
        if source_id != "b":
            commit_vector_group(store.root, staged.staging, source_id, 1, spec=spec)
        if source_id == "c":
            store.publish(lambda manifest, group=group: manifest.with_sources([(group.source, group.report)]))
    found = store.recover()
    assert [group.source_id for group in found.sources] == ["a", "b"]
    assert [(group.source_id, group.count) for group in found.vectors] == [("a", 3), ("c", 3)]

    def adopt(manifest: Manifest) -> Manifest:
        for group in found.sources:
            manifest = manifest.with_sources([(group.source, group.report)])
        for group in found.vectors:
            manifest = manifest.with_vectors_of(group.spec, {group.source_id: group.count})
        return manifest

    manifest = store.publish(adopt)
    assert {key: dict(entry.vectors) for key, entry in manifest.sources.items()} == {
        "a": {spec.key: 3}, "b": {}, "c": {spec.key: 3}}
    assert store.recover().sources == store.recover().vectors == ()


def test_what_was_removed_from_the_disk_is_dropped_from_the_manifest(
    store: CorpusStore, stage: Callable[..., Any], spec: EncoderSpec
):
    for source_id in ("a", "b", "c"):
        staged = stage(3, source_id=source_id)
        commit_source_group(store.root, staged.staging, staged.source, 1, report=staged.report, fingerprint="f00d")
        commit_vector_group(store.root, staged.staging, source_id, 1, spec=spec)
        store.publish(
            lambda m, s=staged: m.with_sources([(s.source, s.report)]).with_vectors_of(spec, {s.source.id: 3}))
    before = store.manifest()
    assert store.forget_missing() == ()
    assert store.manifest() is before
    shutil.rmtree(store.root / "sources" / "a")
    shutil.rmtree(store.root / "vectors" / spec.key / "b")
    assert store.forget_missing() == ("a",)
    assert {key: dict(entry.vectors) for key, entry in store.manifest().sources.items()} == {
        "b": {}, "c": {spec.key: 3}}


def test_recover_names_what_it_cannot_adopt(store: CorpusStore):
    (store.root / "sources" / "half").mkdir()
    with pytest.raises(CorpusDamaged, match="sources/half"):
        store.recover()


# One process forks a child for each step, or for every other one and the last ones. Each is killed at its step.
CRASHER = """
import os, shutil, signal, sys, threading
from pathlib import Path
import zarr  # imported, not yet used: it has no thread that a fork could lose
from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport
from pipeline.store import CorpusStore, commit_source_group, commit_vector_group

staging, roots, every = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
header = Header(8438.0, -2.8e-6, 1024, 1, 32, 18.25, 16, 57436.5)
source = Source("s", header, CoarseLayout(1024, "flag"), "/data", 1, 2)
report = SourceReport("/data", "done", source.id, windows_kept=7)
spec = EncoderSpec("power-spectrum", 1, 8, "cutout-v1 4x8")

def ingest(root):
    store = CorpusStore.open_or_create(root, {"scan": {}})
    with store.lock():
        mine = store.new_staging()
        shutil.copytree(staging, mine, dirs_exist_ok=True)
        group = commit_source_group(root, mine, source, 2, report=report, fingerprint="f00d")
        vectors = commit_vector_group(root, mine, source.id, 2, spec=spec)
        store.publish(lambda m: m.with_sources([(source, report)]).with_vectors_of(spec, {"s": vectors.count}))

def steps_until(step, root):
    child = os.fork()
    if child == 0:
        calls, lock = 0, threading.Lock()
        def counted(call):
            def wrapper(*args, **kwargs):
                nonlocal calls
                with lock:  # files are flushed by several threads
                    calls += 1
                    if calls == step:
                        os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)
            return wrapper
        for name in ("fsync", "replace", "rename"):
            setattr(os, name, counted(getattr(os, name)))
        ingest(root)
        os._exit(calls)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

steps = steps_until(0, roots / "undisturbed")
assert 40 < steps < 256
for step in range(1, steps + 1):
    if step % every == 0 or step > steps - 6:
        assert steps_until(step, roots / f"{step:03d}") == -signal.SIGKILL
"""


@pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_the_corpus_opens_whole_and_a_rerun_completes_it(
    store: CorpusStore, stage: Callable[..., Any], spec: EncoderSpec, tmp_path: Path, every: int
):
    staged = stage(3, 4, source_id="s")
    roots = tmp_path / "roots"
    roots.mkdir()
    subprocess.run([sys.executable, "-c", CRASHER, str(staged.staging), str(roots), str(every)], check=True)
    *crashed, undisturbed = sorted(roots.iterdir())
    assert len(crashed) > 40 // every
    expected = CorpusStore.open(undisturbed).manifest()
    assert (expected.generation, expected.sources["s"].vectors) == (1, {spec.key: 7})
    seen = set()
    for root in crashed:
        seen.add(complete(root, staged, spec))
    assert seen == {
        ("no corpus", 0, 0),
        ("generation 0", 0, 0),
        ("generation 0", 1, 0),
        ("generation 0", 1, 1),
        ("generation 1", 0, 0),
    }


def complete(root: Path, staged: Any, spec: EncoderSpec) -> tuple[str, int, int]:
    """Do what a rerun does after a crash and check the result; return what the rerun found."""
    try:
        manifest = CorpusStore.open(root).manifest()
        state = f"generation {manifest.generation}"
    except CorpusNotFound:
        state = "no corpus"
    store = CorpusStore.open_or_create(root, {"scan": {}})
    found = store.recover()
    with store.lock():
        store.clean_staging()
        if "s" not in store.manifest().sources:
            group = commit_source_group(root, staged.staging, staged.source, 2, report=staged.report,
                                        fingerprint="f00d")
            vectors = commit_vector_group(root, staged.staging, "s", 2, spec=spec)
            group.verify()
            vectors.verify()
            assert (vectors.vectors() == staged.vectors).all()
            assert (group.cutouts() == staged.windows["cutout"]).all()
            store.publish(lambda m: m.with_sources([(staged.source, staged.report)]).with_vectors_of(spec, {"s": 7}))
    assert store.manifest().sources["s"].vectors == {spec.key: 7}
    assert store.recover().sources == store.recover().vectors == ()
    names = ["CURRENT", "identity.json", "index", "lock", "manifest", "sources", "staging", "vectors"]
    assert sorted(os.listdir(root)) == names
    assert json.loads((root / "identity.json").read_text())["scan"] == {}
    return state, len(found.sources), len(found.vectors)
