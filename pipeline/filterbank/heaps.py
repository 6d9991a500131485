"""Global heaps of an HDF5 file, looked at before the HDF5 library does: from some damage it never comes back.

Strings of any length and the parts of virtual datasets lie in *collections*: ``GCOL``, a version, three bytes, the
collection's size; then objects, each a u16 number, a u16 count, four bytes, its size, and its bytes, padded to eight.
Number 0 is what is free, its size with its own head. The library walks them by their sizes, so a free piece of none
keeps it in one place for ever, in C, where no signal and no other thread of Python ends it; and so does one whose size
takes its sum of 64 bits back to where it was (HDF5 1.14.6). Source: HDF5 File Format Specification 3.0, III.E.
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
MOST_OBJECTS = 1 << 16
"""Objects are numbered in 16 bits."""


class DamagedHeap(OSError):
    """A collection that the library must not be shown."""


class HeapGuard(io.FileIO):
    """A file whose collections are checked as they are read."""

    length_bytes = 8
    """Bytes of a size: the file's superblock says how many, nearly always these."""

    def readinto(self, buffer: Any) -> int | None:
        """Read as any file does; raise :class:`DamagedHeap` where a damaged collection begins within what is read."""
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
    """Open a file for its metadata: every heap that HDF5 reads of it is checked first. Slow for samples."""
    with HeapGuard(os.fsencode(path), "r") as raw, h5py.File(raw, "r") as file:
        raw.length_bytes = file.id.get_create_plist().get_sizes()[1]
        yield file


def heap_fault(descriptor: int, start: int, length_bytes: int = 8) -> str:
    """Say why the collection that begins at a byte would keep HDF5 for ever; empty if it would not."""
    head_bytes = _padded(8 + length_bytes)  # of the collection, and of each object in it
    size = int.from_bytes(os.pread(descriptor, length_bytes, start + 8), "little")
    at = head_bytes
    for _ in range(MOST_OBJECTS):
        if at + head_bytes > size:
            return ""
        head = os.pread(descriptor, 8 + length_bytes, start + at)
        if len(head) < 8 + length_bytes:
            return ""  # beyond the file's end, which the library notices
        number, length = int.from_bytes(head[:2], "little"), int.from_bytes(head[8:], "little")
        if number == 0 and length == 0:
            return f"an object of no bytes at byte {start + at}"
        at += head_bytes + _padded(length) if number else length
        if at > size:
            return f"an object that ends beyond it, of {length} bytes"
    return f"more than {MOST_OBJECTS} objects"


def _padded(count: int) -> int:
    return -(-count // 8) * 8
