"""Replaces damaged files of a corpus. Call these functions under the corpus' lock.

A damaged folder is moved into ``damaged/``, and deleted only when its replacement is in place. If a repair fails, the
folder is moved back. If a repair is killed, the next repair moves it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.catalogue import Manifest
from pipeline.config import CONFIG_FILE, Config, EncoderConfig, ScanConfig
from pipeline.errors import ConfigError, CorpusDamaged, CorpusError
from pipeline.index import read_record
from pipeline.store.digests import Digests
from pipeline.store.foreign_files import discard, own_folders
from pipeline.store.identity import fingerprint, identity_bytes, read_identity, write_identity
from pipeline.store.layout import (
    DAMAGED,
    ENCODERS,
    IDENTITY,
    PROJECTION_COPY,
    SEGMENTS,
    SOURCES,
    VECTORS,
    projection_file,
)
from pipeline.store.safe_names import CELL_NAME, KEY, OVERVIEW, SEGMENT, SOURCE
from pipeline.support.durable import make_folder, publish_folder, sync_folder, write_atomic
from pipeline.support.regular_files import read_file
from pipeline.support.safe_files import move, refuse_link, remove_empty, remove_tree
from pipeline.support.toml_tables import laid_over
from pipeline.support.user_files import MAX_USER_FILE_BYTES

MAX_PROJECTION_BYTES = 1 << 30
"""Largest size of the file of a projection."""
_ANY = re.compile(f"{SOURCE.pattern}|{SEGMENT.pattern}")
_CELLS = (SEGMENTS, _ANY, CELL_NAME)
_PLACES = ((SOURCES, SOURCE), (SOURCES, OVERVIEW), (VECTORS, KEY, SOURCE), (SEGMENTS, _ANY), (ENCODERS, KEY))
"""Patterns of the names on the path to each folder that may be set aside, apart from cells."""


@contextmanager
def set_aside(root: Path, folder: Path) -> Iterator[None]:
    """Move ``folder`` aside while its replacement is made. If an error is raised, move it back, else delete it."""
    aside = root / DAMAGED / folder.relative_to(root)
    refuse_link(folder)
    if folder.exists():
        make_folder(aside.parent)
        move(root, folder, aside)
        sync_folder(aside.parent)
    try:
        yield
    finally:
        bring_back(root)


def bring_back(root: Path) -> None:
    """Move back folders that were set aside and not replaced; delete those that were. Other files stay."""
    damaged = root / DAMAGED
    for aside in sorted(_folders(damaged, _CELLS)):
        segment = root / SEGMENTS / aside.parent.name
        if segment.exists():  # otherwise, the cells are put back with all that their segment holds
            _settle(root, aside, is_replaced=not _lacks_cell(segment, aside.name))
    for names in _PLACES:
        for aside in sorted(_folders(damaged, names)):
            _settle(root, aside, is_replaced=(root / aside.relative_to(damaged)).exists())
    emptied = _folders(damaged, (SEGMENTS, _ANY))
    emptied += _folders(damaged, (VECTORS, KEY))
    for aside in (*emptied, *(damaged / name for name in (SOURCES, VECTORS, SEGMENTS, ENCODERS)), damaged):
        remove_empty(root, aside)  # a folder that is not empty stays


def _settle(root: Path, aside: Path, *, is_replaced: bool) -> None:
    """Delete a folder that was set aside if it has been replaced, else put it back."""
    if is_replaced:
        discard(root, aside)
        return
    folder = root / aside.relative_to(root / DAMAGED)
    make_folder(folder.parent)
    move(root, aside, folder)
    sync_folder(folder.parent)


def _lacks_cell(segment: Path, name: str) -> bool:
    """Return True if a segment lacks a cell. A segment that was rebuilt may have fewer cells than before."""
    if (segment / name).exists():
        return False
    try:
        return bool((read_record(segment).get("cells") or {}).get(name))
    except CorpusError:  # a damaged record does not tell
        return True


def _folders(folder: Path, names: Sequence[str | re.Pattern[str]]) -> list[Path]:
    """List the folders below ``folder`` whose path fits ``names``, name by name. Links are left out."""
    found = [folder]
    for name in names:
        if isinstance(name, str):
            found = [path / name for path in found if (path / name).is_dir() and not (path / name).is_symlink()]
        else:
            found = [path / entry for path in found for entry in own_folders(path, name)]
    return found


def mend_identity(root: Path, manifest: Manifest, fingerprints: set[str]) -> None:
    """Rewrite the identity from ``corpus.toml``, or ``corpus.toml`` from the identity, if only one is right.

    Parameters
    ----------
    fingerprints : set of str
        Fingerprints of the settings that the stored windows were made with. The file whose settings have one of them is
        right.

    Raises
    ------
    CorpusDamaged
        Neither is right.
    """
    candidates: list[Mapping[str, Any]] = []
    with suppress(ConfigError):
        if (root / CONFIG_FILE).is_file():
            candidates.append(Config.of_corpus(root).identity())
    with suppress(CorpusDamaged, FileNotFoundError, ValueError):
        candidates.insert(0, read_identity(root))
    right = [one for one in candidates
             if (not fingerprints or fingerprint(one) in fingerprints) and _scan_of(one) is not None]
    if not right:
        raise CorpusDamaged(f"{root}: neither identity nor {CONFIG_FILE} is what the windows were made with; restore "
                            "one of them from a backup")
    identity = right[0]
    if not _holds(root / IDENTITY, identity_bytes(identity)):
        write_identity(root, identity)
    with suppress(ConfigError):
        if (root / CONFIG_FILE).is_file() and Config.of_corpus(root).identity() == identity:
            return
    content = b""
    with suppress(OSError):
        content = read_file(root / CONFIG_FILE, MAX_USER_FILE_BYTES, is_text=False)
    if content:  # the file may hold the user's own settings
        make_folder(root / DAMAGED)
        write_atomic(root / DAMAGED / CONFIG_FILE, content)
    config = Config(scan=_scan_of(identity) or ScanConfig(), encoder=_main_encoder(manifest))
    write_atomic(root / CONFIG_FILE, config.to_toml().encode())


def _scan_of(identity: Mapping[str, Any]) -> ScanConfig | None:
    """Return the settings of an identity; None if they are not those of this version, or cannot be used."""
    with suppress(ConfigError):
        scan: ScanConfig = laid_over(ScanConfig(), identity.get("scan"), "identity")
        if Config(scan=scan).identity() == identity:
            return scan
    return None


def _holds(path: Path, content: bytes) -> bool:
    """Return True if a file has this content."""
    try:
        return read_file(path, len(content), is_text=False) == content
    except OSError:
        return False


def _main_encoder(manifest: Manifest) -> EncoderConfig:
    """Return the encoder that made the most vectors."""
    counts = {key: count for key, count in manifest.vector_counts().items() if key in manifest.encoders}
    if not counts:
        return EncoderConfig()
    key = max(sorted(counts), key=lambda one: counts[one])
    spec = manifest.encoders[key]
    return EncoderConfig(spec.name, manifest.weights.get(key, ""), spec.precision)


def mend_projection(root: Path, name: str) -> None:
    """Rewrite a projection, its copy and their digests from whichever of the two is whole.

    Raises
    ------
    CorpusDamaged
        Neither is whole.
    """
    path = projection_file(root, name)
    copy = path.with_name(PROJECTION_COPY)
    good = next((one for one in (path, copy) if _is_good(one)), None)
    if good is None:
        raise CorpusDamaged(f"{path.parent}: neither {path.name} nor {copy.name} is as it was; restore one from a "
                            "backup")
    content = read_file(good, MAX_PROJECTION_BYTES, is_text=False)
    staged = path.parent.with_name(f".{name}.mended")
    remove_tree(root, staged)
    staged.mkdir()
    (staged / path.name).write_bytes(content)
    (staged / copy.name).write_bytes(content)
    Digests.of(staged).write()
    with set_aside(root, path.parent):
        publish_folder(staged, path.parent)


def _is_good(path: Path) -> bool:
    """Return True if a projection matches its digests; without digests, if it equals its copy."""
    other = path.with_name(PROJECTION_COPY)
    try:
        damaged = {fault[0] for fault in Digests.read(path.parent).faults()}
    except CorpusDamaged:
        with suppress(OSError):
            return path != other and _holds(other, read_file(path, MAX_PROJECTION_BYTES, is_text=False))
        return False
    return path.is_file() and path not in damaged
