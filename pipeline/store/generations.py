"""The manifest on disk: complete snapshots, and a pointer that is moved last.

A snapshot ends with its own digest, and there are two of the current one: so the pointer, or either of them, can be
made anew from what is left (:mod:`pipeline.store.head`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipeline.durable import TEMPORARY_SUFFIX, atomic_file, write_atomic
from pipeline.errors import CorpusDamaged
from pipeline.store.layout import CURRENT, MANIFESTS, mending
from pipeline.store.manifest import Manifest

KEPT = 10
"""Generations left on disk."""


def read_pointer(root: Path) -> str:
    """Return the text of ``CURRENT``: the generation's number and its file's sha256."""
    path = root / CURRENT
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise CorpusDamaged(f"{path}: missing or unreadable ({error}); {mending(root)}") from error


def read_generation(root: Path, pointer: str) -> Manifest:
    """Read the generation that ``pointer`` names.

    Raises
    ------
    CorpusDamaged
        Its file is missing, is not what was written, or the pointer itself is not.
    CorpusMismatch
        It was written by a newer version of the program.
    """
    match = re.fullmatch(r"(\d+) ([0-9a-f]{64})\n", pointer)
    if match is None:
        raise CorpusDamaged(f"{root / CURRENT}: holds {pointer[:100]!r}; {mending(root)}")
    path = generation_file(root, int(match[1]))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusDamaged(f"{path}: cannot be read ({error}); {mending(root)}") from error
    if hashlib.sha256(content).hexdigest() != match[2]:
        raise CorpusDamaged(f"{path}: does not match its digest in {CURRENT}; {mending(root)}")
    return Manifest.from_json(content)


def write_generation(root: Path, manifest: Manifest, require_lock: Callable[[], None] = lambda: None) -> str:
    """Write a snapshot, move ``CURRENT`` to it, drop all but the last ``KEPT``; return the new pointer.

    ``require_lock`` is called right before each of the two and raises where another process has become the writer.
    """
    digest, number = hashlib.sha256(), manifest.generation
    require_lock()
    with atomic_file(copy_file(root, number)) as copy, atomic_file(generation_file(root, number)) as file:
        for piece in _sealed(manifest.json_pieces()):  # all at once would take more than the manifest
            digest.update(piece)
            file.write(piece)
            copy.write(piece)
    pointer = f"{number} {digest.hexdigest()}\n"
    require_lock()
    write_atomic(root / CURRENT, pointer.encode("ascii"))
    prune(root, manifest.generation)
    return pointer


def is_in_current_format(root: Path) -> bool:
    """Tell whether this version would write the current generation byte for byte as it is on disk."""
    pointer = read_pointer(root)
    digest = hashlib.sha256()
    for piece in _sealed(read_generation(root, pointer).json_pieces()):
        digest.update(piece)
    return pointer.split()[1] == digest.hexdigest()


def prune(root: Path, newest: int, keep: int = KEPT) -> None:
    """Drop all but the last ``keep`` generations, and what writers that were killed left behind."""
    kept = {generation_file(root, number) for number in range(newest - keep + 1, newest + 1)}
    kept.add(copy_file(root, newest))
    for path in (root / MANIFESTS).iterdir():
        if path not in kept:
            path.unlink(missing_ok=True)
    for path in root.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


def generation_file(root: Path, generation: int) -> Path:
    """File of a generation."""
    return root / MANIFESTS / f"{generation:08d}.json"


def copy_file(root: Path, generation: int) -> Path:
    """Second file of the current generation, of the same content."""
    return root / MANIFESTS / f"{generation:08d}.copy"


_DIGEST = re.compile(rb',"sha256":"([0-9a-f]{64})"}')
_DIGEST_BYTES = len(',"sha256":""}') + 64


def _sealed(pieces: Iterable[str]) -> Iterator[bytes]:
    """Add its own digest to a JSON object, as its last key: who does not know of it reads past it."""
    digest, before = hashlib.sha256(), b""
    for piece in pieces:
        yield before
        before = piece.encode("ascii")
        digest.update(before)
    yield before[:-1] + b',"sha256":"%s"}' % digest.hexdigest().encode()


def is_whole(content: bytes) -> bool:
    """Tell whether a snapshot is as it was written, by the digest at its end."""
    match = _DIGEST.fullmatch(content[-_DIGEST_BYTES:])
    return match is not None and hashlib.sha256(content[:-_DIGEST_BYTES] + b"}").hexdigest().encode() == match[1]
