"""What a run has to do: pure decisions about files, sources and parts. Touches no disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.model import Source, SourceReport
from pipeline.store import Manifest
from pipeline.windows import Tiling

PART_CHANNELS = 2**25
"""Fine channels × time blocks a scan task: a few seconds of work, 2 GB decoded, never held at once."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A file whose header and a few samples have been read."""

    source: Source
    also_at: tuple[str, ...] = ()
    """Further files of this run that hold the same scan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sources to ingest, and what is already known about the other files."""

    todo: tuple[Probed, ...]
    reports: tuple[SourceReport, ...]


def split_known(
    found: Iterable[FoundFile], stats: Iterable[tuple[int, int] | None], manifest: Manifest
) -> tuple[list[FoundFile], list[SourceReport]]:
    """Separate files that must be probed from those of which the manifest knows enough.

    Parameters
    ----------
    found : iterable of FoundFile
    stats : iterable of (size_bytes, mtime_ns) or None, one a file
        None where the file has gone.
    manifest : Manifest

    Returns
    -------
    list of FoundFile, list of SourceReport
        A file is known while its size and time are those recorded, unless what was wrong with it may heal.
    """
    unknown: list[FoundFile] = []
    reports: list[SourceReport] = []
    for file, stat in zip(found, stats, strict=True):
        entry = manifest.files.get(str(file.path))
        if entry is None or stat != (entry.size_bytes, entry.mtime_ns):
            unknown.append(file)
        elif entry.status == "done":
            reports.append(SourceReport(str(file.path), "skipped", entry.source_id, message="already in the corpus"))
        elif entry.reason is not None and not entry.reason.may_heal:
            reports.append(SourceReport(str(file.path), entry.status, entry.source_id, entry.reason, entry.message))
        else:
            unknown.append(file)
    return unknown, reports


def choose_sources(probed: Sequence[Probed | SourceReport], manifest: Manifest) -> Plan:
    """Keep one file of every scan that the corpus does not hold yet; the others are duplicates, all paths listed."""
    reports = [item for item in probed if isinstance(item, SourceReport)]
    by_id: dict[str, list[Probed]] = {}
    for item in probed:
        if isinstance(item, Probed):
            by_id.setdefault(item.source.id, []).append(item)
    todo: list[Probed] = []
    for source_id, copies in by_id.items():
        held = manifest.sources.get(source_id)
        first = held.path if held else copies[0].source.path
        if not held:
            todo.append(replace(copies[0], also_at=tuple(copy.source.path for copy in copies[1:])))
        for copy in copies if held else copies[1:]:
            if copy.source.path == first:
                reports.append(SourceReport(first, "skipped", source_id, message="already in the corpus"))
                continue
            paths = tuple(sorted({first, *(c.source.path for c in copies)} - {copy.source.path}))
            reports.append(SourceReport(copy.source.path, "skipped", source_id, Reason.DUPLICATE,
                                        f"the same scan as {first}", also_at=paths))
    return Plan(tuple(todo), tuple(reports))


def parts_of(tiling: Tiling) -> list[range]:
    """Cut a source's coarse channels into parts, one a scan task. Every coarse channel is in exactly one."""
    work = tiling.coarse.width * max(1, tiling.n_blocks)
    size = max(1, PART_CHANNELS // work)
    return [range(first, min(first + size, tiling.n_coarse)) for first in range(0, tiling.n_coarse, size)]
