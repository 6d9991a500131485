"""The manifest on disk: a complete file for each generation, and a pointer to the current one, which is written last.

Each file ends with its own digest, and the current generation has two files. So the pointer or either file can be
restored from the others (:mod:`pipeline.integrity.manifest_files`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from pipeline.catalogue import Manifest, check_consistency
from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.store.layout import CURRENT, MANIFESTS, mending
from pipeline.store.safe_names import GENERATION, TEMPORARY, BadName, check_manifest
from pipeline.support.durable import TEMPORARY_SUFFIX, atomic_file, write_atomic
from pipeline.support.regular_files import read_file
from pipeline.support.safe_files import remove_file
from pipeline.support.sealed_json import sealed

MAX_GENERATIONS = 10
"""Number of generations kept on disk."""
MAX_POINTER_BYTES = 1 << 16
MAX_MANIFEST_BYTES = 1 << 33
"""Largest size of a manifest: some ten million sources."""


def read_pointer(root: Path) -> str:
    """Return the text of ``CURRENT``: the number of the generation and the sha256 of its file."""
    path = root / CURRENT
    try:
        return read_file(path, MAX_POINTER_BYTES).decode("ascii")
    except PermissionError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusDamaged(f"{path}: missing or unreadable ({error}); {mending(root)}") from error


def read_generation(root: Path, pointer: str) -> Manifest:
    """Read the generation that ``pointer`` names.

    Raises
    ------
    CorpusDamaged
        The file or the pointer is missing or altered.
    CorpusMismatch
        The manifest was written by another version of the program, in a format that this version does not read.
    """
    number, digest = _parts_of(root, pointer)
    path = generation_file(root, number)
    try:
        content = read_file(path, MAX_MANIFEST_BYTES)
    except PermissionError:  # the file is not damaged: another user owns it
        raise
    except OSError as error:
        raise CorpusDamaged(f"{path}: cannot be read ({error}); {mending(root)}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise CorpusDamaged(f"{path}: does not match its digest in {CURRENT}; {mending(root)}")
    return parsed(path, content)


def current_generation(root: Path) -> int:
    """Return the number of the current generation. Only the pointer is read, so this takes no time.

    Raises
    ------
    CorpusDamaged
        The pointer is missing or altered.
    """
    return _parts_of(root, read_pointer(root))[0]


def _parts_of(root: Path, pointer: str) -> tuple[int, str]:
    """Return the number of the generation and the sha256 of its file."""
    match = re.fullmatch(r"([0-9]{1,18}) ([0-9a-f]{64})\n", pointer)
    if match is None:
        raise CorpusDamaged(f"{root / CURRENT}: holds {pointer[:100]!r}; {mending(root)}")
    return int(match[1]), match[2]


def parsed(path: Path, content: bytes) -> Manifest:
    """Read the manifest in the content of a generation's file, and check it.

    The digest of the file is no proof: whoever alters the file can also make its digest.

    Raises
    ------
    CorpusDamaged
        The content is no manifest, its generation is not that of the file name, or a name in it leads out of the corpus
        (:mod:`pipeline.store.safe_names`).
    CorpusMismatch
        The manifest was written by another version of the program, in a format that this version does not read.
    """
    try:
        manifest = Manifest.from_json(content)
        check_manifest(manifest)
        check_consistency(manifest)
    except BadName as error:
        raise CorpusDamaged(f"{path}: {error}; {mending(path.parents[1])}") from error
    except CorpusMismatch:
        raise
    except ValueError as error:
        raise CorpusDamaged(f"{path}: is no manifest ({error}); {mending(path.parents[1])}") from error
    if manifest.generation != int(path.stem):
        raise CorpusDamaged(f"{path}: is of generation {manifest.generation}; {mending(path.parents[1])}")
    return manifest


def write_generation(root: Path, manifest: Manifest, require_lock: Callable[[], None] = lambda: None) -> str:
    """Write a generation, point ``CURRENT`` to it, delete old generations, and return the new pointer.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    manifest : Manifest
        The new generation.
    require_lock : callable
        Called right before both writes. It raises an error if another process has become the writer.
    """
    digest, number = hashlib.sha256(), manifest.generation
    require_lock()
    with atomic_file(copy_file(root, number)) as copy, atomic_file(generation_file(root, number)) as file:
        for piece in sealed(manifest.json_pieces()):  # the whole text takes more memory than the manifest
            digest.update(piece)
            file.write(piece)
            copy.write(piece)
    pointer = f"{number} {digest.hexdigest()}\n"
    require_lock()
    write_atomic(root / CURRENT, pointer.encode("ascii"))
    prune(root, manifest.generation)
    return pointer


def is_in_current_format(root: Path) -> bool:
    """Return True if this version would write the current generation byte for byte as it is on disk."""
    pointer = read_pointer(root)
    digest = hashlib.sha256()
    for piece in sealed(read_generation(root, pointer).json_pieces()):
        digest.update(piece)
    return pointer.split()[1] == digest.hexdigest()


def prune(root: Path, newest: int, keep: int = MAX_GENERATIONS) -> None:
    """Delete all but the last ``keep`` generations, and temporary files of writers that were killed."""
    kept = {generation_file(root, number) for number in range(newest - keep + 1, newest + 1)}
    kept.add(copy_file(root, newest))
    for path in (root / MANIFESTS).iterdir():
        if path not in kept and GENERATION.fullmatch(path.name):
            remove_file(root, path)
    remove_temporaries(root)


def remove_temporaries(root: Path) -> None:
    """Delete temporary files of writers that were killed from the folder of the corpus. Only the writer may do this."""
    for path in root.glob(f".*{TEMPORARY_SUFFIX}"):
        if TEMPORARY.fullmatch(path.name):
            remove_file(root, path)


def generation_file(root: Path, generation: int) -> Path:
    """Return the path of a generation's file."""
    return root / MANIFESTS / f"{generation:08d}.json"


def copy_file(root: Path, generation: int) -> Path:
    """Return the path of the copy of a generation's file. Only the current generation has one."""
    return root / MANIFESTS / f"{generation:08d}.copy"
