"""Every kind of file of a corpus is damaged in every way. Verify names this file and no other."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, CorpusNotFound
from pipeline.integrity import verify
from pipeline.run import ingest, remove
from pipeline.store import CorpusStore, generations, source_folder, vector_folder
from tests.cluster.soak import IS_SOAK, note
from tests.run.damages import CONFIG, DAMAGES, KEY, Made, data, files_of, flip, hits, made, mend, root
from tests.run.small import assert_same_corpus
from tests.run.workers import started

__all__ = ["data", "made", "root"]  # fixtures

RANDOM_DAMAGES = 1000 if IS_SOAK else 25


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
@pytest.mark.parametrize("but", [1, pytest.param(0, marks=pytest.mark.slow)], ids=["of one source", "of the other"])
def test_each_file_that_is_damaged_is_named_alone(root: Path, how: str, but: int) -> None:
    """Both sources have the same files."""
    left_out = sorted(CorpusStore.open(root).manifest().sources)[but]
    tried = 0
    for path, kind, name in files_of(root):
        if left_out in path.parts:
            continue
        content = path.read_bytes()
        if how == "truncate" and len(content) < 2:
            continue
        DAMAGES[how](path)
        found = verify(root)
        assert {(one.kind, one.id) for one in found.damages} == {(kind, name)}, path
        # if the file of digests is altered, other files cannot be checked
        assert path in {one.path for one in found.damages} or path.name == "group.json"
        assert found.exit_code == 5
        path.write_bytes(content)
        tried += 1
    assert tried > 15
    assert verify(root).damages == ()


def test_bytes_are_compared_not_times(root: Path) -> None:
    for path in root.rglob("*"):
        os.utime(path)
    assert verify(root).damages == ()


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


def test_folders_that_are_retired_do_not_matter(root: Path) -> None:
    source_id = min(CorpusStore.open(root).manifest().sources)
    remove([source_id], root)
    flip(source_folder(root, source_id) / "windows.npy")
    assert verify(root).damages == ()


def test_beside_a_run_that_goes_on_nothing_is_thought_to_be_damaged(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    ingest([data], root, config=CONFIG, serial=True)
    publish = ("import sys; from pipeline.catalogue import FileEntry; "
               "from pipeline.store import CorpusStore; s = CorpusStore.open(sys.argv[1]); "
               "[s.publish(lambda m: m.with_files({str(i): FileEntry(1, i, 'done')})) for i in range(200)]")
    seen = set()
    with started([sys.executable, "-c", publish, str(root)], tmp_path) as process:
        while process.poll() is None:
            found = verify(root)
            assert found.damages == ()
            seen.add(CorpusStore.open(root).manifest().generation)
        assert process.returncode == 0
    assert len(seen) > 5


def test_in_so_many_days_every_object_has_its_turn_once(root: Path) -> None:
    read = [verify(root, sample=0.25, day=day).objects for day in range(1000, 1004)]
    assert (sum(read), verify(root, sample=0.25, day=1000).objects_in_all) == (5, 5)
    assert max(read) < 5
    path = vector_folder(root, KEY, min(CorpusStore.open(root).manifest().sources)) / "vector/c.0.0"
    flip(path)
    assert sum(bool(verify(root, sample=0.25, day=day).damages) for day in range(1000, 1004)) == 1


def test_what_cannot_be_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFound, match="there is no corpus here"):
        verify(tmp_path / "nowhere")
    for sample in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="sample must be a share"):
            verify(root, sample=sample)


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 16), marks=pytest.mark.slow)], ids=["few", "many"])
def test_any_flipped_bit_of_the_head_is_found_and_mended(made: Made, root: Path, seeds: range) -> None:
    generation = CorpusStore.open(root).manifest().generation
    names = ["CURRENT", "identity.json", f"manifest/{generation:08d}.json", f"manifest/{generation:08d}.copy"]
    for name in names:
        for seed in seeds:
            flip(root / name, seed)
            assert [one.path for one in verify(root).damages] == [root / name], (name, seed)
            assert mend(root).damages == ()
            assert (root / name).read_bytes() == (made.root / name).read_bytes(), (name, seed)


@pytest.mark.timeout(3600 if IS_SOAK else 300)
def test_random_damage_is_found_each_time_and_mended(made: Made, root: Path) -> None:
    chance = random.Random(RANDOM_DAMAGES)
    done = 0
    for _ in range(RANDOM_DAMAGES // 5):
        named: set[tuple[str, str]] = set()
        for _ in range(5):
            # one of the manifest's two files must stay intact, and a file to damage must hold more than one byte
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
