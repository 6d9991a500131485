"""Verify: every object of a corpus is read and compared with its digest, and what is damaged is named, or mended."""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pipeline.config import CONFIG_FILE, require_no_run
from pipeline.encoders import needs_projection
from pipeline.errors import ConfigError, CorpusError, CorpusNotFound
from pipeline.index import segment_faults
from pipeline.run.ingest import stat_of
from pipeline.run.progress import Listener, Tracker
from pipeline.safe import link_remedy
from pipeline.store import Manifest, SourceGroup, segment_folder, source_folder, vector_folder
from pipeline.store.checks import identity_faults, projection_faults, source_faults, vector_faults
from pipeline.store.door import KEY, SEGMENT, SOURCE
from pipeline.store.head import Head, read_head
from pipeline.store.layout import (
    CURRENT,
    ENCODERS,
    IDENTITY,
    MANIFESTS,
    SEGMENTS,
    SOURCES,
    VECTORS,
    projection_file,
)
from pipeline.store.retired import is_retired
from pipeline.store.seal import Fault
from pipeline.store.survey import FOLDERS, inside, own_folders, own_groups, survey

Kind = Literal["link", "folder", "pointer", "manifest", "identity", "config", "projection", "source", "vectors",
               "segment", "orphan"]
"""An orphan is a folder that no generation names, and that the next run would take in. A link is one where the corpus
has folders of its own: no run writes before it is gone."""

THREADS = 8
"""Files read at once, at most: what keeps a disk busy, and hashing off one core."""
_ASKED_FOR_IDENTITY = 16


@dataclass(frozen=True, slots=True)
class Damage:
    """One file or folder that is missing, or not what was written."""

    kind: Kind
    id: str
    """Of the object it belongs to: a source's, ``encoder/source`` of vectors, a segment's, an encoder's name."""
    path: Path
    message: str
    remedy: str
    """What to do."""

    def to_json(self) -> dict[str, Any]:
        """Record for ``verify --json``."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True, slots=True)
class Verification:
    """What was read, what is damaged, and what has been mended."""

    objects: int
    """Sources' windows, their vectors, segments and projections that were read."""
    objects_in_all: int
    """More than ``objects`` where a sample was read."""
    bytes_read: int
    elapsed_s: float
    damages: tuple[Damage, ...]
    """What is damaged, now."""
    mended: tuple[Damage, ...] = ()
    """What was, and has been rebuilt."""
    notes: tuple[str, ...] = field(default=())
    """What else there is to know."""
    sample: float = 1.0
    """Share of the objects whose turn it was: of few objects it may have been none's."""
    foreign: tuple[Path, ...] = ()
    """Files and folders that are no part of the corpus: no damage, and no run touches them."""

    @property
    def exit_code(self) -> int:
        """5 where anything is damaged, else 0."""
        return CorpusError.exit_code if self.damages else 0

    def to_json(self) -> dict[str, Any]:
        """Record for ``verify --json``."""
        return {
            "objects": self.objects, "objects_in_all": self.objects_in_all, "sample": self.sample,
            "bytes_read": self.bytes_read, "elapsed_s": round(self.elapsed_s, 3),
            "damages": [one.to_json() for one in self.damages],
            "mended": [one.to_json() for one in self.mended], "notes": list(self.notes),
            "foreign": [str(path) for path in self.foreign],
        }


@dataclass(frozen=True, slots=True)
class Item:
    """An object that can be checked."""

    kind: Kind
    id: str
    folder: Path
    check: Callable[[], Iterator[Fault]]


def verify(
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    sample: float = 1.0,
    day: int | None = None,
    repair: bool = False,
    place: Mapping[str, Any] | None = None,
    serial: bool = False,
    listener: Listener | None = None,
) -> Verification:
    """Read a corpus through and compare everything with its digest; rebuild what is damaged, if asked.

    Parameters
    ----------
    corpus : path
    client : distributed.Client, optional
        Where to rebuild, as :func:`pipeline.run.ingest` takes it.
    sample : float
        Share of the objects to read. Which ones depends on the day: in ``1 / sample`` days each has its turn.
    day : int, optional
        Days since any; by default today.
    repair : bool
        Rebuild what is damaged, under the corpus' lock; what cannot be is left as it is and named.
    place : mapping, optional
        What to override the user's ``[run]`` with (:mod:`pipeline.user_settings`).
    serial, listener
        As :func:`pipeline.run.ingest` takes them.

    Returns
    -------
    Verification

    Raises
    ------
    ConfigError, CorpusNotFound, CorpusLocked, RunError
        Nothing is lost by any of them; run again to go on.
    """
    if not 0 < sample <= 1:
        raise ConfigError(f"sample must be a share of the objects, over 0 and up to 1, got {sample}")
    root = Path(corpus).absolute()
    if not any((root / name).exists() for name in (IDENTITY, CURRENT, MANIFESTS)):
        raise CorpusNotFound(f"{root}: there is no corpus here; make one with: lookalike ingest DATA --corpus {root}")
    require_no_run(root)
    day = datetime.date.today().toordinal() if day is None else day
    if not repair:
        return read_through(root, sample, day, Tracker(listener))
    from pipeline.run.repair import repaired

    return repaired(root, client, sample, day, place or {}, serial, Tracker(listener))


def read_through(root: Path, sample: float, day: int, tracker: Tracker) -> Verification:
    """Check everything, or a sample, and change nothing."""
    began = time.perf_counter()
    head = read_head(root)
    damages = list(head_damages(root, head))
    items = items_of(root, head.manifest)
    chosen = [item for item in items if _is_sampled(item, sample, day)]
    beside = survey(root, {item.folder for item in items})
    damages += [Damage("link", str(path.relative_to(root)), path, message, link_remedy(path))
                for path, message in beside.links]
    bytes_read, found, foreign = check(chosen, head.manifest, tracker)
    if found:  # a run may have gone on meanwhile: what it has dropped does not count
        named = {(item.kind, item.id) for item in items_of(root, read_head(root).manifest)}
        found = [one for one in found if (one.kind, one.id) in named]
    return Verification(len(chosen), len(items), bytes_read, time.perf_counter() - began, (*damages, *found),
                        sample=sample, foreign=tuple(sorted({*beside.foreign, *foreign})))


def head_damages(root: Path, head: Head) -> Iterator[Damage]:
    """Check pointer, manifests, identity and configuration."""
    again = "write it anew with --repair"
    for name in FOLDERS:
        if not (root / name).is_dir():
            yield Damage("folder", name, root / name, "is missing", again)
    for path, message in head.faults:
        remedy = again
        if head.is_lost and path.parent.name == MANIFESTS:
            remedy = ("restore it from a backup; or go back to the generation before it with --repair: what was "
                      "removed, indexed or noted of files since is to be done again")
        yield Damage("pointer" if path.name == CURRENT else "manifest", path.stem, path, message, remedy)
    for path, message in identity_faults(root, fingerprints(root, head.manifest)):
        yield Damage("config" if path.name == CONFIG_FILE else "identity", path.name, path, message, again)


def fingerprints(root: Path, manifest: Manifest) -> set[str]:
    """Return the fingerprint that most of a few sources bear; nothing where there are none that can be read."""
    found: Counter[str] = Counter()
    for source_id in list(manifest.sources)[:_ASKED_FOR_IDENTITY]:
        with suppress(CorpusError, OSError, LookupError, TypeError):
            found[SourceGroup.open(root, source_id).fingerprint] += 1
    return {found.most_common(1)[0][0]} if found else set()


def items_of(root: Path, manifest: Manifest) -> list[Item]:
    """List what a generation is made of, and what lies beside it that the next run would take in."""
    expected = next(iter(fingerprints(root, manifest)), "")
    items = [Item("projection", name, projection_file(root, name).parent, partial(projection_faults, root, name))
             for name in sorted({*_groups(root / ENCODERS, KEY), *(spec.name for spec in manifest.encoders.values()
                                                                if needs_projection(spec.name))})]
    for source_id, entry in manifest.sources.items():
        items.append(Item("source", source_id, source_folder(root, source_id),
                          partial(source_faults, root, source_id, entry, expected)))
        items += [Item("vectors", f"{key}/{source_id}", vector_folder(root, key, source_id),
                       partial(vector_faults, root, key, source_id, count, manifest.encoders.get(key)))
                  for key, count in entry.vectors.items()]
    for segment in manifest.segments:
        folder = segment_folder(root, segment.id)
        items.append(Item("segment", segment.id, folder,
                          partial(segment_faults, folder, (segment.source_ids, segment.count), cells=False)))
        cells = [(piece, segment_folder(root, piece.id)) for piece in segment.pieces if piece.routed_id]
        items += [Item("segment", piece.id, cell, partial(segment_faults, cell, (None, piece.count)))
                  for piece, cell in cells]
    known = {item.folder for item in items}
    return [*items, *(item for item in _orphans(root, expected, manifest.sources)
                      if item.folder not in known and not is_retired(manifest, item.folder.relative_to(root)))]


def check(items: Sequence[Item], manifest: Manifest, tracker: Tracker) -> tuple[int, list[Damage], list[Path]]:
    """Check objects, several at once: return bytes read, what is damaged in the order of the items, foreign files."""
    damages: list[Damage] = []
    foreign: list[Path] = []
    tracker.enter("verify", len(items))
    tracker.parts = len(items)
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
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
    """Say what to do about a damaged object."""
    if item.kind == "source":
        if path := unchanged_file(manifest, item.id):
            return f"read {path} again with --repair"
        return (f"{manifest.sources[item.id].path} is gone or has changed: restore the folder from a backup; or delete "
                "it, then the next ingest takes the file in anew if it finds it, and else forgets the source")
    return {
        "vectors": "make them of the stored windows with --repair",
        "segment": "build it of the stored vectors with --repair",
        "projection": "write it anew from its copy with --repair, or restore it from a backup",
    }.get(item.kind, "delete it with --repair: it belongs to no generation")


def unchanged_file(manifest: Manifest, source_id: str) -> str:
    """Return a file of a source that is as it was when it was found, empty where there is none."""
    entry = manifest.sources[source_id]
    known = {path: (file.size_bytes, file.mtime_ns) for path in entry.also_at
             if (file := manifest.files.get(path)) is not None}
    candidates = {entry.path: (entry.size_bytes, entry.mtime_ns), **known}
    return next((path for path, stat in candidates.items() if stat_of(path) == stat), "")


def _checked(item: Item) -> tuple[int, list[Fault], tuple[Path, ...]]:
    beside = inside(item.folder, 0) if item.kind == "segment" else inside(item.folder)  # cells are items, too
    if beside.links:  # a pipe among them would be read for ever
        return 0, list(beside.links), beside.foreign
    faults = list(item.check())
    with suppress(OSError):
        files = item.folder.glob("*") if item.kind == "segment" else item.folder.rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file()), faults, beside.foreign
    return 0, faults, beside.foreign


def _is_sampled(item: Item, share: float, day: int) -> bool:
    """Tell whether it is an object's turn: its place on a circle of which each day takes the next arc."""
    if item.kind == "orphan":  # few, and the next run would take them in
        return True
    digest = hashlib.sha256(f"{item.kind} {item.id}".encode(errors="surrogateescape")).digest()
    return (int.from_bytes(digest[:8], "big") / 2**64 + day * share) % 1.0 < share


def _orphans(root: Path, expected: str, named: Collection[str]) -> Iterator[Item]:
    """List the groups and segments on disk."""
    def item(folder: Path, faults: Callable[[], Iterator[Fault]]) -> Item:
        return Item("orphan", str(folder.relative_to(root)), folder, faults)

    for source_id in _groups(root / SOURCES, SOURCE, named):
        yield item(source_folder(root, source_id), partial(source_faults, root, source_id, None, expected))
    for key in _folders(root / VECTORS, KEY):
        for source_id in _groups(root / VECTORS / key, SOURCE, named):
            yield item(vector_folder(root, key, source_id), partial(vector_faults, root, key, source_id, None, None))
    for name in _folders(root / SEGMENTS, SEGMENT):
        yield item(segment_folder(root, name), partial(segment_faults, segment_folder(root, name)))


def _folders(folder: Path, names: re.Pattern[str]) -> list[str]:
    return own_folders(folder, names) if folder.is_dir() else []


def _groups(folder: Path, names: re.Pattern[str], named: Collection[str] = ()) -> list[str]:
    return own_groups(folder, names, named) if folder.is_dir() else []
