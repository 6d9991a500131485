"""The head of a corpus, its pointer and its manifests: what of it is damaged, and making it whole again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.durable import write_atomic
from pipeline.errors import CorpusDamaged
from pipeline.safe import remove_file
from pipeline.store.door import GENERATION
from pipeline.store.generations import copy_file, generation_file, is_whole, parsed, write_generation
from pipeline.store.layout import CURRENT, MANIFESTS
from pipeline.store.manifest import Manifest
from pipeline.store.seal import Fault


@dataclass(frozen=True, slots=True)
class Head:
    """What is left of pointer and manifests."""

    faults: tuple[Fault, ...]
    number: int
    """Of the current generation, so far as it can be told."""
    content: bytes | None
    """Of the current generation; of the last whole one before it where that is lost; None where there is none."""
    is_lost: bool
    """True where neither file of the current generation is left."""
    manifest: Manifest
    """The current generation, or what comes nearest to it."""


def read_head(root: Path) -> Head:
    """Read the pointer and every manifest; nothing is raised of what is damaged."""
    while True:
        pointer = _read(root / CURRENT)
        head = _read_head(root, pointer)
        if _read(root / CURRENT) == pointer:  # else a run has published meanwhile, and dropped what was read
            return head


def _read_head(root: Path, pointer: bytes | None) -> Head:
    match = re.fullmatch(rb"(\d{1,18}) ([0-9a-f]{64})\n", pointer or b"")
    expected = match[2] if match else b""
    paths = [path for path in sorted((root / MANIFESTS).glob("[!.]*")) if GENERATION.fullmatch(path.name)]
    read = {path: _read(path) for path in paths}
    # one that has gone meanwhile was an old one, which a run that published has dropped
    files = {path: content for path, content in read.items() if content is not None or path.exists()}
    whole = {path: content for path, content in files.items()
             if content is not None and (is_whole(content) or _digest(content) == expected)}
    number = int(match[1]) if match else -1
    manifest, refused = _first_usable(whole, number, expected)
    contents = {int(path.stem): content for path, content in whole.items()}
    newest = max(contents, default=-1)
    if number in contents and _digest(contents[number]) == expected:
        return _told(root, files, whole, [], number, contents[number], manifest, refused)
    on_disk = max((int(path.stem) for path in files), default=0)
    if match and number not in contents and expected not in map(_digest, contents.values()):
        faults = []  # the pointer is one, of a generation that is in no file
    else:
        number = max(newest, on_disk)
        faults = [(root / CURRENT, "is missing" if pointer is None else f"holds {pointer[:100]!r}, of no generation")]
    return _told(root, files, whole, faults, number, contents.get(newest), manifest, refused,
                 is_lost=number != newest)


def _first_usable(whole: dict[Path, bytes], number: int, expected: bytes) -> tuple[Manifest, dict[Path, str]]:
    """Return the manifest that the corpus is read by: the pointer's, else the newest that can be used.

    Those that come before it and are as they were written, but cannot be used, are dropped from ``whole``; they are
    returned with the reason.
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
    """Make pointer and manifests anew from what is left of them.

    Where the current generation is lost, the last one that is whole follows it, an empty one where none is.
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


def _told(
    root: Path, files: dict[Path, bytes | None], whole: dict[Path, bytes], faults: list[Fault], number: int,
    content: bytes | None, manifest: Manifest, refused: dict[Path, str], is_lost: bool = False,
) -> Head:
    """Add the manifests' own faults to that of the pointer; ``refused`` says of some why they cannot be used."""
    first, second = generation_file(root, number), copy_file(root, number)
    if is_lost:
        faults.append((first, refused.get(first, "is missing or not what was written, and so is its copy")))
    elif content is not None:
        twice = (first, second) if is_whole(content) else (first,)  # manifests did not always have copies
        faults += [(path, "is missing" if files.get(path) is None else "is not what was written")
                   for path in twice if files.get(path) != content]
    faults += [(path, refused.get(path, "is not what was written")) for path in files
               if path not in whole and path != first and (is_lost or path != second)]
    return Head(tuple(faults), number, content, is_lost, manifest)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None  # a pipe would be waited for
    except OSError:
        return None
