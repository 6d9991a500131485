"""Every kind of file of a corpus, damaged in every way: verify names it, repair makes it as it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import tasks
from pipeline.config import Config, EncoderConfig, IndexConfig
from pipeline.errors import ConfigError, CorpusDamaged, CorpusLocked, CorpusNotFound
from pipeline.index import Segment
from pipeline.run import Verification, embed, index, ingest, remove, verify
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, generations, segment_folder, source_folder, vector_folder
from pipeline.store.layout import projection_file
from tests.cluster.soak import IS_SOAK, note
from tests.run import fake
from tests.run.small import SCAN, archive, assert_same_corpus, config
from tests.run.workers import command, started, wait_until

RANDOM_DAMAGES = 1000 if IS_SOAK else 50
KEY = "power-spectrum-v1"
CONFIG = replace(config(replace(SCAN, keep_all=True)), index=IndexConfig(exact_below=50))


@dataclass(frozen=True)
class Made:
    root: Path
    hits: list[tuple[str, int, float]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("verify") / "data", 2)


@pytest.fixture(scope="module")
def made(data: Path) -> Made:
    """Two sources, their vectors and a segment; and what a search finds there."""
    root = data.parent / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        no_graph(patch)
        ingest([data], root, config=CONFIG, serial=True)
        assert [entry.count for entry in index(root, config=CONFIG)] == [128]
    return Made(root, hits(root))


@pytest.fixture
def root(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_graph(monkeypatch)
    return Path(shutil.copytree(made.root, tmp_path / "corpus"))


def no_graph(patch: pytest.MonkeyPatch) -> None:
    """Compiling takes most of a minute; that segments with a graph are rebuilt is tested apart, slowly."""
    patch.setattr("pipeline.index.build.MIN_GRAPH_VECTORS", 10**9)


def hits(root: Path) -> list[tuple[str, int, float]]:
    source_id = min(CorpusStore.open(root).manifest().sources)
    found = open_corpus(root).search(window=f"{source_id}/5", k=20)
    return [(hit.source_id, hit.window.number, round(hit.score, 4)) for hit in found]


def mend(root: Path, **more: Any) -> Verification:
    return verify(root, repair=True, serial=True, **more)


def flip(path: Path, seed: int = 0) -> None:
    content = bytearray(path.read_bytes())
    bit = random.Random(seed).randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES: dict[str, Callable[[Path], None]] = {"flip": flip, "truncate": truncate, "delete": Path.unlink}


def files_of(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Every file that a corpus at rest is made of, and the kind and id of the object that it belongs to."""
    manifest = CorpusStore.open(root).manifest()
    yield root / "CURRENT", "pointer", "CURRENT"
    yield root / "identity.json", "identity", "identity.json"
    for path in sorted((root / "manifest").iterdir()):
        if path.suffix == ".copy" or int(path.stem) == manifest.generation:
            yield path, "manifest", path.stem
    for source_id, entry in manifest.sources.items():
        folders = [("source", source_folder(root, source_id), source_id)]
        folders += [("vectors", vector_folder(root, key, source_id), f"{key}/{source_id}") for key in entry.vectors]
        for kind, folder, name in folders:
            yield from ((path, kind, name) for path in sorted(folder.rglob("*")) if path.is_file())
    for segment in manifest.segments:
        yield from ((path, "segment", segment.id) for path in sorted(segment_folder(root, segment.id).iterdir()))


def test_an_intact_corpus_is_told_to_be(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    found = verify(root)
    assert (found.damages, found.mended, found.notes, found.exit_code) == ((), (), (), 0)
    assert (found.objects, found.objects_in_all) == (5, 5)
    folders = ("sources", "vectors", "index")
    assert found.bytes_read == sum(p.stat().st_size for f in folders for p in (root / f).rglob("*") if p.is_file())
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert mend(root).mended == ()


@pytest.mark.parametrize("how", DAMAGES)
def test_each_file_that_is_damaged_is_named_alone(root: Path, how: str) -> None:
    tried = 0
    for path, kind, name in files_of(root):
        content = path.read_bytes()
        if how == "truncate" and len(content) < 2:
            continue
        DAMAGES[how](path)
        found = verify(root)
        assert {(one.kind, one.id) for one in found.damages} == {(kind, name)}, path
        # of a seal or a record that is altered, nothing else can be told
        assert path in {one.path for one in found.damages} or path.name == "digests.json"
        assert found.exit_code == 5
        path.write_bytes(content)
        tried += 1
    assert tried > 60
    assert verify(root).damages == ()


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


def test_any_flipped_bit_of_the_head_is_found_and_mended(made: Made, root: Path) -> None:
    generation = CorpusStore.open(root).manifest().generation
    names = ["CURRENT", "identity.json", f"manifest/{generation:08d}.json", f"manifest/{generation:08d}.copy"]
    for name in names:
        for seed in range(12):
            flip(root / name, seed)
            assert [one.path for one in verify(root).damages] == [root / name], (name, seed)
            assert mend(root).damages == ()
            assert (root / name).read_bytes() == (made.root / name).read_bytes(), (name, seed)


def test_everything_damaged_at_once_is_rebuilt(made: Made, root: Path) -> None:
    for path, _, _ in files_of(root):
        if path.suffix != ".copy":  # of the manifest one of the two must be left
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


def test_what_a_run_killed_before_it_moved_the_pointer_leaves_is_no_damage(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CorpusStore.open(root)
    number = store.manifest().generation
    really = generations.write_atomic

    def killed(path: Path, content: bytes) -> None:
        if path.name == "CURRENT":
            raise KeyboardInterrupt
        really(path, content)

    monkeypatch.setattr(generations, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        store.publish(lambda manifest: manifest.with_also_at(min(manifest.sources), ["/elsewhere"]))
    assert {path.name for path in (root / "manifest").glob(f"{number + 1:08d}.*")} == {
        f"{number + 1:08d}.{suffix}" for suffix in ("json", "copy")}
    assert verify(root).damages == ()


# --- what cannot be rebuilt ----------------------------------------------------------------------------------------


def test_windows_whose_file_is_gone_are_left_and_named_and_the_rest_is_rebuilt(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    here = Path(shutil.copytree(data, tmp_path / "data"))
    root = tmp_path / "corpus"
    ingest([here], root, config=CONFIG, serial=True)
    by_name = {Path(entry.path).name: i for i, entry in CorpusStore.open(root).manifest().sources.items()}
    for source_id in by_name.values():
        flip(source_folder(root, source_id) / "windows/cutout/c/0/0/0")
    (here / "scan0.h5").unlink()
    done = mend(root)
    lost = by_name["scan0.h5"]
    assert {(one.kind, one.id) for one in done.damages} == {("source", lost)}
    assert {(one.kind, one.id) for one in done.mended} == {("source", by_name["scan1.fil"])}
    assert "could not be rebuilt (its file is gone or has changed)" in done.damages[0].remedy
    assert "restore the folder from a backup; or delete it" in done.damages[0].remedy
    assert done.exit_code == 5
    # as it says
    shutil.rmtree(source_folder(root, lost))
    assert ingest([here], root, config=CONFIG, serial=True).exit_code == 0
    assert set(CorpusStore.open(root).manifest().sources) == {by_name["scan1.fil"]}
    assert verify(root).damages == ()


def test_a_file_that_has_changed_is_not_taken_for_what_it_was(data: Path, tmp_path: Path) -> None:
    here = Path(shutil.copytree(data, tmp_path / "data"))
    root = tmp_path / "corpus"
    ingest([here / "scan0.h5"], root, config=CONFIG, serial=True)
    (source_id,) = CorpusStore.open(root).manifest().sources
    path = source_folder(root, source_id) / "windows/number/c/0"
    flip(path)
    os.utime(here / "scan0.h5")
    damaged = path.read_bytes()
    assert [one.id for one in mend(root).damages] == [source_id]
    assert path.read_bytes() == damaged, "left as it is"
    # a copy that is as it was does as well
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


# --- what else lies there ------------------------------------------------------------------------------------------


def test_a_damaged_group_that_no_generation_names_is_deleted_and_a_whole_one_is_taken_in(root: Path) -> None:
    store = CorpusStore.open(root)
    first, second = sorted(store.manifest().sources)
    store.publish(lambda manifest: replace(manifest.without_sources([first, second])))
    store.publish(lambda manifest: replace(manifest, retired={}))
    with store.lock():  # as if their run had died: publish keeps an account of what is dropped
        from pipeline.store.generations import write_generation

        write_generation(root, replace(store.manifest(), generation=99, retired={}, segments=()))
    flip(source_folder(root, first) / "windows/number/c/0")
    found = verify(root)
    assert {(one.kind, one.id) for one in found.damages} == {("orphan", f"sources/{first}")}
    assert mend(root).damages == ()
    assert not source_folder(root, first).exists()
    assert set(store.manifest().sources) == {second}


def test_folders_that_are_retired_do_not_matter(root: Path) -> None:
    source_id = min(CorpusStore.open(root).manifest().sources)
    remove([source_id], root)
    flip(source_folder(root, source_id) / "windows/number/c/0")
    assert verify(root).damages == ()


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
    assert Config.load(root).identity() == CONFIG.identity()
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
    before = {path: path.read_bytes() for path in (root / "vectors").rglob("c/**/*") if path.is_file()}
    for path in before:
        flip(path)
    done = mend(root)
    assert done.damages == ()
    assert len({one.id for one in done.mended}) == 4
    assert {path: path.read_bytes() for path in before} == before


# --- samples -------------------------------------------------------------------------------------------------------


def test_in_so_many_days_every_object_has_its_turn_once(root: Path) -> None:
    read = [verify(root, sample=0.25, day=day).objects for day in range(1000, 1004)]
    assert (sum(read), verify(root, sample=0.25, day=1000).objects_in_all) == (5, 5)
    assert max(read) < 5
    path = vector_folder(root, KEY, min(CorpusStore.open(root).manifest().sources)) / "vector/c/0/0"
    flip(path)
    assert sum(bool(verify(root, sample=0.25, day=day).damages) for day in range(1000, 1004)) == 1


def test_what_cannot_be_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFound, match="there is no corpus here"):
        verify(tmp_path / "nowhere")
    for sample in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="sample must be a share"):
            verify(root, sample=sample)


# --- kills and locks -----------------------------------------------------------------------------------------------


def test_a_repair_takes_the_lock_and_a_verification_does_not(root: Path) -> None:
    with CorpusStore.open(root).lock():
        assert verify(root).damages == ()
        with pytest.raises(CorpusLocked):
            mend(root)


def test_beside_a_run_that_goes_on_nothing_is_thought_to_be_damaged(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    ingest([data], root, config=CONFIG, serial=True)
    publish = ("import sys; from pipeline.store import CorpusStore, FileEntry; s = CorpusStore.open(sys.argv[1]); "
               "[s.publish(lambda m: m.with_file(str(i), FileEntry(1, i, 'done'))) for i in range(200)]")
    seen = set()
    with started([sys.executable, "-c", publish, str(root)], tmp_path) as process:
        while process.poll() is None:
            found = verify(root)
            assert found.damages == ()
            seen.add(CorpusStore.open(root).manifest().generation)
        assert process.returncode == 0
    assert len(seen) > 5


def test_a_repair_that_fails_half_way_loses_nothing(
    made: Made, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id = min(CorpusStore.open(root).manifest().sources)
    path = source_folder(root, source_id) / "windows/number/c/0"
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
        if kind in ("source", "vectors") and path.name == "digests.json":
            path.unlink()
    assert verify(root, client, repair=True).damages == ()
    assert_same_corpus(root, made.root)


def test_bytes_are_compared_not_times(root: Path) -> None:
    for path in root.rglob("*"):
        os.utime(path)
    assert verify(root).damages == ()


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


@pytest.mark.timeout(3600 if IS_SOAK else 300)
def test_random_damage_is_found_each_time_and_mended(made: Made, root: Path) -> None:
    chance = random.Random(RANDOM_DAMAGES)
    done = 0
    for _ in range(RANDOM_DAMAGES // 5):
        named: set[tuple[str, str]] = set()
        for _ in range(5):
            # one of the manifest's two files must be left, and a file of which there is something to damage
            files = [(root / path.relative_to(made.root), kind, name) for path, kind, name in files_of(made.root)
                     if kind != "manifest" or kind not in dict(named)]
            files = [file for file in files if file[0].exists() and file[0].stat().st_size > 1]
            path, kind, name = chance.choice(files)
            how = chance.choice(list(DAMAGES))
            flip(path, chance.getrandbits(32)) if how == "flip" else DAMAGES[how](path)
            done += 1
            named.add((kind, name))
            assert {(one.kind, one.id) for one in verify(root).damages} == named, (done, how, path)
        assert mend(root).damages == (), named
    assert done == RANDOM_DAMAGES
    assert_same_corpus(root, made.root)
    assert hits(root) == made.hits
    note("files of a corpus altered, cut or deleted, named and mended", done)
