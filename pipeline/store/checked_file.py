"""Files of numbers whose digest is compared before anything is read."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.support.regular_files import file_size, read_file

MAX_KEPT_BYTES = 1 << 16
"""Largest size of a file that is kept in memory once it was read."""
HEAD_BYTES = 1 << 16
"""Number of bytes at the start of a larger file that are kept in memory, too."""


class CheckedFile:
    """A file whose digest is compared before its content is used. Threads may share one object.

    A small file is read once and kept. The digest of a larger one is compared once, and its numbers are read when they
    are asked for.

    Raises
    ------
    ValueError, OSError
        Every method and property raises one of these if the file is not what was written.
    """

    def __init__(self, path: Path, size: int, sha256: str) -> None:
        self.path = path
        self.size = size
        """Size in bytes, as it was written."""
        self._sha256 = sha256

    @cached_property
    def start(self) -> bytes:
        """The first bytes; all of a small file."""
        if self.size <= MAX_KEPT_BYTES:
            start = read_file(self.path, self.size, is_text=False)
            found = hashlib.sha256(start)
        else:
            file_size(self.path)  # raises an error for a pipe, because opening a pipe may wait for ever
            with self.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256")
                file.seek(0)
                start = file.read(HEAD_BYTES)
        if found.hexdigest() != self._sha256:
            raise ValueError(f"{self.path.name} does not match its digest")
        return start

    def numbers(self, dtype: DTypeLike, count: int, offset: int) -> NDArray[Any]:
        """Read ``count`` numbers, or records, that begin ``offset`` bytes after the start of the file."""
        start = self.start  # compares the digest
        if self.size <= MAX_KEPT_BYTES:
            return np.frombuffer(start, dtype, count, offset)
        if file_size(self.path) != self.size:
            raise ValueError(f"{self.path.name} does not have {self.size} bytes")
        return np.fromfile(self.path, dtype, count, offset=offset)
