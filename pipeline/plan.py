"""What a run has to do: pure decisions about files, sources and parts. Touches no disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.model import Source, SourceReport
from pipeline.store import Manifest
from pipeline.windows import Tiling

PART_CHANNELS = 2**24
"""Fine channels × time blocks a scan task: some seconds of work, 1 GB decoded, never held at once."""


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
        A file is known while its size and time are those recorded, unless what was wrong with it may heal, or it is
        a copy of a file that could not be used.
    """
    unknown: list[FoundFile] = []
    reports: list[SourceReport] = []
    for file, stat in zip(found, stats, strict=True):
        entry = manifest.files.get(str(file.path))
        if entry is None or stat != (entry.size_bytes, entry.mtime_ns):
            unknown.append(file)
        elif entry.status == "done":
            reports.append(SourceReport(str(file.path), "skipped", entry.source_id, message="already in the corpus"))
        elif entry.reason is Reason.DUPLICATE and entry.source_id not in manifest.sources:
            unknown.append(file)
        elif entry.reason is not None and not entry.reason.may_heal:
            reports.append(SourceReport(str(file.path), entry.status, entry.source_id, entry.reason, entry.message))
        else:
            unknown.append(file)
    return unknown, reports


def choose_sources(probed: Sequence[Probed | SourceReport], manifest: Manifest) -> Plan:
    """Keep one file of every scan that the corpus does not hold yet; the others are duplicates, all paths listed.

    The one kept is the first that has not failed before.
    """
    reports = [item for item in probed if isinstance(item, SourceReport)]
    by_id: dict[str, list[Probed]] = {}
    for item in probed:
        if isinstance(item, Probed):
            by_id.setdefault(item.source.id, []).append(item)
    todo: list[Probed] = []
    for source_id, copies in by_id.items():
        held = manifest.sources.get(source_id)
        chosen = min(copies, key=lambda copy: _has_failed(manifest, copy.source))
        first = held.path if held else chosen.source.path
        paths = sorted({first, *(held.also_at if held else ()), *(copy.source.path for copy in copies)})
        if not held:
            todo.append(replace(chosen, also_at=tuple(path for path in paths if path != first)))
        for copy in copies:
            path = copy.source.path
            if path != first:
                reports.append(SourceReport(path, "skipped", source_id, Reason.DUPLICATE, f"the same scan as {first}",
                                            also_at=tuple(other for other in paths if other != path)))
            elif held:
                reports.append(SourceReport(path, "skipped", source_id, message="already in the corpus"))
    return Plan(tuple(todo), tuple(reports))


def _has_failed(manifest: Manifest, source: Source) -> bool:
    entry = manifest.files.get(source.path)
    if entry is None or entry.status != "failed":
        return False
    return (entry.size_bytes, entry.mtime_ns) == (source.size_bytes, source.mtime_ns)


def parts_of(tiling: Tiling) -> list[range]:
    """Cut a source's coarse channels into parts, one a scan task. Every coarse channel is in exactly one."""
    work = tiling.coarse.width * max(1, tiling.n_blocks)
    size = max(1, PART_CHANNELS // work)
    return [range(first, min(first + size, tiling.n_coarse)) for first in range(0, tiling.n_coarse, size)]
