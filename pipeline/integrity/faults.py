"""Finds faults of single objects of a corpus: files that are missing, or are not what was written. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.catalogue import SourceEntry
from pipeline.config import CONFIG_FILE, Config
from pipeline.errors import ConfigError, CorpusDamaged, CorpusMismatch, CorpusNotFound
from pipeline.model import EncoderSpec
from pipeline.store.digests import DIGESTS_FILE, Digests, Fault, digests_file
from pipeline.store.groups import SourceGroup, VectorGroup
from pipeline.store.identity import fingerprint, identity_bytes, read_identity
from pipeline.store.layout import (
    IDENTITY,
    PROJECTION_COPY,
    overview_folder,
    projection_file,
    source_folder,
    vector_folder,
)
from pipeline.store.overviews import StoredOverview


def identity_faults(root: Path, fingerprints: set[str]) -> Iterator[Fault]:
    """Compare the identity with the fingerprints of stored windows, and ``corpus.toml`` with the identity."""
    path = root / IDENTITY
    try:
        identity = read_identity(root)
    except CorpusNotFound:
        yield path, "is missing"
        return
    except (CorpusDamaged, CorpusMismatch) as error:
        yield path, f"cannot be read ({error})"
        return
    if path.read_bytes() != identity_bytes(identity) or (fingerprints and fingerprint(identity) not in fingerprints):
        yield path, "is not what the windows were made with"
        return
    try:
        if not os.path.lexists(root / CONFIG_FILE):
            yield root / CONFIG_FILE, "is missing"
        elif Config.of_corpus(root).identity() != identity:
            yield root / CONFIG_FILE, "[scan] differs from the identity"
    except ConfigError as error:
        yield root / CONFIG_FILE, f"cannot be used ({error})"


def source_faults(root: Path, source_id: str, entry: SourceEntry | None, fingerprint: str) -> Iterator[Fault]:
    """Compare a source's windows with their digests, and with their entry in the manifest if they have one.

    Parameters
    ----------
    fingerprint : str
        Fingerprint of the settings that the windows were made with; empty if it is not known.
    """
    folder = source_folder(root, source_id)
    faults = list(_group_faults(folder))
    yield from faults
    if not faults:
        try:
            group = SourceGroup(folder)
        except (CorpusDamaged, CorpusMismatch) as error:
            yield folder, str(error)
            return
        if senseless := next(group.senseless_arrays(), ""):
            yield folder, senseless
        elif group.source_id != source_id or (fingerprint and group.fingerprint != fingerprint):
            yield folder, f"holds {group.source_id} with fingerprint {group.fingerprint}, not {fingerprint}"
        elif entry is not None and (group.n_windows, group.header) != (entry.windows_kept, entry.header):
            yield folder, (f"holds {group.n_windows} windows, the manifest says {entry.windows_kept}; or its header "
                           "differs from that in the manifest")
        else:
            yield from ((folder, fault) for fault in _count_faults(group, entry))


def _count_faults(group: SourceGroup, entry: SourceEntry | None) -> Iterator[str]:
    """Compare the counts of windows in a source's report, and in the manifest, with its exposure."""
    report = group.report
    counts = {"windows_searched": report.windows_seen, "windows_kept": report.windows_kept,
              "windows_masked": report.windows_masked}
    for name in sorted(counts.keys() & set(group.exposure_names)):
        try:
            exposed = int(group.exposure(name).sum(dtype="int64"))
        except CorpusDamaged as error:
            yield str(error).removeprefix(f"{group.folder}: ").rsplit("; ", 1)[0]
            return
        if exposed != counts[name]:
            yield f"its report counts {counts[name]} {name.replace('_', ' ')}, its exposure {exposed}"
    if entry is not None and entry.windows_seen != report.windows_seen:
        yield f"its report counts {report.windows_seen} windows searched, the manifest says {entry.windows_seen}"


def vector_faults(root: Path, key: str, source_id: str, count: int | None, spec: EncoderSpec | None) -> Iterator[Fault]:
    """Compare a source's vectors with their digests, windows and manifest, as far as these can be read."""
    folder = vector_folder(root, key, source_id)
    faults = list(_group_faults(folder))
    yield from faults
    if faults:
        return
    try:
        source = SourceGroup.open(root, source_id)
    except CorpusDamaged:  # reported as a fault of the windows
        return
    try:
        group = VectorGroup(folder, source)
    except (CorpusDamaged, CorpusMismatch) as error:
        yield folder, str(error).removeprefix(f"{folder}: ").rsplit("; ", 1)[0]
        return
    if fault := group.misnamed():
        yield folder, fault
    elif spec is not None and (group.count, group.spec) != (count, spec):
        yield folder, f"holds {group.count} vectors of {group.spec}, the manifest says {count} of {spec}"


def overview_faults(root: Path, scan_id: str, entry: SourceEntry | None) -> Iterator[Fault]:
    """Compare the overview of a scan with its digests, and with its entry in the manifest if it has one."""
    folder = overview_folder(root, scan_id)
    faults = list(_group_faults(folder))
    yield from faults
    if faults:
        return
    try:
        StoredOverview(folder, None if entry is None else entry.header).read_codes()
    except (CorpusDamaged, CorpusMismatch) as error:
        yield folder, str(error).removeprefix(f"{folder}: ").rsplit("; ", 1)[0]


def projection_faults(root: Path, name: str) -> Iterator[Fault]:
    """Compare the projection of an encoder, and its copy, with their digests."""
    path = projection_file(root, name)
    others = (path.with_name(PROJECTION_COPY), path.with_name(DIGESTS_FILE))
    if path.is_file() and not any(other.exists() for other in others):
        return  # written before projections had copies: the spec of the vectors has its digest
    yield from _group_faults(path.parent)


def _group_faults(folder: Path) -> Iterator[Fault]:
    if not folder.is_dir():
        yield folder, "is missing"
        return
    try:
        digests = Digests.read(folder)
    except CorpusDamaged as error:
        name = digests_file(folder)
        yield folder / name, str(error).removeprefix(f"{folder}: {name} ").rsplit("; ", 1)[0]
        return
    yield from digests.faults()
