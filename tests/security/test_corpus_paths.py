"""Corpora of strangers and on shared disks. No name and no link leads a run outside, and no foreign file stops it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import tasks
from pipeline.catalogue import SegmentEntry
from pipeline.errors import CorpusDamaged
from pipeline.index.folder import new_folder, write_segment
from pipeline.index.routed import publish_routed, write_array
from pipeline.integrity import verify
from pipeline.search import open_corpus
from pipeline.store import CorpusStore
from pipeline.store.digests import Digests
from pipeline.store.generations import write_generation
from pipeline.store.lease import Lease
from pipeline.store.retirement import GRACE_S
from pipeline.store.safe_names import BadName, checked
from pipeline.support.safe_files import move, remove_empty, remove_file, remove_tree
from tests.run.damages import flip, truncate
from tests.security.attacked import COMMANDS, WRITERS, Attacked, attacked, forge, original, snapshot
from tests.security.forgeries import seal

__all__ = ["attacked", "original"]

OUTSIDE = ["../victim/sub", "{victim}/sub", "sources/../../victim/sub", "index/..", "vectors/../victim", "sources",
           "sources/a/b", "vectors/a", "staging/a", "lock", "", ".", "sources/.hidden", "index/a\0b", "sources/"]


def assert_names(said: str, *parts: str) -> None:
    for part in parts:
        assert part in said, said


@pytest.mark.parametrize("folder", OUTSIDE)
def test_what_left_the_corpus_is_only_ever_one_of_its_own_folders(attacked: Attacked, folder: str) -> None:
    folder = folder.format(victim=attacked.victim)
    path = forge(attacked.root, lambda record: record["retired"].update({folder: 0.0}))
    before, victim = snapshot(attacked.root), snapshot(attacked.victim)
    for command in COMMANDS:
        if command == "verify --repair":
            continue
        code, said = attacked.call(command)
        assert code == 5, (command, said)
        assert_names(said, str(path), repr(folder), "retired")
        assert snapshot(attacked.victim) == victim
        changed = {name for name, content in snapshot(attacked.root).items() if before.get(name, ...) != content}
        assert {Path(name).parts[0] for name in changed} <= {"lock"}, command
    assert attacked.call("verify --repair") == (0, "")
    assert snapshot(attacked.victim) == victim
    assert attacked.call("verify") == (0, "")
    assert attacked.source_id in CorpusStore.open(attacked.root).manifest().sources, "it was adopted anew"


def rename_key(record: dict[str, Any], kind: str, name: str) -> None:
    values = record[kind]
    values[name] = values.pop(min(values)) if values else []


NAMED: dict[str, Callable[[dict[str, Any], str], None]] = {
    "sources": lambda record, name: rename_key(record, "sources", name),
    "removed": lambda record, name: rename_key(record, "removed", name),
    "encoders": lambda record, name: rename_key(record, "encoders", name),
    "vectors": lambda record, name: next(iter(record["sources"].values()))["vectors"].update({name: 1}),
    "segments": lambda record, name: record["segments"][0].update(id=name),
    "segments' sources": lambda record, name: record["segments"][0]["source_ids"].append(name),
    "segments' encoder": lambda record, name: record["segments"][0].update(encoder_key=name),
    "encoders' names": lambda record, name: next(iter(record["encoders"].values())).update(name=name),
}


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("name", ["../../victim/sub", "/etc", "..", ".hidden", ""])
def test_every_name_of_a_manifest_passes_the_door(attacked: Attacked, kind: str, name: str) -> None:
    path = forge(attacked.root, lambda record: NAMED[kind](record, name))
    victim = snapshot(attacked.victim)
    for command in ("index", "verify"):
        code, said = attacked.call(command)
        assert code == 5, (command, said)
        assert_names(said, str(path), repr(name), kind.partition("'")[0])
    with pytest.raises(CorpusDamaged, match="cannot name a folder"):
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5")
    assert snapshot(attacked.victim) == victim


@pytest.mark.parametrize("change", [
    lambda record: record.update(generation=10**30), lambda record: record.update(generation="1"),
    lambda record: record.update(sources=[]), lambda record: record.pop("segments"),
    lambda record: record["retired"].update({"index/a": "yesterday"}), lambda record: record.update(removed={"a": 5}),
], ids=["number", "text", "list", "nothing", "no-time", "no-list"])
def test_a_manifest_that_is_none_is_damage_though_its_digest_fits(
    attacked: Attacked, change: Callable[[dict[str, Any]], None]
) -> None:
    path = forge(attacked.root, change)
    for command in ("index", "verify"):
        code, said = attacked.call(command)
        assert code == 5
        assert_names(said, str(path))
    assert attacked.call("verify --repair") == (0, "")


@pytest.mark.parametrize("pointer", ["9" * 5000, "٣", "-1", "../1", "1/../2", "1e3"])
def test_a_pointer_holds_a_number(attacked: Attacked, pointer: str) -> None:
    digest = (attacked.root / "CURRENT").read_text().split()[1]
    (attacked.root / "CURRENT").write_text(f"{pointer} {digest}\n", encoding="utf-8")
    for command in ("index", "verify"):
        code, said = attacked.call(command)
        assert code == 5
        assert_names(said, str(attacked.root / "CURRENT"))


@pytest.mark.parametrize("name", ["../../../victim/precious", "{victim}/precious", "windows/../../x", "", "a//b"])
def test_a_seal_names_files_inside_its_folder(attacked: Attacked, name: str) -> None:
    path = attacked.place("sources/ID/group.json")
    record = json.loads(path.read_text())
    record["files"][name.format(victim=attacked.victim)] = [11, "0" * 64]
    path.write_bytes(seal(record))
    code, said = attacked.call("verify")
    assert code == 5
    assert_names(said, str(path), "outside the folder")
    with pytest.raises(CorpusDamaged, match="outside the folder"):
        Digests.open(path.parent)


@pytest.mark.parametrize("field", ["arrays", "cells"])
def test_the_record_of_a_segment_names_files_inside_its_folder(attacked: Attacked, field: str) -> None:
    from pipeline.index.folder import _record_digest

    path = attacked.place("index/SEG/segment.json")
    record = json.loads(path.read_text())
    del record["sha256"]
    record.setdefault(field, {})["../../../victim/sub"] = {"sha256": "0" * 64} if field == "arrays" else 5
    path.write_text(json.dumps({**record, "sha256": _record_digest(record)}))
    code, said = attacked.call("verify")
    assert code == 5
    assert_names(said, str(path), "../../../victim/sub")


@pytest.mark.parametrize("named", ["../../victim/sub", "GBT_1_2_other_0123456789"])
def test_a_group_that_says_it_is_another_is_not_taken_in(attacked: Attacked, named: str) -> None:
    stranger = attacked.root / "sources" / "GBT_1_2_stranger_0123456789"
    shutil.copytree(attacked.place("sources/ID"), stranger)
    record = json.loads((stranger / "group.json").read_text())
    record["source"]["id"] = named
    (stranger / "group.json").write_bytes(seal(record))
    before = (attacked.root / "CURRENT").read_bytes()
    for command in ("ingest", "index", "embed", "remove", "verify"):
        code, said = attacked.call(command)
        assert code == 5, command
        assert_names(said, str(stranger), named)
    assert (attacked.root / "CURRENT").read_bytes() == before
    assert attacked.call("verify --repair") == (0, "")
    assert not stranger.exists()


LINKED = ["staging", "index", "manifest", "sources", "vectors", "vectors/KEY", "damaged", "encoders", "lock",
          "sources/ID", "vectors/KEY/ID", "index/SEG", "encoders/spectral", "encoders/.spectral.mended",
          "damaged/sources", "damaged/vectors", "damaged/vectors/KEY", "damaged/sources/ID", "damaged/index/SEG",
          "damaged/corpus.toml", "lock/00000999", "manifest/00000001.json", "index/x-0123456789ab.partial",
          "staging/20260101T000000-1-0123abcd", f"staging/.{'0' * 32}"]


def make_link(attacked: Attacked, place: str) -> Path:
    """Put a link to the victim at a place of the corpus. A folder that was there is moved to the victim."""
    path = attacked.place(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    target = attacked.victim
    if path.is_dir():
        target = attacked.victim / "moved"
        shutil.move(path, target)
        shutil.copytree(attacked.victim / "sub", target / "sub")
        shutil.copy(attacked.victim / "precious", target / f"precious-{path.name[:8]}")
    elif path.suffix in (".toml", ".json") or path.parent.name == "lock":
        path.unlink(missing_ok=True)
        target = attacked.victim / "precious"
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("place", LINKED)
def test_nothing_is_written_moved_or_deleted_through_a_link(attacked: Attacked, place: str) -> None:
    link = make_link(attacked, place)
    victim, target = snapshot(attacked.victim), os.readlink(link)
    for command in COMMANDS:
        code, said = attacked.call(command)
        assert code == (3 if command == "nightly" else 5), (command, said)
        assert_names(said, str(link), target, "link")
        assert snapshot(attacked.victim) == victim, command
        assert os.readlink(link) == target


def test_a_repair_does_not_put_a_copy_of_the_configuration_into_a_link(attacked: Attacked) -> None:
    make_link(attacked, "damaged/corpus.toml")
    truncate(attacked.root / "corpus.toml")
    victim = snapshot(attacked.victim)
    code, said = attacked.call("verify --repair")
    assert code == 5
    assert_names(said, str(attacked.root / "damaged" / "corpus.toml"), "link")
    assert snapshot(attacked.victim) == victim
    (attacked.root / "damaged" / "corpus.toml").unlink()
    assert attacked.call("verify --repair") == (0, "")
    assert (attacked.root / "damaged" / "corpus.toml").is_file()


@pytest.mark.parametrize("place", ["sources", "vectors", "vectors/KEY", "index", "manifest", "sources/ID", "index/SEG"])
def test_a_search_reads_through_links(attacked: Attacked, place: str) -> None:
    window = f"{attacked.source_id}/5"
    before = [hit.score for hit in open_corpus(attacked.root).search(window=window, k=10)]
    make_link(attacked, place)
    assert [hit.score for hit in open_corpus(attacked.root).search(window=window, k=10)] == before
    assert len(before) == 10


def test_the_corpus_itself_may_be_a_link(attacked: Attacked, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(attacked.root)
    linked = replace(attacked, root=tmp_path / "link")
    assert {command: linked.call(command)[0] for command in COMMANDS} == dict.fromkeys(COMMANDS, 0)


def test_the_configuration_is_the_users_own_and_may_be_a_link(attacked: Attacked) -> None:
    shutil.move(attacked.root / "corpus.toml", attacked.victim / "corpus.toml")
    (attacked.root / "corpus.toml").symlink_to(attacked.victim / "corpus.toml")
    victim = snapshot(attacked.victim)
    assert {command: attacked.call(command)[0] for command in COMMANDS} == dict.fromkeys(COMMANDS, 0)
    assert snapshot(attacked.victim) == victim
    assert verify(attacked.root).foreign == ()


def test_a_link_inside_a_group_is_damage_and_is_mended_without_its_target(attacked: Attacked) -> None:
    inside = attacked.place("sources/ID/cutout")
    shutil.move(inside, attacked.victim / "cutout")
    inside.symlink_to(attacked.victim / "cutout")
    victim = snapshot(attacked.victim)
    code, said = attacked.call("verify")
    assert code == 5
    assert_names(said, str(inside), "is a link")
    assert attacked.call("verify --repair") == (0, "")
    assert inside.is_dir()
    assert not inside.is_symlink()
    assert snapshot(attacked.victim) == victim


FOREIGN_FOLDERS = ["@eaDir", ".snapshot", "lost+found", ".hidden"]
FOREIGN_FILES = ["notes.txt", ".DS_Store", ".nfs000000000001", "notes.txt~", ".notes.swp", "#notes#", "old.bak"]
PLACES = ["", "staging", "index", "manifest", "sources", "vectors", "vectors/KEY", "encoders", "encoders/fake", "lock",
          "damaged", "damaged/sources", "damaged/vectors/KEY", "sources/ID", "sources/ID/cutout", "vectors/KEY/ID",
          "index/SEG"]


def litter(folder: Path) -> dict[Path, bytes | None]:
    """Write files that other programs leave in folders; return them with their content."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.parent.name == "encoders":
        (folder / "projection.npz").write_bytes(b"a projection of before there were copies")
    for name in FOREIGN_FOLDERS:
        (folder / name).mkdir()
        if name != "lost+found":
            (folder / name / "c").write_text("named as the store names its own")
    for name in FOREIGN_FILES:
        (folder / name).write_text("mine")
    if folder.name == "lock":
        for name in ("5", "٣", "007"):
            (folder / name).write_text("mine")
    (folder / "old.lnk").symlink_to("/nowhere")
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.iterdir())
            if path.name in {*FOREIGN_FOLDERS, *FOREIGN_FILES, "5", "٣", "007", "old.lnk"}}


@pytest.mark.parametrize("place", PLACES)
def test_files_of_other_programs_stop_nobody_and_are_left_alone(attacked: Attacked, place: str) -> None:
    mine = litter(attacked.place(place))
    for command in COMMANDS:
        assert attacked.call(command) == (0, ""), command
        assert all(os.path.lexists(path) for path in mine), command
        assert {path: path.read_bytes() for path in mine if path.is_file()} == {
            path: content for path, content in mine.items() if content is not None}
        assert all((path / "c").is_file() for path in mine if path.is_dir() and path.name != "lost+found")
    assert attacked.source_id not in CorpusStore.open(attacked.root).manifest().sources, "remove has worked"
    found = verify(attacked.root)
    assert set(found.foreign) == set(mine)
    assert found.to_json()["foreign"] == sorted(map(str, mine))


def test_what_a_stranger_left_in_a_folder_that_goes_is_kept_and_named(attacked: Attacked) -> None:
    mine = attacked.place("sources/ID/cutout/notes.txt")
    mine.write_text("mine")
    assert attacked.call("remove") == (0, "")
    due = int(time.time()) - 2 * GRACE_S  # and a run has found that the first day is over
    forge(attacked.root, lambda record: record["retired"].update(dict.fromkeys(record["retired"], due)))
    for retired in CorpusStore.open(attacked.root).manifest().retired:
        os.utime(attacked.root / retired, (due + GRACE_S, due + GRACE_S))
    folder = attacked.place("sources/ID")
    for command in ("index", "ingest", "verify --repair"):
        assert attacked.call(command) == (0, "")
    assert not folder.exists()
    (kept,) = verify(attacked.root).foreign
    assert kept.read_text() == "mine"
    assert kept.relative_to(attacked.root).parts[0] == "staging"
    assert [path for path in (attacked.root / "staging").rglob("*") if path.is_file()] == [kept]


def test_a_repair_keeps_what_a_stranger_left_in_what_it_replaces(attacked: Attacked) -> None:
    mine = attacked.place("sources/ID/notes.txt")
    mine.write_text("mine")
    flip(attacked.place("sources/ID/windows.npy"))
    assert attacked.call("verify --repair") == (0, "")
    (kept,) = verify(attacked.root).foreign
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
@pytest.mark.parametrize("place", ["lock/00000999", "manifest/00000001.json", "sources/ID/group.json"])
def test_what_is_no_file_is_not_waited_for(attacked: Attacked, make: Callable[[Path], None], place: str) -> None:
    path = attacked.place(place)
    path.unlink(missing_ok=True)
    make(path)
    codes = {command: attacked.call(command)[0] for command in ("verify", *(WRITERS[:1] if "lock" in place else []))}
    is_harmless = make is Path.mkdir and place.startswith("lock")
    assert codes["verify"] == (0 if is_harmless else 5)
    assert codes.get("ingest", 5) == 5


def test_the_last_number_of_a_lock_is_said_to_be_the_last(attacked: Attacked) -> None:
    path = attacked.root / "lock" / ("9" * 18)
    path.write_bytes(b"released")
    code, said = attacked.call("index")
    assert code == 5
    assert_names(said, str(path), "delete the file")
    path.unlink()
    assert attacked.call("index") == (0, "")


def test_a_lock_that_is_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CorpusDamaged, match="is a link to"):
        Lease.acquire(tmp_path / "lock")
    assert not (tmp_path / "nowhere").exists()


def test_a_segment_is_not_written_into_a_link(tmp_path: Path) -> None:
    import numpy as np

    victim = tmp_path / "victim"
    victim.write_text("of somebody")
    partial = tmp_path / "index" / "a.partial"
    partial.mkdir(parents=True)
    for name in ("segment.json", "centroids.npy"):
        (partial / name).symlink_to(victim if name == "centroids.npy" else tmp_path / "made")
    write_segment(partial, {}, {"centroids": np.zeros((2, 3), np.float32)})
    assert victim.read_text() == "of somebody"
    assert not (tmp_path / "made").exists()
    write_array(partial / "centroids.npy", np.zeros((2, 3), np.float32))
    (partial / "spool-0123").symlink_to(tmp_path)
    with pytest.raises(CorpusDamaged, match="is a link to"):
        publish_routed(partial, tmp_path / "index" / "a", {"cell-0000": 1}, ("s",), (0.1,))
    assert victim.exists()
    with new_folder(tmp_path / "index" / "b") as folder:
        (folder / "vectors.npy").write_bytes(b"")
    assert (tmp_path / "index" / "b").is_dir()


def test_deleting_and_moving_go_through_no_link(tmp_path: Path) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    (victim / "sub").mkdir(parents=True)
    (victim / "file").write_text("of somebody")
    (root / "own" / "deeper").mkdir(parents=True)
    (root / "own" / "deeper" / "link").symlink_to(victim)
    (root / "link").symlink_to(victim)
    before = snapshot(victim)
    attempts: list[Callable[[], None]] = [
        lambda: remove_tree(root, root / "link"), lambda: remove_tree(root, root / "link" / "sub"),
        lambda: remove_file(root, root / "link" / "file"), lambda: move(root, root / "link", root / "new"),
        lambda: move(root, root / "link" / "sub", root / "new"), lambda: move(root, root / "own", root / "link"),
        lambda: move(root, root / "own", root / "link" / "new")]
    for attempt in attempts:
        with pytest.raises(CorpusDamaged, match="is a link to"):
            attempt()
    remove_empty(root, root / "link" / "sub")
    remove_file(root, root / "link")
    assert (root / "link").is_symlink()
    for outside in (root / ".." / "victim", victim, root):
        with pytest.raises(ValueError, match=r"victim|root"):
            remove_tree(root, outside)
    remove_tree(root, root / "own")
    assert not (root / "own").exists()
    assert snapshot(victim) == before


def test_a_folder_that_is_named_is_not_deleted_because_it_is_retired_as_well(attacked: Attacked) -> None:
    forge(attacked.root, lambda record: record["retired"].update({f"sources/{attacked.source_id}": 0.0}))
    assert attacked.call("index") == (0, "")
    assert attacked.place("sources/ID/group.json").is_file()


ONLY_HERE = {"rmtree", "unlink", "rmdir", "rename", "renames", "removedirs", "remove"}


def test_nothing_else_in_store_index_and_run_deletes_or_renames() -> None:
    """Only ``support.safe_files`` deletes and renames. ``support.durable`` renames only files that it wrote itself."""
    package = Path(pipeline.__file__).parent
    for layer in ("store", "index", "run", "nightly"):
        for path in sorted((package / layer).rglob("*.py")):
            calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert not [f"{path}:{call.lineno}" for call in calls
                        if isinstance(call, ast.Attribute) and call.attr in ONLY_HERE]


@pytest.mark.parametrize("kind", ["sources/foreign_notes", "index/foreign"])
def test_folders_of_other_programs_stay_though_a_manifest_says_that_they_left(attacked: Attacked, kind: str) -> None:
    folder = attacked.root / kind
    folder.mkdir(parents=True)
    (folder / "README").write_text("mine")
    store = CorpusStore.open(attacked.root)
    write_generation(attacked.root, replace(store.manifest(), generation=store.manifest().generation + 1,
                                            retired={kind: 0.0}))
    CorpusStore.open(attacked.root).clean_retired()
    assert (folder / "README").read_text() == "mine"


@pytest.mark.parametrize("task", ["train", "spool", "publish"])
def test_a_routed_segment_is_not_built_through_a_link(tmp_path: Path, task: str) -> None:
    victim, partial = tmp_path / "victim", tmp_path / "index" / "xy.partial"
    victim.mkdir()
    (victim / "notes").write_text("mine")
    partial.parent.mkdir()
    partial.symlink_to(victim)
    entry = SegmentEntry("xy", "k", "r", 1, ("A",), cells=(0,))
    run = {
        "train": lambda: tasks.train(tmp_path, entry, partial),
        "spool": lambda: tasks.spool(tmp_path, entry, partial, partial, ("A",), None),
        "publish": lambda: publish_routed(partial, partial.with_name("xy"), {}, ("A",), (0.0, 0.0)),
    }[task]
    with pytest.raises(CorpusDamaged, match=r"xy\.partial: is a link"):
        run()
    assert [path.name for path in victim.iterdir()] == ["notes"]


def test_a_name_with_a_space_is_none_of_the_store() -> None:
    with pytest.raises(BadName):
        checked("x y")
