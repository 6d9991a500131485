"""The seal of a finished folder: size and sha256 of each file in it.

Zarr reads a missing chunk as zeros, without an error; the seal is what tells that it is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline.errors import CorpusDamaged
from pipeline.safe import is_own
from pipeline.store.door import BadName, checked_path
from pipeline.store.layout import mending_of

SEAL = "digests.json"
Fault = tuple[Path, str]
"""A file or folder that is damaged, and what is wrong with it."""
_METADATA = "zarr.json"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a folder must hold."""

    folder: Path
    files: Mapping[str, tuple[int, str]]
    """Relative path → (bytes, sha256)."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Take the seal of a folder as it is now."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL
                       and _is_own(path.relative_to(folder)))  # what another program has left there may go any time
        return cls(folder, {str(p.relative_to(folder)): (p.stat().st_size, _sha256(p)) for p in paths})

    def write(self) -> None:
        """Write the seal into its folder."""
        # a group's file names are this package's own, all ASCII
        (self.folder / SEAL).write_text(json.dumps(self.files, indent=0), encoding="ascii")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's seal, and nothing else of it; :class:`CorpusDamaged` where it is missing or unreadable."""
        try:
            record = json.loads((folder / SEAL).read_bytes())
            files = {checked_path(path): (int(size), str(digest)) for path, (size, digest) in record.items()}
        except BadName as error:
            raise CorpusDamaged(f"{folder}: {SEAL} names a file outside the folder ({error}); "
                                f"{mending_of(folder)}") from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CorpusDamaged(f"{folder}: {SEAL} is missing or altered ({error}); {mending_of(folder)}") from error
        return cls(folder, files)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read a folder's seal and check it: every file is there, of its size; metadata byte for byte.

        Raises
        ------
        CorpusDamaged
            Seal or file are missing or differ; the message names folder and file.
        """
        seal = cls.read(folder)
        seal.check()
        for path, (_, digest) in seal.files.items():
            if path.endswith(_METADATA) and _sha256(folder / path) != digest:
                raise CorpusDamaged(f"{folder}: {path} does not match its digest; {mending_of(folder)}")
        return seal

    def check(self, array: str = "") -> None:
        """Raise :class:`CorpusDamaged` if a file (of one array) is missing or of another size: cheap."""
        for path, (size, _) in self.files.items():
            if path.startswith(f"{array}/" if array else ""):
                try:
                    found = os.stat(self.folder / path).st_size
                except OSError as error:
                    raise CorpusDamaged(f"{self.folder}: {path}: {error.strerror}; "
                                        f"{mending_of(self.folder)}") from error
                if found != size:
                    raise CorpusDamaged(f"{self.folder}: {path} has {found} bytes, not {size}; "
                                        f"{mending_of(self.folder)}")

    def faults(self) -> Iterator[Fault]:
        """Yield each file that differs from its digest, or has none, and how: reads everything.

        Files whose names a seal would not hold are somebody else's, and no fault.
        """
        for name, (size, digest) in self.files.items():
            path = self.folder / name
            try:
                found = path.stat().st_size
                if found != size:
                    yield path, f"has {found:,} bytes, not {size:,}"
                elif _sha256(path) != digest:
                    yield path, "does not match its digest"
            except OSError as error:
                yield path, f"cannot be read ({error.strerror})"
        known = {self.folder / name for name in self.files} | {self.folder / SEAL}
        for path in sorted(self.folder.rglob("[!.]*")):
            if path not in known and path.is_file() and _is_own(path.relative_to(self.folder)):
                yield path, f"is not in {SEAL}"

    def verify(self) -> None:
        """Raise :class:`CorpusDamaged` if any file differs from its digest: reads everything."""
        for path, message in self.faults():
            raise CorpusDamaged(f"{self.folder}: {path.relative_to(self.folder)} {message}; {mending_of(self.folder)}")

    def digest(self, prefix: str) -> str:
        """Return one sha256 for all files whose path starts with ``prefix``."""
        files = {path: record for path, record in self.files.items() if path.startswith(prefix)}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode("ascii")).hexdigest()


def _is_own(path: Path) -> bool:
    return all(is_own(name) for name in path.parts)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
