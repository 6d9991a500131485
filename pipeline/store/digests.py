"""Digests of a finished folder: size and sha256 of each file in it.

Zarr reads a missing chunk as zeros, without an error. The digests show that it is missing.

A group of format 2 has its digests in ``group.json``, with its attributes. Groups of format 1 and projections have them
in ``digests.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.errors import CorpusDamaged
from pipeline.store.layout import ENCODERS, mending_of
from pipeline.store.safe_names import BadName, checked_path
from pipeline.support.records import ByteCount, json_of, value_of
from pipeline.support.regular_files import file_size, read_file
from pipeline.support.safe_files import is_own
from pipeline.support.sealed_json import is_whole, sealed

DIGESTS_FILE = "digests.json"
GROUP_FILE = "group.json"
Fault = tuple[Path, str]
"""Path of a damaged file or folder, and what is wrong with it."""
METADATA = "zarr.json"
"""Name of the file that describes a Zarr group or array."""
MAX_METADATA_BYTES = 1 << 24
"""Largest size of a file with metadata or digests."""
MAX_FILE_BYTES = 1 << 36
"""Largest size of any file of a group. A larger one is damaged, and is not read."""
_FILES = "files"
_FILES_TYPE: Any = dict[str, tuple[ByteCount, str]]


@dataclass(frozen=True, slots=True)
class Digests:
    """The files that a folder must hold."""

    folder: Path
    files: Mapping[str, tuple[int, str]]
    """Relative path → (bytes, sha256)."""
    name: str = DIGESTS_FILE
    """Name of the file that holds the digests."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of a ``group.json``."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Compute the digests of a folder as it is now."""
        paths = sorted(path for path in folder.rglob("*")
                       if path.is_file() and path.name not in (DIGESTS_FILE, GROUP_FILE)
                       and _is_own(path.relative_to(folder)))  # files of other programs may vanish at any time
        return cls(folder, {str(p.relative_to(folder)): (p.stat().st_size, _sha256(p)) for p in paths})

    def write(self) -> None:
        """Write the digests into their folder, as ``digests.json``."""
        # this package chooses the file names of a group: all are ASCII
        (self.folder / DIGESTS_FILE).write_text(json.dumps(self.files, indent=0), encoding="ascii")

    def write_group(self, attributes: Mapping[str, Any]) -> None:
        """Write the digests into their folder with the attributes of a group, as ``group.json``."""
        content = b"".join(sealed([json.dumps({**attributes, _FILES: self.files})]))
        (self.folder / GROUP_FILE).write_bytes(content)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the digests of a folder, and no other file; raise :class:`CorpusDamaged` if they are damaged."""
        name = digests_file(folder)
        is_group = name == GROUP_FILE
        try:
            content = read_file(folder / name, MAX_METADATA_BYTES)
            record = value_of(dict[str, Any], json_of(content))
            if is_group and not is_whole(content):
                raise ValueError("does not match its own digest")
            listed = value_of(_FILES_TYPE, record.pop(_FILES) if is_group else record)
            files = {checked_path(path): entry for path, entry in listed.items()}
        except BadName as error:
            raise CorpusDamaged(f"{folder}: {name} names a file outside the folder ({error}); "
                                f"{mending_of(folder)}") from error
        except PermissionError:
            raise
        except (OSError, ValueError, KeyError) as error:
            raise CorpusDamaged(f"{folder}: {name} is missing or altered ({error}); "
                                f"{mending_of(folder)}") from error
        return cls(folder, files, name, record if is_group else {})

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the digests of a folder. Check that every file has its size, and every metadata file its digest.

        Raises
        ------
        CorpusDamaged
            The digests or a file are missing or altered. The message names folder and file.
        """
        digests = cls.read(folder)
        digests.check()
        for path, (_, digest) in digests.files.items():
            if path.endswith(METADATA) and _sha256(folder / path, MAX_METADATA_BYTES) != digest:
                raise CorpusDamaged(f"{folder}: {path} does not match its digest; {mending_of(folder)}")
        return digests

    def check(self, prefix: str = "") -> None:
        """Raise :class:`CorpusDamaged` if a file whose path starts with ``prefix`` is missing or has another size."""
        for path, (size, _) in self.files.items():
            if path.startswith(prefix):
                try:
                    found = file_size(self.folder / path)
                except PermissionError:
                    raise
                except OSError as error:
                    raise CorpusDamaged(f"{self.folder}: {path}: {error.strerror}; "
                                        f"{mending_of(self.folder)}") from error
                if found != min(size, MAX_FILE_BYTES):
                    raise CorpusDamaged(f"{self.folder}: {path} has {found} bytes, not {min(size, MAX_FILE_BYTES)}; "
                                        f"{mending_of(self.folder)}")

    def faults(self) -> Iterator[Fault]:
        """Yield each file that differs from its digest or has none, and what is wrong with it. Reads every byte.

        Files that belong to other programs (:func:`pipeline.support.safe_files.is_own`) are no faults. A file that this
        user may not read ends the comparison with a ``PermissionError``.
        """
        for name, (size, digest) in self.files.items():
            path = self.folder / name
            try:
                found = file_size(path)
                if found != min(size, MAX_FILE_BYTES):
                    yield path, f"has {found:,} bytes, not {min(size, MAX_FILE_BYTES):,}"
                elif _sha256(path) != digest:
                    yield path, "does not match its digest"
            except PermissionError:
                raise
            except OSError as error:
                yield path, f"cannot be read ({error.strerror})"
        known = {self.folder / name for name in self.files} | {self.folder / self.name}
        for path in sorted(self.folder.rglob("[!.]*")):
            if path not in known and path.is_file() and _is_own(path.relative_to(self.folder)):
                yield path, f"is not in {self.name}"

    def verify(self) -> None:
        """Raise :class:`CorpusDamaged` if any file differs from its digest. Reads every byte."""
        for path, message in self.faults():
            raise CorpusDamaged(f"{self.folder}: {path.relative_to(self.folder)} {message}; {mending_of(self.folder)}")

    def digest(self, *prefixes: str) -> str:
        """Return one sha256 over all files whose path starts with one of the prefixes."""
        files = {path: record for path, record in self.files.items() if path.startswith(prefixes)}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode("ascii")).hexdigest()


def digests_file(folder: Path) -> str:
    """Return the name of the file that has the digests of a folder, or should have them."""
    is_group = os.path.lexists(folder / GROUP_FILE) or not (
        folder.parent.name == ENCODERS or os.path.lexists(folder / DIGESTS_FILE) or os.path.lexists(folder / METADATA))
    return GROUP_FILE if is_group else DIGESTS_FILE


def _is_own(path: Path) -> bool:
    return all(is_own(name) for name in path.parts)


def _sha256(path: Path, most: int = MAX_FILE_BYTES) -> str:
    """Return the digest of a file; an empty text for a file that is larger than ``most`` bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if os.fstat(file.fileno()).st_size <= most else ""
