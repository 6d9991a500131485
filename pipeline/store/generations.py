"""The manifest on disk: complete snapshots, and a pointer that is moved last."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pipeline.durable import TEMPORARY_SUFFIX, write_atomic
from pipeline.errors import CorpusDamaged
from pipeline.store.layout import CURRENT, MANIFESTS
from pipeline.store.manifest import Manifest

KEPT = 10
"""Generations left on disk."""


def read_pointer(root: Path) -> str:
    """Return the text of ``CURRENT``: the generation's number and its file's sha256."""
    path = root / CURRENT
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise CorpusDamaged(f"{path}: missing or unreadable ({error}); {_advice(root)}") from error


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
        raise CorpusDamaged(f"{root / CURRENT}: holds {pointer[:100]!r}; {_advice(root)}")
    path = _path(root, int(match[1]))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusDamaged(f"{path}: cannot be read ({error}); {_advice(root)}") from error
    if hashlib.sha256(content).hexdigest() != match[2]:
        raise CorpusDamaged(f"{path}: does not match its digest in {CURRENT}; {_advice(root)}")
    return Manifest.from_json(content)


def write_generation(root: Path, manifest: Manifest) -> str:
    """Write a snapshot, move ``CURRENT`` to it, drop all but the last ``KEPT``; return the new pointer."""
    content = manifest.to_json().encode("ascii")
    write_atomic(_path(root, manifest.generation), content)
    pointer = f"{manifest.generation} {hashlib.sha256(content).hexdigest()}\n"
    write_atomic(root / CURRENT, pointer.encode("ascii"))
    prune(root, manifest.generation)
    return pointer


def prune(root: Path, newest: int, keep: int = KEPT) -> None:
    """Drop all but the last ``keep`` generations, and what writers that were killed left behind."""
    kept = {_path(root, number) for number in range(newest - keep + 1, newest + 1)}
    for path in (root / MANIFESTS).iterdir():
        if path not in kept:
            path.unlink(missing_ok=True)
    for path in root.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


def _path(root: Path, generation: int) -> Path:
    return root / MANIFESTS / f"{generation:08d}.json"


def _advice(root: Path) -> str:
    return f"restore {root} from a copy, or ingest into another folder"
