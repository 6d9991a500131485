"""Survey of a corpus: reads every object, compares it with its digest, and names what is damaged. Changes nothing."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pipeline.catalogue import Manifest
from pipeline.config import CONFIG_FILE
from pipeline.encoders import needs_projection
from pipeline.errors import CorpusError
from pipeline.families import families_folder, faults_of_families, has_families
from pipeline.index import segment_faults
from pipeline.integrity.faults import (
    identity_faults,
    overview_faults,
    projection_faults,
    source_faults,
    vector_faults,
)
from pipeline.integrity.index_faults import faults_of_segment
from pipeline.integrity.manifest_files import Head, read_head
from pipeline.overview import overview_name, scan_of_overview
from pipeline.run import Tracker, stat_of
from pipeline.store import SourceGroup, overview_folder, segment_folder, source_folder, vector_folder
from pipeline.store.digests import Fault
from pipeline.store.foreign_files import FOLDERS, Found, inside, own_folders, own_groups, survey
from pipeline.store.layout import CURRENT, ENCODERS, MANIFESTS, SEGMENTS, SOURCES, VECTORS, projection_file
from pipeline.store.retirement import is_retired
from pipeline.store.safe_names import KEY, OVERVIEW, SEGMENT, SOURCE
from pipeline.support.safe_files import MAX_FOLDER_DEPTH, link_remedy

Kind = Literal["link", "folder", "pointer", "manifest", "identity", "config", "projection", "source", "overview",
               "vectors", "segment", "orphan", "families"]
"""Kind of a damaged object. An orphan is a folder that no generation names, and that the next run would adopt. A link
stands in place of one of the corpus' folders: no run writes before the user has removed it. Families lie beside it."""

MAX_THREADS = 8
"""Maximum number of objects checked at once: enough to keep a disk busy, and to hash on several cores."""
_MAX_SOURCES_ASKED = 16
"""Number of sources whose fingerprint is read."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A file or folder that is missing, or not what was written."""

    kind: Kind
    id: str
    """Id of the object that it belongs to: of a source, overview or segment, ``encoder/source``, or an encoder's name.
    An overview has the id of its scan."""
    path: Path
    message: str
    """What is wrong, such as ``is missing``."""
    remedy: str
    """What to do."""

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``verify --json`` prints."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of a verification or repair."""

    objects: int
    """Number of objects that were read: windows, vectors and overview of a source, segments and projections."""
    objects_in_all: int
    """Number of objects of the corpus; more than ``objects`` if a sample was read."""
    bytes_read: int
    elapsed_s: float
    damages: tuple[Damage, ...]
    """Damage that is still there."""
    mended: tuple[Damage, ...] = ()
    """Damage that was found and repaired."""
    notes: tuple[str, ...] = field(default=())
    """Further notes for the user."""
    sample: float = 1.0
    """Share of the objects that was to be read. If the corpus has few objects, the sample may be empty."""
    foreign: tuple[Path, ...] = ()
    """Files and folders that are no part of the corpus. They are no damage, and no run touches them."""

    @property
    def exit_code(self) -> int:
        """5 if anything is damaged, else 0."""
        return CorpusError.exit_code if self.damages else 0

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``verify --json`` prints."""
        return {
            "objects": self.objects, "objects_in_all": self.objects_in_all, "sample": self.sample,
            "bytes_read": self.bytes_read, "elapsed_s": round(self.elapsed_s, 3),
            "damages": [one.to_json() for one in self.damages],
            "mended": [one.to_json() for one in self.mended], "notes": list(self.notes),
            "foreign": [str(path) for path in self.foreign],
        }


@dataclass(frozen=True, slots=True)
class Item:
    """An object that can be checked, and the function that finds its faults."""

    kind: Kind
    id: str
    folder: Path
    check: Callable[[], Iterator[Fault]]


def survey_corpus(root: Path, sample: float, day: int, tracker: Tracker) -> Verification:
    """Check the head of a corpus and a sample of its objects; change nothing.

    Parameters
    ----------
    sample : float
        Share of the objects to read, above 0 and up to 1.
    day : int
        Number of the day, which selects the share: see :func:`pipeline.integrity.verify.verify`.
    """
    began = time.perf_counter()
    head = read_head(root)
    damages = list(head_damages(root, head))
    items = items_of(root, head.manifest)
    chosen = [item for item in items if _is_sampled(item, sample, day)]
    beside = survey(root, {item.folder for item in items})
    damages += [Damage("link", str(path.relative_to(root)), path, message, link_remedy(path))
                for path, message in beside.links]
    bytes_read, found, foreign = check(chosen, head.manifest, tracker)
    if found:  # a run may have published meanwhile: an object that it has dropped does not count
        named = {(item.kind, item.id) for item in items_of(root, read_head(root).manifest)}
        found = [one for one in found if (one.kind, one.id) in named]
    return Verification(len(chosen), len(items), bytes_read, time.perf_counter() - began, (*damages, *found),
                        sample=sample, foreign=tuple(sorted({*beside.foreign, *foreign})))


def head_damages(root: Path, head: Head) -> Iterator[Damage]:
    """Find what is damaged of folders, pointer, manifests, identity and configuration."""
    again = "write it again with --repair"
    for name in FOLDERS:
        if not (root / name).is_dir():
            yield Damage("folder", name, root / name, "is missing", again)
    for path, message in head.faults:
        remedy = again
        if head.is_lost and path.parent.name == MANIFESTS:
            remedy = ("restore it from a backup; or go back to the generation before it with --repair: repeat "
                      "what was removed or indexed since then")
        yield Damage("pointer" if path.name == CURRENT else "manifest", path.stem, path, message, remedy)
    for path, message in identity_faults(root, fingerprints(root, head.manifest)):
        yield Damage("config" if path.name == CONFIG_FILE else "identity", path.name, path, message, again)


def fingerprints(root: Path, manifest: Manifest) -> set[str]:
    """Return the most frequent fingerprint of a few sources; an empty set if none of them can be read."""
    found: Counter[str] = Counter()
    for source_id in list(manifest.sources)[:_MAX_SOURCES_ASKED]:
        with suppress(CorpusError, OSError, LookupError, TypeError):
            found[SourceGroup.open(root, source_id).fingerprint] += 1
    return {found.most_common(1)[0][0]} if found else set()


def items_of(root: Path, manifest: Manifest) -> list[Item]:
    """List the objects that a generation names, and the orphans that the next run would adopt."""
    expected = next(iter(fingerprints(root, manifest)), "")
    items = [Item("projection", name, projection_file(root, name).parent, partial(projection_faults, root, name))
             for name in sorted({*_groups(root / ENCODERS, KEY), *(spec.name for spec in manifest.encoders.values()
                                                                if needs_projection(spec.name))})]
    for source_id, entry in manifest.sources.items():
        items.append(Item("source", source_id, source_folder(root, source_id),
                          partial(source_faults, root, source_id, entry, expected)))
        if entry.overview:
            items.append(Item("overview", source_id, overview_folder(root, source_id),
                              partial(overview_faults, root, source_id, entry)))
        items += [Item("vectors", f"{key}/{source_id}", vector_folder(root, key, source_id),
                       partial(vector_faults, root, key, source_id, count, manifest.encoders.get(key)))
                  for key, count in entry.vectors.items()]
    for segment in manifest.segments:
        items += [Item("segment", one.id, segment_folder(root, one.id), partial(faults_of_segment, root, one, manifest))
                  for one in (segment, *(piece for piece in segment.pieces if piece.routed_id))]
    if has_families(root):
        items.append(Item("families", families_folder(root).name, families_folder(root),
                          partial(faults_of_families, root)))
    known = {item.folder for item in items}
    return [*items, *(item for item in _orphans(root, expected, manifest.sources)
                      if item.folder not in known and not is_retired(manifest, item.folder.relative_to(root)))]


def check(items: Sequence[Item], manifest: Manifest, tracker: Tracker) -> tuple[int, list[Damage], list[Path]]:
    """Check objects, several at once.

    Returns
    -------
    int, list of Damage, list of Path
        Bytes read, damage in the order of the items, and files that are no part of the corpus.
    """
    damages: list[Damage] = []
    foreign: list[Path] = []
    tracker.enter("verify", len(items))
    tracker.parts = len(items)
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        try:
            for item, (size, faults, others) in zip(items, pool.map(_checked, items), strict=True):
                tracker.files_done += 1
                tracker.parts_done += 1
                tracker.bytes_decoded += size
                tracker.tell()
                damages += [Damage(item.kind, item.id, path, message, remedy_of(item, manifest))
                            for path, message in faults]
                foreign += others
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    tracker.tell(force=True)
    return tracker.bytes_decoded, damages, foreign


def remedy_of(item: Item, manifest: Manifest) -> str:
    """Return what the user can do about a damaged object."""
    if item.kind in ("source", "overview") and (path := unchanged_file(manifest, item.id)):
        return f"read {path} again with --repair"
    if item.kind == "overview":
        return (f"{manifest.sources[item.id].path} is gone or has changed: restore the folder from a backup; or delete "
                "the folder: the corpus then has no overview of this scan")
    if item.kind == "source":
        return (f"{manifest.sources[item.id].path} is gone or has changed: restore the folder from a backup; or delete "
                "the folder: the next ingest then reads the file again if it is there, or else forgets the source")
    return {
        "vectors": "make them again from the stored windows with --repair",
        "segment": "build it again from the stored vectors with --repair",
        "projection": "write it again from its copy with --repair, or restore it from a backup",
        "families": ("write it again from its copy with --repair; or move the folder away, and find the families again "
                     "with lookalike families: their ids and names are then lost"),
    }.get(item.kind, "delete it with --repair: it belongs to no generation")


def unchanged_file(manifest: Manifest, source_id: str) -> str:
    """Return a file that still holds a source, by its size and time of change; an empty text if there is none."""
    entry = manifest.sources[source_id]
    known = {path: (file.size_bytes, file.mtime_ns) for path in entry.also_at
             if (file := manifest.files.get(path)) is not None}
    candidates = {entry.path: (entry.size_bytes, entry.mtime_ns), **known}
    return next((path for path, stat in candidates.items() if stat_of(path) == stat), "")


def _checked(item: Item) -> tuple[int, list[Fault], tuple[Path, ...]]:
    # the cells in a routed segment's folder are items themselves; the folder of families is the user's
    beside = Found() if item.kind == "families" else inside(item.folder, 0 if item.kind == "segment" else
                                                            MAX_FOLDER_DEPTH)
    if beside.links:  # a link may lead to a pipe, which would be read for ever
        return 0, list(beside.links), beside.foreign
    faults = list(item.check())
    with suppress(OSError):
        files = item.folder.glob("*") if item.kind == "segment" else item.folder.rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file()), faults, beside.foreign
    return 0, faults, beside.foreign


def _is_sampled(item: Item, share: float, day: int) -> bool:
    """Return True if an object is due. Its digest is a place on a circle, and each day covers the next arc of it."""
    if item.kind == "orphan":  # orphans are few, and the next run would adopt them
        return True
    digest = hashlib.sha256(f"{item.kind} {item.id}".encode(errors="surrogateescape")).digest()
    return (int.from_bytes(digest[:8], "big") / 2**64 + day * share) % 1.0 < share


def _orphans(root: Path, expected: str, named: Collection[str]) -> Iterator[Item]:
    """List the groups and segments on disk, whether or not a generation names them."""
    def item(folder: Path, faults: Callable[[], Iterator[Fault]]) -> Item:
        return Item("orphan", str(folder.relative_to(root)), folder, faults)

    for source_id in _groups(root / SOURCES, SOURCE, named):
        yield item(source_folder(root, source_id), partial(source_faults, root, source_id, None, expected))
    for name in _groups(root / SOURCES, OVERVIEW, {overview_name(scan_id) for scan_id in named}):
        scan_id = scan_of_overview(name)
        yield item(overview_folder(root, scan_id), partial(overview_faults, root, scan_id, None))
    for key in _folders(root / VECTORS, KEY):
        for source_id in _groups(root / VECTORS / key, SOURCE, named):
            yield item(vector_folder(root, key, source_id), partial(vector_faults, root, key, source_id, None, None))
    for name in _folders(root / SEGMENTS, SEGMENT):
        yield item(segment_folder(root, name), partial(segment_faults, segment_folder(root, name)))


def _folders(folder: Path, names: re.Pattern[str]) -> list[str]:
    return own_folders(folder, names) if folder.is_dir() else []


def _groups(folder: Path, names: re.Pattern[str], named: Collection[str] = ()) -> list[str]:
    return own_groups(folder, names, named) if folder.is_dir() else []
