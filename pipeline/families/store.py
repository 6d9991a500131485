"""Families on disk: a folder beside the corpus, ``CORPUS-families``.

It holds ``families.json``, a copy of it, and one file of members. Ingests, repairs and upgrades of the corpus do not
touch them. An update writes a new file of members first and ``families.json`` last, so a reader finds either the old
families or the new ones.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.families.table import Entry, FamilyTable
from pipeline.store import Lease, pasted
from pipeline.support.array_headers import evaluated
from pipeline.support.durable import atomic_file, make_folder, write_atomic, write_npy
from pipeline.support.records import ByteCount, Count, RowCount, UnixSeconds, json_of, record_of
from pipeline.support.regular_files import read_file
from pipeline.support.safe_files import remove_file
from pipeline.support.sealed_json import is_whole, sealed

FORMAT = 1
RECORD_FILE, COPY_FILE, LOCK_FOLDER = "families.json", "families.copy", ".lock"
MEMBER_TYPE = np.dtype([("number", "<i8"), ("family", "<i4")])
"""A row of the file of members: number of a window, and number of its family; 0 for none."""
MAX_RECORD_BYTES, MAX_MEMBER_BYTES = 1 << 30, 1 << 36
Fault = tuple[Path, str]
"""Path of a damaged file, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Record:
    """Content of ``families.json``."""

    format: Count
    encoder: str
    generation: Count
    made_s: UnixSeconds
    families: tuple[Entry, ...]
    sources: tuple[tuple[str, RowCount], ...]
    """Sources, and how many rows of the file of members each has, in its order."""
    members: tuple[str, ByteCount, str]
    """Name, bytes and sha256 of the file of members."""


def families_folder(root: Path) -> Path:
    """Return the folder of the families of a corpus, which may not exist: ``CORPUS-families`` beside it."""
    root = root.absolute()
    return root.with_name(f"{root.name}-families")


def has_families(root: Path) -> bool:
    """Tell whether families of a corpus were found before."""
    return any((families_folder(root) / name).exists() for name in (RECORD_FILE, COPY_FILE))


@contextmanager
def writing_families(root: Path) -> Iterator[None]:
    """Be the only writer of the families within a ``with`` block.

    Raises
    ------
    CorpusLocked
        Another process is finding families of this corpus.
    """
    make_folder(families_folder(root))
    lease = Lease.acquire(families_folder(root) / LOCK_FOLDER)
    try:
        yield
    finally:
        lease.release()


def read_families(root: Path) -> FamilyTable | None:
    """Read the families of a corpus; None if none were found yet.

    Raises
    ------
    CorpusDamaged
        A file is missing or altered.
    CorpusMismatch
        A newer version of the program wrote them.
    """
    folder = families_folder(root)
    if not has_families(root):
        return None
    while True:
        content = _read_record(root, folder / RECORD_FILE)
        try:
            return _table(root, folder, content)
        except CorpusDamaged:
            if _read_record(root, folder / RECORD_FILE) == content:  # no other process has written meanwhile
                raise


def _read_record(root: Path, path: Path) -> bytes:
    try:
        content = read_file(path, MAX_RECORD_BYTES)
    except PermissionError:
        raise
    except OSError as error:
        raise CorpusDamaged(f"{path}: {error.strerror}; {_mending(root)}") from error
    if not is_whole(content):
        raise CorpusDamaged(f"{path}: does not match its own digest; {_mending(root)}")
    return content


def _table(root: Path, folder: Path, content: bytes) -> FamilyTable:
    """Make the table of the content of ``families.json`` and the file of members that it names."""
    try:
        value = json_of(content)
        if isinstance(value, dict) and isinstance(value.get("format"), int) and value["format"] > FORMAT:
            raise CorpusMismatch(f"{folder}: has format {value['format']}, this version reads up to {FORMAT}; update "
                                 "the program")
        record = record_of(_Record, value, has_more=True)
        sources = _members(folder, record)
        entries = {one.number: one for one in record.families}
        found = {int(families.max()) for _, families in sources.values() if len(families)}
        if len(entries) != len(record.families) or max(found, default=0) > max(entries, default=0):
            raise ValueError("names a family twice or not at all")
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, CorpusMismatch):
            raise
        raise CorpusDamaged(f"{folder}: cannot be used ({error}); {_mending(root)}") from error
    return FamilyTable(record.encoder, record.generation, record.made_s, entries, sources)


def _members(folder: Path, record: _Record) -> dict[str, Any]:
    """Read the file of members, check it, and cut it into sources."""
    name, size, digest = record.members
    if Path(name).name != name or not name.startswith("members-"):
        raise ValueError(f"{name[:100]!r} is no file of members")
    content = read_file(folder / name, min(size, MAX_MEMBER_BYTES), is_text=False)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{name} does not match its digest")
    rows = evaluated(lambda: np.load(io.BytesIO(content), allow_pickle=False))
    ends = np.cumsum([0, *(count for _, count in record.sources)])
    if rows.dtype != MEMBER_TYPE or rows.shape != (int(ends[-1]),):
        raise ValueError(f"{name} holds {rows.dtype} of shape {rows.shape}, not {int(ends[-1])} members")
    if (rows["family"] < 0).any():
        raise ValueError(f"{name} holds a negative number of a family")
    numbers, families = np.ascontiguousarray(rows["number"]), np.ascontiguousarray(rows["family"])
    out = {source_id: (numbers[first:stop], families[first:stop]) for (source_id, _), first, stop in
           zip(record.sources, ends[:-1].tolist(), ends[1:].tolist(), strict=True)}
    if any((np.diff(ids) <= 0).any() or (len(ids) and ids[0] < 0) for ids, _ in out.values()):
        raise ValueError(f"{name} holds numbers of windows that do not ascend")
    return out


def write_families(root: Path, table: FamilyTable) -> None:
    """Write the families of a corpus. The caller holds :func:`writing_families`."""
    folder = families_folder(root)
    rows = np.empty(sum(len(numbers) for numbers, _ in table.sources.values()), MEMBER_TYPE)
    parts = list(table.sources.values())
    rows["number"] = np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in parts)])
    rows["family"] = np.concatenate([np.empty(0, np.int32), *(families for _, families in parts)])
    content = io.BytesIO()
    write_npy(content, rows)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()
    name = f"members-{digest[:16]}.npy"
    with atomic_file(folder / name) as file:
        file.write(content.getbuffer())
    record = {"format": FORMAT, "encoder": table.encoder_key, "generation": table.generation, "made_s": table.made_s,
              "families": [asdict(one) for one in table.entries.values()],
              "sources": [[source_id, len(numbers)] for source_id, (numbers, _) in table.sources.items()],
              "members": [name, content.getbuffer().nbytes, digest]}
    text = b"".join(sealed([json.dumps(record)]))
    write_atomic(folder / COPY_FILE, text)
    write_atomic(folder / RECORD_FILE, text)
    for path in folder.glob("members-*.npy"):
        if path.name != name:
            remove_file(folder, path)


def faults_of_families(root: Path) -> Iterator[Fault]:
    """Compare the families of a corpus with their digests. Yield each damaged file, and what is wrong with it."""
    folder = families_folder(root)
    for name in (RECORD_FILE, COPY_FILE):
        try:
            _table(root, folder, _read_record(root, folder / name))
        except (CorpusDamaged, CorpusMismatch) as error:
            yield folder / name, str(error).removeprefix(f"{folder / name}: ").rsplit("; ", 1)[0]


def mend_families(root: Path) -> bool:
    """Replace ``families.json`` or its copy by the other one, where that is whole. Return True if both are whole now.

    The caller holds no lock: both files were whole once, and an update replaces both.
    """
    folder = families_folder(root)
    with writing_families(root):
        for good, bad in ((RECORD_FILE, COPY_FILE), (COPY_FILE, RECORD_FILE)):
            try:
                content = _read_record(root, folder / good)
                _table(root, folder, content)
            except CorpusDamaged:
                continue
            write_atomic(folder / bad, content)
    return not any(faults_of_families(root))


def _mending(root: Path) -> str:
    return (f"mend them with: {pasted('lookalike verify --repair', root)}; or move {families_folder(root).name} away, "
            f"and find them again with: {pasted('lookalike families', root)}")
