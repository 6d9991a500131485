"""Only damaged objects are rebuilt, and they equal the old ones. Objects that cannot be rebuilt stay and are listed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google_crc32c import value as checksum

from pipeline import tasks
from pipeline.config import Config, EncoderConfig
from pipeline.errors import CorpusDamaged, CorpusLocked
from pipeline.index import Segment
from pipeline.integrity import verify
from pipeline.run import embed, index, ingest, remove
from pipeline.run.preconditions import for_new_corpus
from pipeline.store import CorpusStore, segment_folder, source_folder, vector_folder
from pipeline.store.digests import Digests
from pipeline.store.layout import projection_file
from tests.run import fake
from tests.run.damages import CONFIG, DAMAGES, KEY, Made, data, files_of, flip, hits, made, mend, no_graph, root
from tests.run.small import archive, assert_same_corpus
from tests.run.workers import command, started, wait_until

__all__ = ["data", "made", "root"]  # fixtures


@pytest.mark.parametrize("how", DAMAGES)
def test_what_is_damaged_is_rebuilt_alone_and_equals_what_was(made: Made, root: Path, how: str) -> None:
    chance = random.Random(how)
    by_kind: dict[str, list[tuple[Path, str]]] = {}
    for path, kind, name in files_of(root):
        by_kind.setdefault(kind, []).append((path, name))
    for kind, files in by_kind.items():
        path, name = chance.choice([file for file in files if file[0].stat().st_size > 1])
        inodes = {p: p.stat().st_ino for p in root.rglob("*") if p.is_file() and root / "lock" not in (p, p.parent)}
        DAMAGES[how](path)
        done = mend(root)
        assert (done.damages, done.exit_code) == ((), 0)
        assert {(one.kind, one.id) for one in done.mended} == {(kind, name)}
        assert verify(root).damages == ()
        # nothing else was written
        folder = {"source": source_folder, "segment": segment_folder}.get(kind, lambda root, _: root)(root, name)
        if kind == "vectors":
            folder = vector_folder(root, *name.split("/"))
        others = {p for p in inodes if folder not in p.parents and p != path}
        assert {p for p in others if p.exists() and p.stat().st_ino == inodes[p]} == others, kind
        assert hits(root) == made.hits
    assert not (root / "damaged").exists()
    assert not list((root / "staging").iterdir())
    assert_same_corpus(root, made.root)


def test_windows_that_cannot_be_decoded_are_scanned_again_though_their_digests_fit(made: Made, root: Path) -> None:
    """As after a program that wrote a chunk wrongly, and then its digests."""
    source_id = next(name for _, kind, name in files_of(root) if kind == "source")
    folder = source_folder(root, source_id)
    shard = next((folder / "cutout").glob("c*"))
    content = shard.read_bytes()
    start, length = np.frombuffer(content[-20:-4], "<u8").tolist()  # of the last chunk
    chunk = bytes(length - 4)
    forged = content[:start] + chunk + checksum(chunk).to_bytes(4, "little") + content[start + length :]
    shard.write_bytes(forged)
    Digests.of(folder).write_group(dict(Digests.read(folder).attributes))
    done = mend(root)
    assert (done.damages, done.exit_code) == ((), 0)
    assert verify(root).damages == ()
    assert_same_corpus(root, made.root)
    assert hits(root) == made.hits


def test_everything_damaged_at_once_is_rebuilt(made: Made, root: Path) -> None:
    for path, _, _ in files_of(root):
        if path.suffix != ".copy":  # one of the manifest's two files must stay intact
            flip(path, seed=3)
    done = mend(root)
    assert done.damages == ()
    assert {one.kind for one in done.mended} == {"identity", "manifest", "pointer", "segment", "source", "vectors"}
    assert_same_corpus(root, made.root)
    assert hits(root) == made.hits


def test_without_any_manifest_what_is_on_disk_is_adopted(made: Made, root: Path, data: Path) -> None:
    shutil.rmtree(root / "manifest")
    (root / "CURRENT").unlink()
    done = mend(root)
    assert done.damages == ()
    assert "was lost" in done.notes[0]
    store = CorpusStore.open(root)
    assert store.manifest().sources.keys() == CorpusStore.open(made.root).manifest().sources.keys()
    index(root, config=CONFIG)
    assert store.manifest().segments == CorpusStore.open(made.root).manifest().segments, "taken over, not built"
    assert_same_corpus(root, made.root)
    assert hits(root) == made.hits


def test_a_generation_lost_with_its_copy_is_followed_by_the_one_before(made: Made, root: Path) -> None:
    number = CorpusStore.open(root).manifest().generation
    for suffix in ("json", "copy"):
        flip(root / "manifest" / f"{number:08d}.{suffix}")
    found = verify(root)
    assert {(one.kind, one.id) for one in found.damages} == {("manifest", f"{number:08d}")}
    assert "go back to the generation before it" in found.damages[0].remedy
    done = mend(root)
    assert (done.damages, len(done.notes)) == ((), 1)
    assert CorpusStore.open(root).manifest().generation == number + 1
    assert_same_corpus(root, made.root)


def test_an_old_generation_that_is_damaged_is_dropped(root: Path) -> None:
    old = min((root / "manifest").glob("*.json"))
    flip(old)
    assert [one.path for one in verify(root).damages] == [old]
    assert mend(root).damages == ()
    assert not old.exists()


# --- what cannot be rebuilt ------------------------------------------------------------------------------------------


def test_windows_whose_file_is_gone_are_left_and_named_and_the_rest_is_rebuilt(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    here = Path(shutil.copytree(data, tmp_path / "data"))
    root = tmp_path / "corpus"
    ingest([here], root, config=CONFIG, serial=True)
    by_name = {Path(entry.path).name: i for i, entry in CorpusStore.open(root).manifest().sources.items()}
    for source_id in by_name.values():
        flip(source_folder(root, source_id) / "cutout/c.0.0.0")
    (here / "scan0.h5").unlink()
    done = mend(root)
    lost = by_name["scan0.h5"]
    assert {(one.kind, one.id) for one in done.damages} == {("source", lost)}
    assert {(one.kind, one.id) for one in done.mended} == {("source", by_name["scan1.fil"])}
    assert "could not be rebuilt (its file is gone or has changed)" in done.damages[0].remedy
    assert "restore the folder from a backup; or delete the folder" in done.damages[0].remedy
    assert done.exit_code == 5
    # the second remedy of the message
    shutil.rmtree(source_folder(root, lost))
    assert ingest([here], root, config=CONFIG, serial=True).exit_code == 0
    assert set(CorpusStore.open(root).manifest().sources) == {by_name["scan1.fil"]}
    assert verify(root).damages == ()


def test_a_file_that_has_changed_is_not_taken_for_what_it_was(data: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(data, tmp_path / "data"))
    root = tmp_path / "corpus"
    ingest([here / "scan0.h5"], root, config=CONFIG, serial=True)
    (source_id,) = CorpusStore.open(root).manifest().sources
    path = source_folder(root, source_id) / "windows.npy"
    flip(path)
    os.utime(here / "scan0.h5")
    damaged = path.read_bytes()
    assert [one.id for one in mend(root).damages] == [source_id]
    assert path.read_bytes() == damaged, "left as it is"
    # an unchanged copy of the file can replace it
    shutil.copy2(data / "scan0.h5", here / "copy.h5")
    store = CorpusStore.open(root)
    assert verify(root).exit_code == 5
    os.utime(here / "scan0.h5", ns=(0, store.manifest().sources[source_id].mtime_ns))
    assert mend(root).damages == ()


def test_vectors_whose_windows_are_lost_are_named_too(data: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(data, tmp_path / "data"))
    root = tmp_path / "corpus"
    ingest([here / "scan0.h5"], root, config=CONFIG, serial=True)
    (source_id,) = CorpusStore.open(root).manifest().sources
    shutil.rmtree(source_folder(root, source_id))
    shutil.rmtree(vector_folder(root, KEY, source_id))
    (here / "scan0.h5").unlink()
    done = mend(root)
    assert {(one.kind, one.id): one.message for one in done.damages} == {
        ("source", source_id): "is missing", ("vectors", f"{KEY}/{source_id}"): "is missing"}
    assert source_id in CorpusStore.open(root).manifest().sources, "forgotten only when the user says so"


# --- objects that the manifest does not name -------------------------------------------------------------------------


def test_a_damaged_group_that_no_generation_names_is_deleted_and_a_whole_one_is_taken_in(root: Path) -> None:
    store = CorpusStore.open(root)
    first, second = sorted(store.manifest().sources)
    store.publish(lambda manifest: replace(manifest.without_sources([first, second])))
    store.publish(lambda manifest: replace(manifest, retired={}))
    with store.lock():  # written directly, because publish records dropped objects; so it is as if the run had died
        from pipeline.store.generations import write_generation

        write_generation(root, replace(store.manifest(), generation=99, retired={}, segments=()))
    flip(source_folder(root, first) / "windows.npy")
    found = verify(root)
    assert {(one.kind, one.id) for one in found.damages} == {("orphan", f"sources/{first}")}
    assert mend(root).damages == ()
    assert not source_folder(root, first).exists()
    assert set(store.manifest().sources) == {second}


def test_a_segment_some_of_whose_sources_are_gone_is_rebuilt_of_the_others(root: Path) -> None:
    first, second = sorted(CorpusStore.open(root).manifest().sources)
    remove([first], root)
    (segment,) = CorpusStore.open(root).manifest().segments
    flip(segment_folder(root, segment.id) / "vectors.npy")
    assert [(one.kind, one.id) for one in verify(root).damages] == [("segment", segment.id)]
    assert mend(root).damages == ()
    (heir,) = CorpusStore.open(root).manifest().segments
    assert (heir.source_ids, heir.count, heir.dead) == ((second,), 64, {})
    assert Segment.open(segment_folder(root, heir.id)).rows == 64
    assert verify(root).damages == ()


def test_a_configuration_that_is_lost_is_written_anew_and_the_old_one_kept(root: Path) -> None:
    (root / "corpus.toml").write_text("[scan]\nwindow = 512\n")
    assert [(one.kind, one.path) for one in verify(root).damages] == [("config", root / "corpus.toml")]
    assert mend(root).damages == ()
    assert Config.load(root).identity() == for_new_corpus(CONFIG).identity()
    assert Config.load(root).encoder == EncoderConfig("power-spectrum")
    assert (root / "damaged" / "corpus.toml").read_text() == "[scan]\nwindow = 512\n"
    (root / "corpus.toml").unlink()
    (root / "identity.json").unlink()
    done = mend(root)
    assert {one.kind for one in done.damages} == {"identity"}
    assert "restore one of them from a backup" in done.notes[0]


def test_a_projection_is_written_anew_from_its_copy(
    data: Path, tmp_path: Path, fake_encoders: None
) -> None:
    root = tmp_path / "corpus"
    with_projection = replace(CONFIG, encoder=EncoderConfig(fake.PROJECTED))
    ingest([data], root, config=with_projection, serial=True)
    path = projection_file(root, fake.PROJECTED)
    content = path.read_bytes()
    for name in (path.name, "copy.npz", "digests.json"):
        for damage in DAMAGES.values():
            damage(path.with_name(name))
            found = verify(root)
            assert {(one.kind, one.id) for one in found.damages} == {("projection", fake.PROJECTED)}
            assert mend(root).damages == ()
            assert path.read_bytes() == content
    flip(path)
    flip(path.with_name("copy.npz"))
    done = mend(root)
    assert "restore one from a backup" in done.damages[0].remedy
    assert path.is_file(), "left as it is"


def test_vectors_of_several_encoders_are_made_again_each_by_its_own(root: Path, fake_encoders: None) -> None:
    embed(root, encoder=fake.PLAIN, serial=True)
    before = {path: path.read_bytes() for path in (root / "vectors").rglob("c.0.0")}
    for path in before:
        flip(path)
    done = mend(root)
    assert done.damages == ()
    assert len({one.id for one in done.mended}) == 4
    assert {path: path.read_bytes() for path in before} == before


# --- kills and locks -------------------------------------------------------------------------------------------------


def test_a_repair_takes_the_lock_and_a_verification_does_not(root: Path) -> None:
    with CorpusStore.open(root).lock():
        assert verify(root).damages == ()
        with pytest.raises(CorpusLocked):
            mend(root)


def test_a_repair_that_fails_half_way_loses_nothing(
    made: Made, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id = min(CorpusStore.open(root).manifest().sources)
    path = source_folder(root, source_id) / "windows.npy"
    flip(path)
    damaged = path.read_bytes()

    def fails(*_: object) -> None:
        raise CorpusDamaged("it fails")

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "commit_windows", fails)
        done = mend(root)
    assert "could not be rebuilt (it fails)" in done.damages[0].remedy
    assert path.read_bytes() == damaged
    assert mend(root).damages == ()
    assert_same_corpus(root, made.root)


def test_a_repair_that_is_killed_is_taken_up_by_the_next(made: Made, root: Path, tmp_path: Path) -> None:
    chance = random.Random(4)
    killed = 0
    for _ in range(3):
        for path, kind, _ in files_of(root):
            if kind in ("source", "vectors", "segment") and path.exists() and chance.random() < 0.3:
                flip(path)
        with started(command("verify", "--corpus", root, "--repair", "--serial"), tmp_path) as process:
            wait_until(lambda: (root / "damaged").exists() or process.poll() is not None)
            time.sleep(chance.uniform(0, 0.1))  # now something is set aside, and its place is empty
            process.kill()
            killed += process.wait() == -signal.SIGKILL
    assert killed >= 2, "else the moments come too late"
    assert mend(root).damages == ()
    assert not (root / "damaged").exists()
    assert verify(root).damages == ()
    assert_same_corpus(root, made.root)
    assert hits(root) == made.hits


def test_rebuilding_on_a_cluster_is_the_same(made: Made, root: Path, client: Any) -> None:
    for path, kind, _ in files_of(root):
        if kind in ("source", "vectors") and path.name == "group.json":
            path.unlink()
    assert verify(root, client, repair=True).damages == ()
    assert_same_corpus(root, made.root)


@pytest.mark.slow
def test_a_segment_with_a_graph_is_built_again(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    ingest([archive(tmp_path / "data", 5)], root, config=CONFIG, serial=True)
    (entry,) = index(root, config=CONFIG)
    before = hits(root)
    for path in sorted(segment_folder(root, entry.id).iterdir()):
        flip(path)
        assert {(one.kind, one.id) for one in verify(root).damages} == {("segment", entry.id)}
    assert mend(root).damages == ()
    assert Segment.open(segment_folder(root, entry.id)).has_graph
    assert hits(root) == before
