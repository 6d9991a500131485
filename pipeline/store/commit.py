"""Commits: join the parts of each source to one immutable group.

The group appears under its final name whole or not at all.

Several processes may commit the same group at the same time, also after a crash. One of them succeeds; the others find
the finished group. Several groups that one process commits together wait for the disk together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusMismatch
from pipeline.model import EncoderSpec, Source, SourceReport
from pipeline.store import arrays
from pipeline.store.digests import Digests
from pipeline.store.groups import SourceGroup, VectorGroup, source_attributes, vector_attributes
from pipeline.store.layout import parts_folder, source_folder, vector_folder
from pipeline.store.npy_file import Array, write_rows
from pipeline.store.publish import Build, publish
from pipeline.store.raw_array import write_raw
from pipeline.store.staging import (
    Part,
    StagedPart,
    as_stored,
    opened_parts,
    read_part_vectors,
    refuse_non_finite,
    tables_of,
)
from pipeline.store.stored_arrays import CUTOUT, VECTOR, WINDOWS


@dataclass(frozen=True, slots=True)
class SourceCommit:
    """A source whose parts are complete."""

    source: Source
    """Stored in the group, so that a later run can adopt a group that no manifest names yet."""
    n_parts: int
    """The parts are 0 to ``n_parts`` − 1. Rows are in the order of the parts."""
    report: SourceReport
    """Report of the source. ``windows_kept`` must be the number of rows."""
    only_part: Part | None = None
    """The only part, if it is not in the staging folder."""


def commit_source_groups(
    root: Path,
    staging: Path,
    commits: Sequence[SourceCommit],
    *,
    fingerprint: str,
    columns: Mapping[str, str] | None = None,
) -> None:
    """Make the source groups of some sources.

    Parameters
    ----------
    root, staging : Path
        Folder of the corpus, and staging folder of the run. Both are on one file system.
    commits : sequence of SourceCommit
        The sources.
    fingerprint : str
        Fingerprint of the identity: grid, gate and cutouts, which decide what the groups hold.
    columns : mapping
        Column → description with units.

    Raises
    ------
    CorpusMismatch
        A group of such a source with another fingerprint exists.
    CorpusDamaged
        A part or an existing group is missing or altered.
    ValueError
        The parts of a source do not fit together, repeat windows, or disagree with its report.

    After an error, some of the groups may be committed.
    """
    are_new = publish([
        Build(parts_folder(staging, one.source.id), source_folder(root, one.source.id),
              _group_writer(source_attributes(one.source, one.report, fingerprint, columns or {}),
                            partial(_write_windows, staging, one)))
        for one in commits])
    for one, is_new in zip(commits, are_new, strict=True):
        if not is_new:
            _require_own_group(root, one.source.id, fingerprint)


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
    """Make the group of one source, as :func:`commit_source_groups` does, and open it."""
    commit_source_groups(
        root, staging, [SourceCommit(source, n_parts, report)], fingerprint=fingerprint, columns=columns)
    return SourceGroup.open(root, source.id)


def commit_vector_groups(
    root: Path, staging: Path, parts: Mapping[str, int], *, spec: EncoderSpec,
    vectors: Mapping[str, Array] = MappingProxyType({}),
) -> None:
    """Make the vector groups of committed sources.

    Parameters
    ----------
    root, staging : Path
        Folder of the corpus, and staging folder of the run. Both are on one file system.
    parts : mapping
        Id of a source whose windows were embedded → number of parts of its vectors.
    spec : EncoderSpec
        Encoder that made the vectors.
    vectors : mapping, optional
        Id of a source → its vectors, if they are not in the staging folder.

    Raises
    ------
    CorpusMismatch
        An existing group under this key was made by another encoder or of other windows.
    CorpusDamaged
        The vectors of a part or an existing group are missing or altered.
    ValueError
        The number of vectors is not the number of windows, or their dimension is not that of the encoder.

    After an error, some of the groups may be committed.
    """
    sources = [SourceGroup.open(root, source_id) for source_id in parts]
    finals = [vector_folder(root, spec.key, source_id) for source_id in parts]
    are_new = publish([
        Build(parts_folder(staging, source.source_id), final,
              _group_writer(vector_attributes(source, spec),
                            partial(_write_vectors, staging, source, parts[source.source_id], spec, vectors)))
        for source, final in zip(sources, finals, strict=True)])
    for source, final, is_new in zip(sources, finals, are_new, strict=True):
        if not is_new and (found := VectorGroup(final, source).spec) != spec:
            raise CorpusMismatch(f"{final}: made by {found}, this run has {spec}; use the encoder that made the "
                                 "vectors, or remove the folder")


def commit_vector_group(
    root: Path, staging: Path, source_id: str, n_parts: int, *, spec: EncoderSpec
) -> VectorGroup:
    """Make the vector group of one committed source, as :func:`commit_vector_groups` does, and open it."""
    commit_vector_groups(root, staging, {source_id: n_parts}, spec=spec)
    return VectorGroup(vector_folder(root, spec.key, source_id), SourceGroup.open(root, source_id))


def _require_own_group(root: Path, source_id: str, fingerprint: str) -> None:
    """Open a group that was there before, and raise :class:`CorpusMismatch` unless it is what would have been made."""
    group = SourceGroup.open(root, source_id)
    if group.source_id != source_id or group.fingerprint != fingerprint:
        raise CorpusMismatch(
            f"{group.folder}: holds {group.source_id} with fingerprint {group.fingerprint}, this run makes "
            f"{source_id} with {fingerprint}; remove the folder and ingest the source again"
        )


def _write_windows(staging: Path, commit: SourceCommit, folder: Path) -> None:
    """Write the arrays of a source group, after checking the parts against each other and the report."""
    source_id = commit.source.id
    _at_least_one(source_id, commit.n_parts)
    with _parts_of(staging, commit) as parts:
        for part_no, part in enumerate(parts):
            if part.names != parts[0].names:
                raise ValueError(f"{source_id}: part {part_no} has {sorted(part.names)}, not {sorted(parts[0].names)}")
        _check_numbers(commit, parts)
        for name in sorted(parts[0].names - {CUTOUT}):
            tables = [part.read(name) for part in parts]
            write_rows(folder / f"{name}.npy", tables[0].dtype, (sum(map(len, tables)),), tables)
        arrays.write_array(folder, CUTOUT, (part.read(CUTOUT) for part in parts), commit.report.windows_kept)


def _parts_of(staging: Path, commit: SourceCommit) -> AbstractContextManager[list[StagedPart]]:
    source_id = commit.source.id
    if commit.only_part is None:
        return opened_parts(staging, source_id, commit.n_parts)
    return nullcontext([StagedPart(parts_folder(staging, source_id), tables_of(commit.only_part))])


def _check_numbers(commit: SourceCommit, parts: Sequence[StagedPart]) -> None:
    """Raise ``ValueError`` if window numbers repeat, or are not as many as the report says."""
    numbers: NDArray[np.int64] = np.concatenate([part.read(WINDOWS)["number"] for part in parts])
    if len(np.unique(numbers)) != len(numbers):
        raise ValueError(f"{commit.source.id}: parts repeat window numbers")
    if len(numbers) != commit.report.windows_kept:
        raise ValueError(f"{commit.source.id}: {len(numbers)} windows in parts, {commit.report.windows_kept} in the "
                         "report")


def _write_vectors(
    staging: Path, source: SourceGroup, n_parts: int, spec: EncoderSpec, vectors: Mapping[str, Array], folder: Path
) -> None:
    """Write the vectors of a source: those that are given, or those of its parts."""
    source_id = source.source_id
    pieces = _vector_pieces(staging, source_id, n_parts, spec) if source_id not in vectors else iter(
        [as_stored(vectors[source_id], f"{source_id}, {spec.key}")])
    write_raw(folder / VECTOR, np.float16, (source.n_windows, spec.dimension), pieces)


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


def _group_writer(attributes: Mapping[str, Any], write_arrays: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return what writes a group into a folder: its arrays, then its attributes with the digests."""

    def write(folder: Path) -> None:
        write_arrays(folder)
        Digests.of(folder).write_group(attributes)

    return write
