"""Digests of a finished folder: size and sha256 of each file in it.

Zarr reads a missing chunk as zeros, without an error. The digests show that it is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.errors import CorpusDamaged
from pipeline.store.layout import mending_of
from pipeline.store.safe_names import BadName, checked_path
from pipeline.support.records import ByteCount, json_of, value_of
from pipeline.support.regular_files import file_size, read_file
from pipeline.support.safe_files import is_own

DIGESTS_FILE = "digests.json"
Fault = tuple[Path, str]
"""Path of a damaged file or folder, and what is wrong with it."""
METADATA = "zarr.json"
"""Name of the file that describes a Zarr group or array."""
MAX_METADATA_BYTES = 1 << 24
"""Largest size of a file with metadata or digests."""
MAX_FILE_BYTES = 1 << 36
"""Largest size of any file of a group. A larger one is damaged, and is not read."""
_FILES: Any = dict[str, tuple[ByteCount, str]]


@dataclass(frozen=True, slots=True)
class Digests:
    """The files that a folder must hold."""

    folder: Path
    files: Mapping[str, tuple[int, str]]
    """Relative path → (bytes, sha256)."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Compute the digests of a folder as it is now."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGESTS_FILE
                       and _is_own(path.relative_to(folder)))  # files of other programs may vanish at any time
        return cls(folder, {str(p.relative_to(folder)): (p.stat().st_size, _sha256(p)) for p in paths})

    def write(self) -> None:
        """Write the digests into their folder."""
        # this package chooses the file names of a group: all are ASCII
        (self.folder / DIGESTS_FILE).write_text(json.dumps(self.files, indent=0), encoding="ascii")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the digests of a folder, and no other file; raise :class:`CorpusDamaged` if they are damaged."""
        try:
            record = value_of(_FILES, json_of(read_file(folder / DIGESTS_FILE, MAX_METADATA_BYTES)))
            files = {checked_path(path): entry for path, entry in record.items()}
        except BadName as error:
            raise CorpusDamaged(f"{folder}: {DIGESTS_FILE} names a file outside the folder ({error}); "
                                f"{mending_of(folder)}") from error
        except PermissionError:
            raise
        except (OSError, ValueError) as error:
            raise CorpusDamaged(f"{folder}: {DIGESTS_FILE} is missing or altered ({error}); "
                                f"{mending_of(folder)}") from error
        return cls(folder, files)

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

    def check(self, array: str = "") -> None:
        """Raise :class:`CorpusDamaged` if a file, of one array or of all, is missing or has another size."""
        for path, (size, _) in self.files.items():
            if path.startswith(f"{array}/" if array else ""):
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
        known = {self.folder / name for name in self.files} | {self.folder / DIGESTS_FILE}
        for path in sorted(self.folder.rglob("[!.]*")):
            if path not in known and path.is_file() and _is_own(path.relative_to(self.folder)):
                yield path, f"is not in {DIGESTS_FILE}"

    def verify(self) -> None:
        """Raise :class:`CorpusDamaged` if any file differs from its digest. Reads every byte."""
        for path, message in self.faults():
            raise CorpusDamaged(f"{self.folder}: {path.relative_to(self.folder)} {message}; {mending_of(self.folder)}")

    def digest(self, prefix: str) -> str:
        """Return one sha256 over all files whose path starts with ``prefix``."""
        files = {path: record for path, record in self.files.items() if path.startswith(prefix)}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode("ascii")).hexdigest()


def _is_own(path: Path) -> bool:
    return all(is_own(name) for name in path.parts)


def _sha256(path: Path, most: int = MAX_FILE_BYTES) -> str:
    """Return the digest of a file; an empty text for a file that is larger than ``most`` bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if os.fstat(file.fileno()).st_size <= most else ""
