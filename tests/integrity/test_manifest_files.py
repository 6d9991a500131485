"""Pointer and manifests: a corpus can be read if one of these files is damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipeline.catalogue import FileEntry
from pipeline.integrity.manifest_files import mend_head, read_head
from pipeline.store import CorpusStore
from tests.store import conftest as of_stores

store = of_stores.store


@pytest.fixture
def root(store: CorpusStore) -> Path:
    for name in ("/a", "/b", "/c"):
        store.publish(lambda manifest, name=name: manifest.with_files({name: FileEntry(1, 2, "done")}))
    return store.root


def head_files(root: Path) -> dict[str, bytes]:
    paths = [root / "CURRENT", *sorted((root / "manifest").iterdir())]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_whole_head_has_no_faults_and_is_left_alone(root: Path) -> None:
    before = head_files(root)
    assert list(before) == ["CURRENT", *(f"manifest/0000000{i}.json" for i in range(3)), "manifest/00000003.copy",
                            "manifest/00000003.json"]
    head = read_head(root)
    assert (head.faults, head.number, head.is_lost) == ((), 3, False)
    assert set(head.manifest.files) == {"/a", "/b", "/c"}
    mend_head(root)
    assert head_files(root) == before


@pytest.mark.parametrize("name", ["CURRENT", "manifest/00000003.json", "manifest/00000003.copy"])
def test_every_flipped_bit_is_found_where_it_is_and_mended(root: Path, name: str) -> None:
    before = head_files(root)
    bits = range(8 * len(before[name]))
    for bit in bits if len(bits) < 600 else random.Random(0).sample(bits, 600):
        flip(root / name, bit)
        assert [fault[0] for fault in read_head(root).faults] == [root / name], bit
        mend_head(root)
        assert head_files(root) == before, bit


def test_any_two_of_the_three_may_be_lost_but_for_both_manifests(root: Path) -> None:
    before = head_files(root)
    for name in ("manifest/00000003.json", "manifest/00000003.copy"):
        (root / "CURRENT").unlink()
        flip(root / name, 100)
        assert {fault[0] for fault in read_head(root).faults} == {root / "CURRENT", root / name}
        mend_head(root)
        assert head_files(root) == before


def test_where_a_generation_is_lost_the_one_before_becomes_the_next(root: Path) -> None:
    flip(root / "manifest/00000003.json", 50)
    (root / "manifest/00000003.copy").unlink()
    head = read_head(root)
    assert (head.is_lost, head.number, set(head.manifest.files)) == (True, 3, {"/a", "/b"})
    mend_head(root)
    assert read_head(root).faults == ()
    manifest = CorpusStore.open(root).manifest()
    assert (manifest.generation, set(manifest.files)) == (4, {"/a", "/b"})


def test_where_none_is_left_an_empty_one_is_made(root: Path) -> None:
    for path in (root / "manifest").iterdir():
        path.unlink()
    mend_head(root)
    manifest = CorpusStore.open(root).manifest()
    assert (manifest.generation, manifest.sources, manifest.files) == (4, {}, {})
    assert read_head(root).faults == ()


def test_a_manifest_without_a_digest_of_its_own_is_known_by_the_pointer(root: Path) -> None:
    """Manifests of older versions have no digest."""
    import hashlib

    path = root / "manifest/00000003.json"
    (root / "manifest/00000003.copy").unlink()
    content = read_head(root).manifest.to_json().encode()
    path.write_bytes(content)
    (root / "CURRENT").write_text(f"3 {hashlib.sha256(content).hexdigest()}\n")
    assert read_head(root).faults == ()
    assert set(CorpusStore.open(root).manifest().files) == {"/a", "/b", "/c"}
