"""What a repair does to the files of a corpus. Call it under the lock.

What is damaged is put aside, into ``damaged/``, and deleted only when what replaces it is in place: a repair that fails
puts it back, and one that is killed leaves it for the next to put back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.config import CONFIG_FILE, Config, EncoderConfig, ScanConfig, fingerprint
from pipeline.durable import make_folder, publish_folder, sync_folder, write_atomic
from pipeline.errors import ConfigError, CorpusDamaged
from pipeline.safe import move, refuse_link, remove_empty, remove_tree
from pipeline.store.door import CELL_NAME, KEY, SEGMENT, SOURCE
from pipeline.store.identity import identity_bytes, read_identity, write_identity
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
from pipeline.store.manifest import Manifest
from pipeline.store.seal import Seal
from pipeline.store.survey import discard, own_folders

_ANY = re.compile(f"{SOURCE.pattern}|{SEGMENT.pattern}")
_PLACES = ((SOURCES, SOURCE), (VECTORS, KEY, SOURCE), (SEGMENTS, _ANY, CELL_NAME), (SEGMENTS, _ANY), (ENCODERS, KEY))
"""Folders that are set aside, by the names on the way to them."""


@contextmanager
def set_aside(root: Path, folder: Path) -> Iterator[None]:
    """Make room for what is to replace ``folder``; on an error put it back, else delete it."""
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
    """Put back what was set aside and has not been replaced; delete what has. What bears no name of the store stays."""
    damaged = root / DAMAGED
    for names in _PLACES:
        for aside in sorted(_folders(damaged, names)):
            folder = root / aside.relative_to(damaged)
            if folder.exists():
                discard(root, aside)
            else:
                make_folder(folder.parent)
                move(root, aside, folder)
                sync_folder(folder.parent)
    emptied = _folders(damaged, (SEGMENTS, _ANY))
    emptied += _folders(damaged, (VECTORS, KEY))
    for aside in (*emptied, *(damaged / name for name in (SOURCES, VECTORS, SEGMENTS, ENCODERS)), damaged):
        remove_empty(root, aside)  # one that holds something is left


def _folders(folder: Path, names: Sequence[str | re.Pattern[str]]) -> list[Path]:
    """List the folders below ``folder`` whose path, name by name, is as ``names`` say; links are none."""
    found = [folder]
    for name in names:
        if isinstance(name, str):
            found = [path / name for path in found if (path / name).is_dir() and not (path / name).is_symlink()]
        else:
            found = [path / entry for path in found for entry in own_folders(path, name)]
    return found


def mend_identity(root: Path, manifest: Manifest, fingerprints: set[str]) -> None:
    """Make identity and ``corpus.toml`` anew, each of the other, where only one of them can be used.

    Parameters
    ----------
    fingerprints : set of str
        Of what the stored windows were made with: the one that has such a fingerprint is right.

    Raises
    ------
    CorpusDamaged
        Neither is.
    """
    candidates: list[Mapping[str, Any]] = []
    with suppress(ConfigError):
        if (root / CONFIG_FILE).is_file():
            candidates.append(Config.of_corpus(root).identity())
    with suppress(CorpusDamaged, FileNotFoundError, ValueError):
        candidates.insert(0, read_identity(root))
    right = [one for one in candidates if not fingerprints or fingerprint(one) in fingerprints]
    if not right:
        raise CorpusDamaged(f"{root}: neither identity nor {CONFIG_FILE} is what the windows were made with; restore "
                            "one of them from a backup")
    identity = right[0]
    if not (root / IDENTITY).is_file() or (root / IDENTITY).read_bytes() != identity_bytes(identity):
        write_identity(root, identity)
    with suppress(ConfigError):
        if (root / CONFIG_FILE).is_file() and Config.of_corpus(root).identity() == identity:
            return
    if (root / CONFIG_FILE).exists():  # the user's own settings may be in it
        make_folder(root / DAMAGED)
        write_atomic(root / DAMAGED / CONFIG_FILE, (root / CONFIG_FILE).read_bytes())
    config = Config(scan=ScanConfig(**identity["scan"]), encoder=_main_encoder(manifest))
    write_atomic(root / CONFIG_FILE, config.to_toml().encode())


def _main_encoder(manifest: Manifest) -> EncoderConfig:
    """Return the encoder that made most vectors."""
    counts = {key: sum(entry.vectors.get(key, 0) for entry in manifest.sources.values()) for key in manifest.encoders}
    if not counts:
        return EncoderConfig()
    key = max(sorted(counts), key=lambda one: counts[one])
    spec = manifest.encoders[key]
    return EncoderConfig(spec.name, manifest.weights.get(key, ""), spec.precision)


def mend_projection(root: Path, name: str) -> None:
    """Make a projection, its copy and their digests anew from the one that is as it was.

    Raises
    ------
    CorpusDamaged
        Neither is.
    """
    path = projection_file(root, name)
    copy = path.with_name(PROJECTION_COPY)
    good = next((one for one in (path, copy) if _is_good(one)), None)
    if good is None:
        raise CorpusDamaged(f"{path.parent}: neither {path.name} nor {copy.name} is as it was; restore one from a "
                            "backup")
    content = good.read_bytes()
    staged = path.parent.with_name(f".{name}.mended")
    remove_tree(root, staged)
    staged.mkdir()
    (staged / path.name).write_bytes(content)
    (staged / copy.name).write_bytes(content)
    Seal.of(staged).write()
    with set_aside(root, path.parent):
        publish_folder(staged, path.parent)


def _is_good(path: Path) -> bool:
    """Tell whether a projection is as its seal says; without a seal, whether it is what its copy is."""
    other = path.with_name(PROJECTION_COPY)
    try:
        damaged = {fault[0] for fault in Seal.read(path.parent).faults()}
    except CorpusDamaged:
        return other.is_file() and path.is_file() and path != other and path.read_bytes() == other.read_bytes()
    return path.is_file() and path not in damaged
