"""Finds out which scans are the beginning of which others, by their samples.

A file may be ingested before it is complete, and later grow, move or be copied. Its beginning and the whole file have
different ids, because an id depends on the number of spectra and on the last one. Of both, only the longer is wanted.
A header alone does not tell, as another observation may have the same one. So the id of the first spectra of the longer
file is computed. If it equals the id of the shorter scan, the shorter scan is its beginning.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

from pipeline import tasks
from pipeline.catalogue import Manifest, stem_of
from pipeline.config import ScanConfig
from pipeline.errors import Reason
from pipeline.execute.engine import Call, Engine
from pipeline.filterbank import FoundFile, scan_key
from pipeline.run.failures import crashed
from pipeline.run.plan import Beginnings, Pair
from pipeline.run.probing import Probes
from pipeline.run.progress import Tracker
from pipeline.tasks import Probed


@dataclass(frozen=True, slots=True)
class _Scan:
    """A scan that may be the beginning of another one, or may begin with another one."""

    id: str
    nsamples: int
    files: tuple[FoundFile, ...]
    is_new: bool = False
    """True for a scan that the corpus neither holds nor has removed."""


def find_beginnings(
    engine: Engine, probes: Probes, manifest: Manifest, config: ScanConfig, tracker: Tracker
) -> Beginnings:
    """Compare the new scans of a run with one another, and with those that the corpus holds or that were removed.

    Files are read only if two headers differ in nothing but the number of spectra. Nothing is found out about scans
    that were removed by versions that did not note this number.
    """
    new = {item.source.id: (file, item) for file, item in reversed(probes.items()) if isinstance(item, Probed)
           and item.source.id not in manifest.sources and item.source.id not in manifest.removed}
    noted = {item.source.id: whole for _, item in new.values() if (whole := _noted_whole(item, manifest))}
    begins, differs, unknown = set(noted.items()), set[Pair](), set[Pair]()
    shorter = _to_compare(new, manifest, noted)

    def note(long: _Scan, ids: Mapping[int, str] | None) -> None:
        tracker.tasks += 1
        for short in shorter[long]:
            kind = unknown if ids is None else begins if ids[short.nsamples] == short.id else differs
            kind.add((short.id, long.id))

    def on_error(long: _Scan, error: BaseException) -> None:
        crashed(str(long.files[0].path), long.id, error)
        note(long, None)

    calls = deque(Call(long, tasks.beginnings, (long.files, long.id, long.nsamples,
                                                tuple({short.nsamples for short in shorts}), config))
                  for long, shorts in shorter.items())
    for long, ids in engine.run_all(calls, on_error):
        note(long, ids)
    return Beginnings(frozenset(begins), frozenset(differs), frozenset(unknown))


def _noted_whole(item: Probed, manifest: Manifest) -> str:
    """Return the source whose beginning an earlier run found in this unchanged file; empty if there is none."""
    source, entry = item.source, manifest.files.get(item.source.path)
    is_known = (entry is not None and entry.reason is Reason.DUPLICATE and entry.source_id in manifest.sources
                and (entry.size_bytes, entry.mtime_ns) == (source.size_bytes, source.mtime_ns))
    return entry.source_id if entry is not None and is_known else ""


def _to_compare(
    new: Mapping[str, tuple[FoundFile, Probed]], manifest: Manifest, noted: Collection[str]
) -> dict[_Scan, list[_Scan]]:
    """Return the scans whose files must be read, each with the shorter scans that may be its beginning."""
    shorter = defaultdict[_Scan, list[_Scan]](list)
    for group in _groups(new, manifest):
        for short, long in permutations(group, 2):
            if short.nsamples < long.nsamples and (short.is_new or long.is_new) and short.id not in noted:
                shorter[long].append(short)
    return shorter


def _groups(new: Mapping[str, tuple[FoundFile, Probed]], manifest: Manifest) -> Iterable[list[_Scan]]:
    """Group the new scans by their headers; add scans with such headers that the corpus holds or has removed."""
    groups = defaultdict[tuple[str, Hashable], list[_Scan]](list)
    for source_id, (file, item) in new.items():
        header, files = item.source.header, (replace(file, accept_truncated=True),)
        groups[stem_of(source_id), scan_key(header)].append(_Scan(source_id, header.nsamples, files, is_new=True))
    stems = {stem for stem, _ in groups}
    for source_id, entry in manifest.sources.items():
        if (stem := stem_of(source_id)) in stems and (key := (stem, scan_key(entry.header))) in groups:
            groups[key].append(_Scan(source_id, entry.header.nsamples, _found((entry.path, *entry.also_at))))
    for source_id, nsamples in manifest.removed_nsamples.items():
        if (stem := stem_of(source_id)) in stems and source_id in manifest.removed:
            removed = _Scan(source_id, nsamples, _found(manifest.removed[source_id]))
            for key in groups:
                if key[0] == stem:
                    groups[key].append(removed)
    return groups.values()


def _found(paths: Iterable[str]) -> tuple[FoundFile, ...]:
    return tuple(FoundFile(Path(path), Path(path).parent, accept_truncated=True) for path in paths)
