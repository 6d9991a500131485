"""Checks the global heaps of an HDF5 file before the HDF5 library reads them: some damage hangs it for ever.

Strings of variable length and the parts of virtual datasets lie in *collections*. A collection begins with ``GCOL``, a
version, three reserved bytes and the size of the collection. Objects follow. An object has a 16-bit number, a 16-bit
count, four reserved bytes, its size, and its bytes, padded to a multiple of eight. Number 0 marks free space. The size
of free space includes its own head.

The library steps through the objects by their sizes. Free space of size 0 keeps it at one place for ever. So does a
size so large that the 64-bit position overflows to the same place. This happens in C, where neither a signal nor
another Python thread can end it (HDF5 1.14.6). Source: HDF5 File Format Specification 3.0, III.E.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

SIGNATURE = b"GCOL"
MAX_OBJECTS = 1 << 16
"""Largest number of objects in a collection, because their numbers have 16 bits."""


class DamagedHeap(OSError):
    """A damaged collection, which the library must not read."""


class HeapGuard(io.FileIO):
    """A file whose collections are checked when they are read."""

    length_bytes = 8
    """Size of a length in bytes. The superblock of the file gives this size. It is nearly always 8."""

    def readinto(self, buffer: Any) -> int | None:
        """Read like any file. Raise :class:`DamagedHeap` if a damaged collection begins in the bytes that were read."""
        start = self.tell()
        count = super().readinto(buffer)
        raw = bytes(memoryview(buffer)[:count])
        at = raw.find(SIGNATURE)
        while at >= 0:
            fault = heap_fault(self.fileno(), start + at, self.length_bytes)
            if fault:
                raise DamagedHeap(f"the heap of strings at byte {start + at} is damaged: {fault}")
            at = raw.find(SIGNATURE, at + 1)
        return count


@contextmanager
def guarded(path: Path) -> Iterator[h5py.File]:
    """Open a file for its metadata. Every heap that HDF5 reads is checked first. Reading samples this way is slow."""
    with HeapGuard(os.fsencode(path), "r") as raw, h5py.File(raw, "r") as file:
        raw.length_bytes = file.id.get_create_plist().get_sizes()[1]
        yield file


def heap_fault(descriptor: int, start: int, length_bytes: int = 8) -> str:
    """Return why the collection at a byte would hang HDF5; an empty text if it would not."""
    head_bytes = _padded(8 + length_bytes)  # of the collection, and of each object in it
    size = int.from_bytes(os.pread(descriptor, length_bytes, start + 8), "little")
    at = head_bytes
    for _ in range(MAX_OBJECTS):
        if at + head_bytes > size:
            return ""
        head = os.pread(descriptor, 8 + length_bytes, start + at)
        if len(head) < 8 + length_bytes:
            return ""  # beyond the end of the file: the library notices this
        number, length = int.from_bytes(head[:2], "little"), int.from_bytes(head[8:], "little")
        if number == 0 and length == 0:
            return f"an object of no bytes at byte {start + at}"
        at += head_bytes + _padded(length) if number else length
        if at > size:
            return f"an object of {length} bytes ends outside it"
    return f"more than {MAX_OBJECTS} objects"


def _padded(count: int) -> int:
    return -(-count // 8) * 8
