"""Plans a run: pure decisions about files and sources, which touch no disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pipeline.catalogue import FileEntry, Manifest, removed_message
from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.model import Source, SourceReport
from pipeline.support.text import shown
from pipeline.tasks import Probed


@dataclass(frozen=True, slots=True)
class Plan:
    """Sources to ingest, and reports of the other files."""

    todo: tuple[Probed, ...]
    reports: tuple[SourceReport, ...]
    moved: tuple[Probed, ...] = ()
    """Sources that the corpus holds and whose file has another path now."""


Pair = tuple[str, str]
"""Ids of a shorter and a longer scan, whose headers differ in nothing but the number of spectra."""


@dataclass(frozen=True)
class Beginnings:
    """What a comparison of samples has told about scans that may be the beginning of others."""

    begins: frozenset[Pair] = frozenset()
    """The shorter scan is the beginning of the longer one."""
    differs: frozenset[Pair] = frozenset()
    """It is another observation."""
    unknown: frozenset[Pair] = frozenset()
    """The samples cannot be compared, because no file holds the longer scan any more."""

    @cached_property
    def shorter(self) -> Mapping[str, Sequence[str]]:
        """Scan → the scans that are its beginning."""
        return _grouped((long, short) for short, long in self.begins)

    @cached_property
    def longer(self) -> Mapping[str, Sequence[str]]:
        """Scan → the scans that begin with it. Those that are no beginning of a longer scan come first."""
        shorts = {short for short, _ in self.begins}
        return {short: sorted(longs, key=shorts.__contains__) for short, longs in _grouped(self.begins).items()}

    @cached_property
    def different(self) -> Mapping[str, Sequence[str]]:
        """Scan → other observations with the same header."""
        return _grouped(pair for one, other in self.differs for pair in ((one, other), (other, one)))

    @cached_property
    def incomparable(self) -> Mapping[str, Sequence[str]]:
        """Scan → scans that may be its beginning, or may begin with it."""
        return _grouped(pair for one, other in self.unknown for pair in ((one, other), (other, one)))


def _grouped(pairs: Iterable[Pair]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one, other in sorted(pairs):
        found.setdefault(one, []).append(other)
    return found


def may_heal(entry: FileEntry) -> bool:
    """Return True if a file that could not be used may be usable by now, though it has not changed."""
    return entry.reason is not None and entry.reason.may_heal


def split_known(
    found: Iterable[FoundFile],
    stats: Iterable[tuple[int, int] | None],
    manifest: Manifest,
    is_due: Callable[[FileEntry], bool] = may_heal,
    is_gone: Callable[[str], bool] = lambda path: False,
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
    is_gone : callable
        Returns True for the path of a file that does not exist any more.

    Returns
    -------
    list of FoundFile, list of SourceReport
        Files to probe, and reports of known files. A file is known while its size and time are those that the
        manifest has. A known file is still probed if it is tried again, if the corpus does not hold its scan, or if it
        is a copy of a scan whose own file has moved.
    """
    unknown: list[FoundFile] = []
    reports: list[SourceReport] = []
    for file, stat in zip(found, stats, strict=True):
        entry = manifest.files.get(str(file.path))
        if entry is None or stat != (entry.size_bytes, entry.mtime_ns) or (
            _is_left_copy(str(file.path), entry.source_id, manifest, is_gone)
        ):
            unknown.append(file)
        elif entry.status == "done" and entry.source_id in manifest.sources:
            reports.append(SourceReport(str(file.path), "skipped", entry.source_id, message="already in the corpus"))
        elif entry.reason is Reason.DUPLICATE and entry.source_id not in manifest.sources:
            unknown.append(file)
        elif entry.reason is not None and not is_due(entry):
            reports.append(SourceReport(str(file.path), entry.status, entry.source_id, entry.reason, entry.message))
        else:
            unknown.append(file)
    return unknown, reports


def _is_left_copy(path: str, source_id: str, manifest: Manifest, is_gone: Callable[[str], bool]) -> bool:
    """Return True for a file of a source whose scan is no longer at the path that the manifest has."""
    held = manifest.sources.get(source_id)
    return held is not None and held.path != path and _has_left(held.path, source_id, manifest, is_gone)


def _has_left(path: str, source_id: str, manifest: Manifest, is_gone: Callable[[str], bool]) -> bool:
    """Return True if the file of a source has gone, or now holds another scan."""
    entry = manifest.files.get(path)
    return is_gone(path) or (entry is not None and entry.source_id not in ("", source_id))


def choose_sources(
    probed: Sequence[Probed | SourceReport],
    manifest: Manifest,
    is_gone: Callable[[str], bool] = lambda path: False,
    beginnings: Beginnings = Beginnings(),
) -> Plan:
    """Choose one file of every scan that the corpus does not hold. The others are reported, with all paths of the scan.

    The chosen file is the first one that has not failed before. None is chosen of a scan that was removed, nor of one
    that is the beginning of another. If the corpus holds a scan whose file has moved, the chosen file is its file from
    now on.
    """
    reports = [item for item in probed if isinstance(item, SourceReport)]
    found = [item for item in probed if isinstance(item, Probed)]
    by_id: dict[str, list[Probed]] = {}
    for item in found:
        by_id.setdefault(item.source.id, []).append(item)
    id_at = {item.source.path: item.source.id for item in found}

    def has_left(path: str, source_id: str) -> bool:
        return id_at.get(path, source_id) != source_id or _has_left(path, source_id, manifest, is_gone)

    todo: list[Probed] = []
    moved: list[Probed] = []
    for source_id, copies in by_id.items():
        if refused := _refused(source_id, by_id, manifest, beginnings):
            reports += refused
            continue
        held = manifest.sources.get(source_id)
        own = [copy for copy in copies if held and copy.source.path == held.path]
        chosen = (own or sorted(copies, key=lambda copy: _has_failed(manifest, copy.source)))[0]
        was_at = held.path if held and not own and has_left(held.path, source_id) else ""
        first = held.path if held and not was_at else chosen.source.path
        before = [path for path in ((held.path, *held.also_at) if held else ())
                  if not (was_at and has_left(path, source_id))]
        paths = sorted({first, *before, *(copy.source.path for copy in copies)})
        if was_at or not held:
            item = replace(chosen, also_at=tuple(path for path in paths if path != first))
            (moved if held else todo).append(item if held else _beside_others(item, manifest, beginnings))
        reports += _reports_of_copies(copies, first, paths, is_held=held is not None, was_at=was_at)
    return Plan(tuple(todo), tuple(reports), tuple(moved))


def _refused(
    source_id: str, by_id: Mapping[str, Sequence[Probed]], manifest: Manifest, beginnings: Beginnings
) -> list[SourceReport]:
    """Report the files of a scan that is not read, because it was removed or is the beginning of another one."""
    paths, longer = [copy.source.path for copy in by_id[source_id]], beginnings.longer.get(source_id, ())
    for removed, what in ((source_id, "was removed"),
                          *((one, "its beginning was removed") for one in beginnings.shorter.get(source_id, ())),
                          *((one, "is the beginning of a scan that was removed") for one in longer)):
        if removed in manifest.removed:
            return [SourceReport(path, "skipped", removed, Reason.REMOVED, removed_message(path, removed, what))
                    for path in paths]
    whole = next((one for one in longer if one in manifest.sources or one in by_id), "")
    if not whole or source_id in manifest.sources:
        return []
    at = manifest.sources[whole].path if whole in manifest.sources else by_id[whole][0].source.path
    return [SourceReport(path, "skipped", whole, Reason.DUPLICATE, f"the beginning of the scan in {at}")
            for path in paths]


def _beside_others(item: Probed, manifest: Manifest, beginnings: Beginnings) -> Probed:
    """Note which sources a new one replaces, and which sources with its header stay beside it."""
    source, held = item.source, manifest.sources
    notes = [item.warning, *(
        f"{shown(source.path)}: has the same header as {other}, but for the number of spectra; as no file holds the "
        "longer one any more, their samples cannot be compared, and both are kept"
        for other in beginnings.incomparable.get(source.id, ()) if other in held)]
    notes += [f"{shown(source.path)}: held {other} before, which has the same header and other samples; both are kept"
              for other in beginnings.different.get(source.id, ())
              if other in held and held[other].path == source.path]
    return replace(item, warning="; ".join(filter(None, notes)),
                   replaces=tuple(one for one in beginnings.shorter.get(source.id, ()) if one in held))


def _reports_of_copies(
    copies: Sequence[Probed], first: str, paths: Sequence[str], *, is_held: bool, was_at: str
) -> Iterator[SourceReport]:
    """Yield the reports of files of one scan, except that of a file which is to be ingested.

    Parameters
    ----------
    first : str
        Path of the file of the scan.
    paths : sequence of str
        All paths at which the scan is found.
    is_held : bool
        True if the corpus holds the scan.
    was_at : str
        Path of the file before it was moved; empty if it was not.
    """
    for copy in copies:
        path, source_id = copy.source.path, copy.source.id
        if path != first:
            yield SourceReport(path, "skipped", source_id, Reason.DUPLICATE, f"the same scan as {first}",
                               also_at=tuple(other for other in paths if other != path))
        elif is_held:
            yield SourceReport(path, "skipped", source_id, message="already in the corpus" + (
                f"; it was at {was_at} before" if was_at else ""))


def _has_failed(manifest: Manifest, source: Source) -> bool:
    entry = manifest.files.get(source.path)
    if entry is None or entry.status != "failed":
        return False
    return (entry.size_bytes, entry.mtime_ns) == (source.size_bytes, source.mtime_ns)
