import json
import random
import shlex
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.errors import CorpusDamaged
from pipeline.store.digests import Digests

FILES = {"zarr.json": b'{"attributes": {}}', "windows/x/zarr.json": b'{"shape": [3]}',
         "windows/x/c/0": bytes(range(256)), "windows/xy/c/0": b"other"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a corpus" / "sources" / "A"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    Digests.of(folder).write()
    return folder


def test_a_seal_lists_every_other_file_with_size_and_digest(folder: Path):
    record = json.loads((folder / "digests.json").read_text())
    assert record == {name: [len(content), sha256(content).hexdigest()] for name, content in FILES.items()}
    Digests.open(folder).verify()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_shorter_file_is_found_on_opening(folder: Path, name: str):
    (folder / name).write_bytes(FILES[name][:-1])
    with pytest.raises(CorpusDamaged, match=f"{folder}: {name} has {len(FILES[name]) - 1} bytes"):
        Digests.open(folder)
    (folder / name).unlink()
    with pytest.raises(CorpusDamaged, match=f"{folder}: {name}: No such file") as caught:
        Digests.open(folder)
    command = str(caught.value).partition("; mend it with: ")[2]
    assert shlex.split(command) == ["lookalike", "verify", "--repair", "--corpus", str(folder.parents[1])]


def test_a_flipped_bit_is_found_in_metadata_on_opening_and_in_data_by_verify(folder: Path):
    rng = random.Random(0)
    for name, content in FILES.items():
        altered = bytearray(content)
        altered[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(altered)
        if name.endswith("zarr.json"):
            with pytest.raises(CorpusDamaged, match=name):
                Digests.open(folder)
        else:
            with pytest.raises(CorpusDamaged, match=name):
                Digests.open(folder).verify()
        (folder / name).write_bytes(content)


def test_one_array_is_checked_by_its_own_files_only(folder: Path):
    seal = Digests.open(folder)
    (folder / "windows/xy/c/0").unlink()
    seal.check("windows/x/")
    with pytest.raises(CorpusDamaged, match="windows/xy/c/0"):
        seal.check("windows/xy/")


@pytest.mark.parametrize("rubbish", [b"", b"[]", b'{"a": 1}', b'{"a": ["x", "y"]}', b"\xff"])
def test_an_unreadable_seal_is_damage(folder: Path, rubbish: bytes):
    (folder / "digests.json").write_bytes(rubbish)
    with pytest.raises(CorpusDamaged, match=r"digests\.json"):
        Digests.open(folder)


def test_a_digest_covers_the_files_under_its_prefix(folder: Path):
    before = Digests.open(folder)
    (folder / "zarr.json").write_bytes(b"another")
    after = Digests.of(folder)
    assert after.digest("windows/") == before.digest("windows/")
    assert after.digest("") != before.digest("")
    (folder / "windows/x/c/0").write_bytes(bytes(256))
    assert Digests.of(folder).digest("windows/") != before.digest("windows/")


def test_every_fault_is_listed_and_what_is_not_sealed_is_one(folder: Path):
    assert list(Digests.read(folder).faults()) == []
    (folder / "zarr.json").write_bytes(b'{"attributes": []}')
    (folder / "windows/x/c/0").write_bytes(b"short")
    (folder / "windows/xy/c/0").unlink()
    (folder / "windows/more").write_bytes(b"")
    (folder / ".nfs01").write_bytes(b"")
    assert {str(path.relative_to(folder)): message for path, message in Digests.read(folder).faults()} == {
        "zarr.json": "does not match its digest",
        "windows/x/c/0": "has 5 bytes, not 256",
        "windows/xy/c/0": "cannot be read (No such file or directory)",
        "windows/more": "is not in digests.json",
    }
