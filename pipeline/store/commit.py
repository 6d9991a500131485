"""Commits: join the parts of a source to one immutable group.

The group appears under its final name whole or not at all.

Several processes may commit the same group at the same time, also after a crash. One of them succeeds; the others find
the finished group.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.model import EncoderSpec, Source, SourceReport
from pipeline.store import arrays
from pipeline.store.digests import Digests
from pipeline.store.groups import SourceGroup, VectorGroup, source_attributes, vector_attributes
from pipeline.store.layout import parts_folder, source_folder, vector_folder
from pipeline.store.npy_file import Array, write_rows, write_table
from pipeline.store.staging import PartColumns, opened_parts, read_part_vectors, refuse_non_finite
from pipeline.store.stored_arrays import CUTOUT, EXPOSURE, EXPOSURE_FILE, VECTORS_FILE, WINDOWS, WINDOWS_FILE
from pipeline.support.durable import make_folder, publish_folder, sync_folder
from pipeline.support.safe_files import remove_tree

logger = logging.getLogger(__name__)

_CUTOUT = f"{WINDOWS}.{CUTOUT}"
RACE_ERRORS = {errno.ENOENT, errno.EEXIST, errno.ESTALE}
"""Errors that a writer gets if another one committed the group first. Other disk errors are raised."""


def commit_source_group(
    root: Path,
    staging: Path,
    source: Source,
    n_parts: int,
    *,
    report: SourceReport,
    fingerprint: str,
    columns: Mapping[str, str] | None = None,
) -> SourceGroup:
    """Make the source group of the parts 0 to ``n_parts`` − 1. Rows are in the order of the parts.

    Parameters
    ----------
    root, staging : Path
        Folder of the corpus, and staging folder of the run. Both are on one file system.
    source : Source
        Stored in the group, so that a later run can adopt a group that no manifest names yet.
    report : SourceReport
        Report of the source. ``windows_kept`` must be the number of rows.
    fingerprint : str
        Fingerprint of the identity: grid, gate and cutouts, which decide what the group holds.
    columns : mapping
        Column → description with units.

    Returns
    -------
    SourceGroup
        The group under its final name: this one, or the one that was there before.

    Raises
    ------
    CorpusMismatch
        A group of this source with another fingerprint exists.
    CorpusDamaged
        A part or the existing group is missing or altered.
    ValueError
        The parts do not fit together, repeat windows, or disagree with ``report``.
    """
    final = source_folder(root, source.id)
    if final.exists():
        sync_folder(final.parent)  # its writer may have died before the name was on disk
    else:
        attributes = source_attributes(source, report, fingerprint, columns or {})
        with (_build(parts_folder(staging, source.id), final, attributes) as folder,
              opened_parts(staging, source.id, n_parts) as parts):
            names = _survey(source.id, parts, report)
            for kind, path in ((WINDOWS, WINDOWS_FILE), (EXPOSURE, EXPOSURE_FILE)):
                table = {name.removeprefix(f"{kind}."): [part.read(name) for part in parts]
                         for name in names if name.startswith(f"{kind}.") and name != _CUTOUT}
                if table:
                    write_table(folder / path, table)
            arrays.write_array(folder, CUTOUT, (part.read(_CUTOUT) for part in parts), report.windows_kept)
    group = SourceGroup.open(root, source.id)
    if group.source_id != source.id or group.fingerprint != fingerprint:
        raise CorpusMismatch(
            f"{final}: holds {group.source_id} with fingerprint {group.fingerprint}, this run makes "
            f"{source.id} with {fingerprint}; remove the folder and ingest the source again"
        )
    return group


def commit_vector_group(
    root: Path, staging: Path, source_id: str, n_parts: int, *, spec: EncoderSpec
) -> VectorGroup:
    """Make the vector group of a committed source from the vectors of the parts 0 to ``n_parts`` − 1.

    Parameters
    ----------
    root, staging : Path
        Folder of the corpus, and staging folder of the run. Both are on one file system.
    source_id : str
        Source whose windows were embedded.
    n_parts : int
        Number of parts.
    spec : EncoderSpec
        Encoder that made the vectors.

    Raises
    ------
    CorpusMismatch
        The existing group under this key was made by another encoder or of other windows.
    CorpusDamaged
        The vectors of a part or an existing group are missing or altered.
    ValueError
        The number of vectors is not the number of windows, or their dimension is not that of the encoder.
    """
    final = vector_folder(root, spec.key, source_id)
    source = SourceGroup.open(root, source_id)
    if final.exists():
        sync_folder(final.parent)  # its writer may have died before the name was on disk
    else:
        with _build(parts_folder(staging, source_id), final, vector_attributes(source, spec)) as folder:
            pieces = _vector_pieces(staging, source_id, n_parts, spec)
            write_rows(folder / VECTORS_FILE, np.float16, (source.n_windows, spec.dimension), pieces)
    group = VectorGroup(final, source)
    if group.spec != spec:
        raise CorpusMismatch(
            f"{final}: made by {group.spec}, this run has {spec}; use the encoder that made the vectors, or remove "
            "the folder"
        )
    return group


def _survey(source_id: str, parts: Sequence[PartColumns], report: SourceReport) -> list[str]:
    """Check the parts against each other and the report. Return the names of the columns."""
    _at_least_one(source_id, len(parts))
    names = parts[0].names
    numbers: list[Array] = []
    for part_no, part in enumerate(parts):
        if part.names != names:
            raise ValueError(f"{source_id}: columns {sorted(part.names)} in part {part_no}, not {sorted(names)}")
        numbers.append(part.read(f"{WINDOWS}.number"))
    n_windows = sum(len(piece) for piece in numbers)
    if len(np.unique(np.concatenate(numbers))) != n_windows:
        raise ValueError(f"{source_id}: parts repeat window numbers")
    if n_windows != report.windows_kept:
        raise ValueError(f"{source_id}: {n_windows} windows in parts, {report.windows_kept} in the report")
    return sorted(names)


def _vector_pieces(staging: Path, source_id: str, n_parts: int, spec: EncoderSpec) -> Iterator[Array]:
    _at_least_one(source_id, n_parts)
    for part_no in range(n_parts):
        vectors = read_part_vectors(staging, source_id, part_no, spec.key)
        what = f"{source_id} part {part_no}, {spec.key}"
        if vectors.shape[1] != spec.dimension:
            raise ValueError(f"{what}: vectors of {vectors.shape[1]} numbers, not {spec.dimension}")
        refuse_non_finite(vectors, what)
        yield vectors


def _at_least_one(source_id: str, n_parts: int) -> None:
    if n_parts < 1:
        raise ValueError(f"{source_id}: a group needs at least one part, which may be empty")


@contextmanager
def _same_folder(folder: Path) -> Iterator[None]:
    """Raise :class:`CorpusDamaged` if ``folder`` was replaced within the block.

    A task may outlive its run, which removes the staging folder. Zarr then silently makes the folder again, with only
    a part of the data.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # while this is open, no other folder gets its inode
    try:
        yield
        if not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            raise CorpusDamaged(f"{folder}: was removed while it was filled; run again")
    finally:
        os.close(descriptor)


@contextmanager
def _build(parts: Path, final: Path, attributes: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to fill. Then write its attributes and digests, and publish it as ``final``, unless that
    exists by now."""
    folder = parts / f"group-{uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        with _same_folder(folder):
            yield folder
            Digests.of(folder).write_group(attributes)
        make_folder(final.parent)
        publish_folder(folder, final)
    except Exception as error:
        # another process may have committed the group and removed the parts
        if not final.is_dir() or (isinstance(error, OSError) and error.errno not in RACE_ERRORS):
            raise
        logger.info("%s: committed by another process meanwhile", final)
    finally:
        remove_tree(parts, folder)
