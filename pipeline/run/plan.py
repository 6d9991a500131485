"""Plans a run: pure decisions about files, sources and parts, which touch no disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.catalogue import FileEntry, Manifest, removed_message
from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.grid.tiling import Tiling
from pipeline.model import Source, SourceReport, WindowGrid
from pipeline.tasks import Probed

PART_CHANNELS = 2**24
"""Fine channels × time blocks of a scan task: some seconds of work, 1 GB of decoded samples, never held at once."""
EMBED_BYTES = 2**22
"""Largest slice of a source's cutouts, in bytes: 1,024 windows of 16 × 256. On a processor, an embed task is one slice.
It takes a fraction of a second to a minute, short enough that all workers end at about the same time."""
GPU_EMBED_BYTES = 2**26
"""Cutouts of an embed task on a GPU, in bytes, of any number of sources. That is several batches, so that the GPU need
not wait while tasks come and go."""
EMBED_PIECES = 64
"""Largest number of slices in an embed task on a GPU. Their description goes through the scheduler, and each waits for
the others. On processors a task is one slice: nothing is gained by waiting."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sources to ingest, and reports of the other files."""

    todo: tuple[Probed, ...]
    reports: tuple[SourceReport, ...]


def may_heal(entry: FileEntry) -> bool:
    """Return True if a file that could not be used may be usable by now, though it has not changed."""
    return entry.reason is not None and entry.reason.may_heal


def split_known(
    found: Iterable[FoundFile],
    stats: Iterable[tuple[int, int] | None],
    manifest: Manifest,
    is_due: Callable[[FileEntry], bool] = may_heal,
) -> tuple[list[FoundFile], list[SourceReport]]:
    """Separate files that must be probed from files that the manifest knows.

    Parameters
    ----------
    found : iterable of FoundFile
    stats : iterable of (size_bytes, mtime_ns) or None, one a file
        None where the file has gone.
    manifest : Manifest
    is_due : callable
        Returns True for the entry of a file that is tried again, though it has not changed since it failed.

    Returns
    -------
    list of FoundFile, list of SourceReport
        Files to probe, and reports of known files. A file is known while its size and time are those recorded, unless
        it is tried again, or is a copy of a scan that the corpus does not hold.
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
        elif entry.reason is not None and not is_due(entry):
            reports.append(SourceReport(str(file.path), entry.status, entry.source_id, entry.reason, entry.message))
        else:
            unknown.append(file)
    return unknown, reports


def choose_sources(probed: Sequence[Probed | SourceReport], manifest: Manifest) -> Plan:
    """Choose one file of every scan that the corpus does not hold. The others are reported, with all paths of the scan.

    The chosen file is the first one that has not failed before. None is chosen of a scan that was removed.
    """
    reports = [item for item in probed if isinstance(item, SourceReport)]
    by_id: dict[str, list[Probed]] = {}
    for item in probed:
        if isinstance(item, Probed):
            by_id.setdefault(item.source.id, []).append(item)
    todo: list[Probed] = []
    for source_id, copies in by_id.items():
        if source_id in manifest.removed:
            reports += [SourceReport(path, "skipped", source_id, Reason.REMOVED, removed_message(path, source_id))
                        for path in (copy.source.path for copy in copies)]
            continue
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
    """Divide a source's coarse channels into parts, one for each scan task. Each coarse channel is in one part."""
    work = tiling.coarse.width * max(1, tiling.n_blocks)
    size = max(1, PART_CHANNELS // work)
    return [range(first, min(first + size, tiling.n_coarse)) for first in range(0, tiling.n_coarse, size)]


def slices_of(count: int, grid: WindowGrid) -> list[tuple[int, int]]:
    """Divide a source's stored windows into slices of rows [start, stop). No windows make one slice of no rows."""
    size = max(1, EMBED_BYTES // (grid.integrations * grid.channels))
    return [(first, min(first + size, count)) for first in range(0, max(count, 1), size)]


def batch_of(counts: Iterable[int], grid: WindowGrid, most: int = EMBED_PIECES) -> tuple[int, bool]:
    """Return how many of the waiting slices, in this order, make one embed task on a GPU.

    Parameters
    ----------
    counts : iterable of int
        Number of windows of each slice that :func:`slices_of` made.
    most : int
        Largest number of slices in a task.

    Returns
    -------
    int, bool
        Number of slices, at least one if any waits; and True if they fill the task.
    """
    room = max(1, GPU_EMBED_BYTES // (grid.integrations * grid.channels))
    taken = 0
    for count in counts:
        if taken and count > room:
            return taken, True
        taken, room = taken + 1, room - count
        if room <= 0 or taken == most:
            return taken, True
    return taken, False
