"""Families on disk: written whole, read back, and damage that is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorpusDamaged, CorpusLocked, CorpusMismatch, QueryError
from pipeline.families import (
    Entry,
    FamilyTable,
    families_folder,
    faults_of_families,
    has_families,
    mend_families,
    read_families,
    write_families,
    writing_families,
)
from pipeline.support.sealed_json import sealed

TABLE = FamilyTable("spectral-v2", 3, 1.7e9, {
    1: Entry(1, ("A", 4), 2, 1.6e9, name="clock", label="ours"), 2: Entry(2, ("B", 0), 3, 1.7e9)},
    {"A": (np.array([1, 4, 9]), np.array([1, 1, 0], np.int32)), "B": (np.array([0]), np.array([2], np.int32)),
     "C": (np.empty(0, np.int64), np.empty(0, np.int32))})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with writing_families(tmp_path / "corpus"):
        write_families(tmp_path / "corpus", TABLE)
    return tmp_path / "corpus"


def members(root: Path) -> Path:
    (path,) = families_folder(root).glob("members-*.npy")
    return path


def test_what_is_written_is_read(root: Path) -> None:
    read = read_families(root)
    assert read is not None
    assert (read.encoder_key, read.generation, read.made_s, read.entries) == (
        TABLE.encoder_key, TABLE.generation, TABLE.made_s, TABLE.entries)
    assert [read.family_of("A", number) for number in (1, 4, 9, 5)] == [1, 1, 0, 0]
    assert read.family_of("B", 0) == 2
    assert read.family_of("C", 0) == read.family_of("D", 0) == 0
    assert read.counts().tolist() == [1, 2, 1]
    assert not list(faults_of_families(root))


def test_a_corpus_without_families(tmp_path: Path) -> None:
    assert not has_families(tmp_path / "corpus")
    assert read_families(tmp_path / "corpus") is None
    assert not families_folder(tmp_path / "corpus").exists()


def test_an_update_leaves_one_file_of_members(root: Path) -> None:
    before = members(root)
    with writing_families(root):
        write_families(root, FamilyTable("spectral-v2", 4, 1.7e9, TABLE.entries, {"B": TABLE.sources["B"]}))
    assert members(root) != before
    assert read_families(root).counts().tolist() == [0, 0, 1]  # type: ignore[union-attr]


def test_one_process_writes_at_a_time(root: Path) -> None:
    with writing_families(root), pytest.raises(CorpusLocked), writing_families(root):
        pass


@pytest.mark.parametrize("name", ["families.json", "members"])
def test_a_flipped_byte_is_found(root: Path, name: str) -> None:
    path = members(root) if name == "members" else families_folder(root) / name
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorpusDamaged, match=r"does not match.*verify --repair"):
        read_families(root)
    assert list(faults_of_families(root))
    assert mend_families(root) == (name != "members")
    assert bool(list(faults_of_families(root))) == (name == "members")


def test_a_missing_record_is_found_and_mended_from_its_copy(root: Path) -> None:
    (families_folder(root) / "families.json").unlink()
    assert has_families(root)
    with pytest.raises(CorpusDamaged, match="No such file"):
        read_families(root)
    assert mend_families(root)
    assert read_families(root).entries == TABLE.entries  # type: ignore[union-attr]


@pytest.mark.parametrize(("old", "new", "said"), [
    ('"format": 1', '"format": 2', "update the program"),
    ('"number": 2', '"number": 1', "twice"),
    ('["A", 3]', '["A", 2]', "not 3 members"),
    ('"members-', '"../members-', "no file of members"),
])
def test_a_record_that_makes_no_sense_is_refused(root: Path, old: str, new: str, said: str) -> None:
    path = families_folder(root) / "families.json"
    text = path.read_text().rpartition(',"sha256"')[0] + "}"
    assert old in text
    path.write_bytes(b"".join(sealed([text.replace(old, new)])))
    with pytest.raises((CorpusDamaged, CorpusMismatch), match=said):
        read_families(root)


def test_a_family_is_named_by_its_id_or_its_name() -> None:
    assert TABLE.entry("F1") is TABLE.entry("clock") is TABLE.entries[1]
    with pytest.raises(QueryError, match=r"F9: there is no such family.*lookalike families"):
        TABLE.entry("F9")
    twice = TABLE.with_text(2, "clock", None)
    with pytest.raises(QueryError, match="2 families have this name"):
        twice.entry("clock")
    assert TABLE.with_text(1, None, "").entries[1] == Entry(1, ("A", 4), 2, 1.6e9, name="clock")
