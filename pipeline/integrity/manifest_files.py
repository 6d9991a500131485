"""Checks and mends the head of a corpus: the pointer to the current generation, and the files of its manifests."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.catalogue import Manifest
from pipeline.errors import CorpusDamaged
from pipeline.store.digests import Fault
from pipeline.store.generations import (
    MAX_MANIFEST_BYTES,
    copy_file,
    generation_file,
    parsed,
    write_generation,
)
from pipeline.store.layout import CURRENT, MANIFESTS
from pipeline.store.safe_names import GENERATION
from pipeline.support.durable import write_atomic
from pipeline.support.regular_files import read_file
from pipeline.support.safe_files import remove_file
from pipeline.support.sealed_json import is_whole


@dataclass(frozen=True, slots=True)
class Head:
    """State of pointer and manifests."""

    faults: tuple[Fault, ...]
    """Files that are missing, or not what was written."""
    number: int
    """Number of the current generation, as far as it can be told."""
    content: bytes | None
    """File of the current generation; if that is lost, of the last whole one before it; None if there is none."""
    is_lost: bool
    """True if neither file of the current generation is whole."""
    manifest: Manifest
    """The current generation; if it is lost, the last whole one; an empty one if there is none."""


def read_head(root: Path) -> Head:
    """Read the pointer and every manifest. Damage is recorded, not raised."""
    while True:
        pointer = _read(root / CURRENT)
        head = _read_head(root, pointer)
        # else a run has published meanwhile, and may have deleted a file before it was read
        if _read(root / CURRENT) == pointer:
            return head


def _read_head(root: Path, pointer: bytes | None) -> Head:
    match = re.fullmatch(rb"(\d{1,18}) ([0-9a-f]{64})\n", pointer or b"")
    expected = match[2] if match else b""
    paths = [path for path in sorted((root / MANIFESTS).glob("[!.]*")) if GENERATION.fullmatch(path.name)]
    read = {path: _read(path) for path in paths}
    # a file that is gone by now was an old generation, which a run has deleted as it published
    files = {path: content for path, content in read.items() if content is not None or path.exists()}
    whole = {path: content for path, content in files.items()
             if content is not None and (is_whole(content) or _digest(content) == expected)}
    number = int(match[1]) if match else -1
    manifest, refused = _first_usable(whole, number, expected)
    contents = {int(path.stem): content for path, content in whole.items()}
    newest = max(contents, default=-1)
    if number in contents and _digest(contents[number]) == expected:
        return _head(root, files, whole, [], number, contents[number], manifest, refused)
    on_disk = max((int(path.stem) for path in files), default=0)
    if match and number not in contents and expected not in map(_digest, contents.values()):
        faults = []  # the pointer is whole, but no file has its generation
    else:
        number = max(newest, on_disk)
        faults = [(root / CURRENT, "is missing" if pointer is None else
                   f"holds {pointer[:100]!r}, which names no generation")]
    return _head(root, files, whole, faults, number, contents.get(newest), manifest, refused,
                 is_lost=number != newest)


def _first_usable(whole: dict[Path, bytes], number: int, expected: bytes) -> tuple[Manifest, dict[Path, str]]:
    """Return the manifest that the corpus is read from: that of the pointer, or else the newest that can be used.

    Newer manifests that match their digest but cannot be used are removed from ``whole``, and returned with the
    reason.
    """
    refused: dict[Path, str] = {}
    while whole:
        current = [path for path, content in whole.items() if int(path.stem) == number and _digest(content) == expected]
        path = (current or [max(whole, key=lambda path: int(path.stem))])[0]
        try:
            return parsed(path, whole[path]), refused
        except CorpusDamaged as error:
            content = whole[path]
            for same in [other for other in whole if whole[other] == content]:
                del whole[same]
                refused[same] = str(error).removeprefix(f"{path}: ").rsplit("; ", 1)[0]
    return Manifest(), refused


def mend_head(root: Path) -> None:
    """Rewrite damaged files of pointer and manifests from their copies.

    If the current generation is lost, the last whole one is published again as the next generation; if there is none,
    an empty one.
    """
    head = read_head(root)
    current = {generation_file(root, head.number), copy_file(root, head.number)}
    if head.is_lost or head.content is None:
        write_generation(root, replace(head.manifest, generation=head.number + 1))
    elif head.faults:
        for path in current:
            if _read(path) != head.content:
                write_atomic(path, head.content)
        write_atomic(root / CURRENT, b"%d %s\n" % (head.number, _digest(head.content)))
    for path, _ in head.faults:
        if path.parent.name == MANIFESTS and (head.is_lost or path not in current):
            remove_file(root, path)


def _head(
    root: Path, files: dict[Path, bytes | None], whole: dict[Path, bytes], faults: list[Fault], number: int,
    content: bytes | None, manifest: Manifest, refused: dict[Path, str], is_lost: bool = False,
) -> Head:
    """Return the head, with the faults of manifests added to those of the pointer.

    ``refused`` has the reason why a manifest cannot be used: path → reason.
    """
    first, second = generation_file(root, number), copy_file(root, number)
    if is_lost:
        faults.append((first, refused.get(first, "is missing or not what was written, and so is its copy")))
    elif content is not None:
        twice = (first, second) if is_whole(content) else (first,)  # manifests of earlier versions have no copy
        faults += [(path, "is missing" if files.get(path) is None else "is not what was written")
                   for path in twice if files.get(path) != content]
    faults += [(path, refused.get(path, "is not what was written")) for path in files
               if path not in whole and path != first and (is_lost or path != second)]
    return Head(tuple(faults), number, content, is_lost, manifest)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _read(path: Path) -> bytes | None:
    try:
        return read_file(path, MAX_MANIFEST_BYTES)
    except PermissionError:  # no damage, and nothing to repair
        raise
    except OSError:
        return None
