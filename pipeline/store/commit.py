"""Committing: the parts of a source become one immutable group, under its final name whole or not at all.

Any number of processes may commit the same group, after any crash: one wins, the others find it done.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np

from pipeline.durable import make_folder, publish_folder, sync_folder
from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.model import EncoderSpec, Source, SourceReport
from pipeline.safe import remove_tree
from pipeline.store import arrays
from pipeline.store.arrays import Array
from pipeline.store.groups import (
    EXPOSURE,
    VECTOR,
    WINDOWS,
    SourceGroup,
    VectorGroup,
    source_attributes,
    vector_attributes,
)
from pipeline.store.layout import parts_folder, source_folder, vector_folder
from pipeline.store.parts import PartColumns, opened_parts, read_part_vectors, refuse_non_finite
from pipeline.store.seal import Seal

logger = logging.getLogger(__name__)

REMOVED = {errno.ENOENT, errno.EEXIST, errno.ESTALE}
"""What a writer meets whose work another one has done; any other error of a disk is not taken for that."""


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
    """Make the source group of ``n_parts`` parts (numbered from 0), rows in the order of the parts.

    Parameters
    ----------
    root, staging : Path
        The corpus and the run's staging folder, on one file system.
    source : Source
        Stored whole, so that a group no manifest names yet can be adopted.
    report : SourceReport
        Its ``windows_kept`` must be the number of rows.
    fingerprint : str
        Of the grid, gate and cutout that decide what is in the group.
    columns : mapping
        Column → what it holds, in words and units.

    Returns
    -------
    SourceGroup
        The group under its final name: this one, or an equal one that was there before.

    Raises
    ------
    CorpusMismatch
        There is a group of this source with another fingerprint.
    CorpusDamaged
        A part, or the group that is there, is missing or altered.
    ValueError
        Parts do not fit together, repeat windows, or are not what ``report`` says.
    """
    final = source_folder(root, source.id)
    if final.exists():
        sync_folder(final.parent)  # its maker may have ended before the name was on disk
    else:
        with (_build(parts_folder(staging, source.id), final) as folder,
              opened_parts(staging, source.id, n_parts) as parts):
            names, counts = _survey(source.id, parts, report)
            arrays.create_group(folder, source_attributes(source, report, fingerprint, columns or {}))
            for name in names:
                kind, _, column = name.partition(".")
                arrays.write_array(folder, f"{kind}/{column}", (part.read(name) for part in parts), counts[kind])
    group = SourceGroup.open(root, source.id)
    if group.source_id != source.id or group.fingerprint != fingerprint:
        raise CorpusMismatch(
            f"{final}: holds {group.source_id} with fingerprint {group.fingerprint}, this run makes "
            f"{source.id} with {fingerprint}; remove the folder and ingest the source anew"
        )
    return group


def commit_vector_group(
    root: Path, staging: Path, source_id: str, n_parts: int, *, spec: EncoderSpec
) -> VectorGroup:
    """Make the vector group of a committed source from the vectors of ``n_parts`` parts.

    Raises
    ------
    CorpusMismatch
        There is a group under this key of another encoder or of other windows.
    CorpusDamaged
        A part's vectors, or a group that is there, are missing or altered.
    ValueError
        The vectors are not one a window, or not of the encoder's dimension.
    """
    final = vector_folder(root, spec.key, source_id)
    source = SourceGroup.open(root, source_id)
    if final.exists():
        sync_folder(final.parent)  # its maker may have ended before the name was on disk
    else:
        with _build(parts_folder(staging, source_id), final) as folder:
            arrays.create_group(folder, vector_attributes(source, spec))
            pieces = _vector_pieces(staging, source_id, n_parts, spec)
            arrays.write_array(folder, VECTOR, pieces, source.n_windows)
    group = VectorGroup(final, source)
    if group.spec != spec:
        raise CorpusMismatch(
            f"{final}: made by {group.spec}, this run has {spec}; use the encoder that made it, or remove it"
        )
    return group


def _survey(
    source_id: str, parts: Sequence[PartColumns], report: SourceReport
) -> tuple[list[str], dict[str, int]]:
    """Check the parts against each other and the report; return column names, and rows by kind."""
    _at_least_one(source_id, len(parts))
    names = parts[0].names
    an_exposure = next((name for name in sorted(names) if name.startswith(EXPOSURE)), None)
    numbers: list[Array] = []
    exposure_rows = 0
    for part_no, part in enumerate(parts):
        if part.names != names:
            raise ValueError(f"{source_id}: columns {sorted(part.names)} in part {part_no}, not {sorted(names)}")
        numbers.append(part.read(f"{WINDOWS}.number"))
        if an_exposure is not None:
            exposure_rows += len(part.read(an_exposure))
    n_windows = sum(len(piece) for piece in numbers)
    if len(np.unique(np.concatenate(numbers))) != n_windows:
        raise ValueError(f"{source_id}: parts repeat window numbers")
    if n_windows != report.windows_kept:
        raise ValueError(f"{source_id}: {n_windows} windows in parts, {report.windows_kept} in the report")
    return sorted(names), {WINDOWS: n_windows, EXPOSURE: exposure_rows}


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
        raise ValueError(f"{source_id}: a group takes at least one part, if only an empty one")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Raise :class:`CorpusDamaged` if ``folder`` is another at the end: Zarr makes anew what was removed under it.

    That happens to a task that outlives its run, whose staging folder goes with it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # while open, no other folder is given its inode
    try:
        yield
        if not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            raise CorpusDamaged(f"{folder}: was removed while it was filled; run again")
    finally:
        os.close(descriptor)


@contextmanager
def _build(parts: Path, final: Path) -> Iterator[Path]:
    """Give an empty folder to fill; seal and publish it as ``final``, unless another process was faster."""
    folder = parts / f"group-{uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        with _held(folder):
            yield folder
            Seal.of(folder).write()
        make_folder(final.parent)
        publish_folder(folder, final)
    except Exception as error:
        # the faster one may have removed the parts under our hands, too
        if not final.is_dir() or (isinstance(error, OSError) and error.errno not in REMOVED):
            raise
        logger.info("%s: committed by another process meanwhile", final)
    finally:
        remove_tree(parts, folder)
