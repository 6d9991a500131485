"""The manifest: what a corpus holds, as one frozen value. Each change makes a new one, so readers keep theirs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pipeline.catalogue.entries import FileEntry, SegmentEntry, SourceEntry
from pipeline.catalogue.resolution import class_of
from pipeline.catalogue.scans import removed_message, scan_of_folder, with_views
from pipeline.catalogue.source_names import stem_of
from pipeline.errors import CorpusMismatch, Reason
from pipeline.model import EncoderSpec, Header, Source, SourceReport
from pipeline.support.records import Bounds, Count, UnixSeconds, json_of, record_of

FORMAT = 6
"""Format of a manifest that this version writes. Its groups may be of format 2, and it may have flat segments and
overviews: earlier programs do not read them."""
OLDEST_FORMAT = 3
"""Oldest format of a manifest that is read. Format 4 may have routed segments, and format 5 averaged views, too."""
MAX_GENERATION = 10**18 - 1
"""Largest number of a generation."""
_KEYS_OF_THE_FILE = frozenset({"format", "sha256"})
_MAY_LACK = frozenset({"removed_nsamples"})
"""Keys that are left out if their tables are empty. So an old manifest, which lacks them, needs no upgrade."""
ENTRIES_PER_PIECE = 100
"""Entries that are turned into JSON text at a time."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation of a corpus. Every ``with_…`` and ``without_…`` returns a changed copy.

    :meth:`pipeline.store.CorpusStore.publish` gives the copy its number.
    """

    generation: Annotated[int, Bounds(0, MAX_GENERATION)] = 0
    sources: Mapping[str, SourceEntry] = field(default_factory=dict)
    """Source id → entry."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """Path → entry."""
    segments: tuple[SegmentEntry, ...] = ()
    encoders: Mapping[str, EncoderSpec] = field(default_factory=dict)
    """Encoder key → encoder."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """Encoder key → local weights file that the encoder was last loaded from; empty for the weights it ships with."""
    removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Id of a source that the user removed → paths of its files. No run takes such a source in again."""
    removed_nsamples: Mapping[str, Count] = field(default_factory=dict)
    """Id of a source that the user removed → its number of spectra. It tells a longer or shorter file of the scan."""
    retired: Mapping[str, UnixSeconds] = field(default_factory=dict)
    """Folder that left the corpus → when it left, in Unix seconds. ``publish`` updates it."""
    losses: Count = 0
    """Number of times that sources or vectors were dropped. It is part of segment names, so that a segment built before
    a loss is never taken for one built after it."""

    @property
    def windows_seen(self) -> int:
        """Number of windows that were searched for signals, kept or not."""
        return sum(entry.windows_seen for entry in self.sources.values())

    @property
    def windows_kept(self) -> int:
        """Number of windows that the corpus holds."""
        return sum(entry.windows_kept for entry in self.sources.values())

    def vector_counts(self) -> dict[str, int]:
        """Return encoder key → number of vectors, for every encoder of the manifest, in ascending order of keys."""
        keys = sorted({*self.encoders, *(key for entry in self.sources.values() for key in entry.vectors)})
        return {key: sum(entry.vectors.get(key, 0) for entry in self.sources.values()) for key in keys}

    def with_sources(self, committed: Iterable[tuple[Source, SourceReport]]) -> Self:
        """Add committed sources, which have no vectors yet. Each call copies the whole table of sources.

        A source takes the place of those that are its beginning, as its report says (``replaces``). Nothing is dropped
        that cannot be a beginning: its id has another telescope, time or target, or it has as many spectra.

        Raises
        ------
        ValueError
            A source is in the manifest already.
        """
        committed = list(committed)
        if replaced := {old for source, report in committed for old in report.replaces if self._may_begin(old, source)}:
            return self.without_sources(replaced).with_sources(committed)
        sources = dict(self.sources)
        classes = self._classes()
        for source, report in committed:
            if source.id in sources:
                raise ValueError(f"{source.id} is in the manifest already")
            resolution = class_of(source.header, classes)
            classes.add(resolution)
            sources[source.id] = SourceEntry(
                header=source.header,
                coarse=source.coarse,
                path=source.path,
                size_bytes=source.size_bytes,
                mtime_ns=source.mtime_ns,
                windows_seen=report.windows_seen,
                windows_kept=report.windows_kept,
                resolution=resolution,
                also_at=report.also_at,
            )
        return replace(self, sources=sources)

    def _may_begin(self, source_id: str, longer: Source) -> bool:
        """Return True if a source is held that may be the beginning of a longer one."""
        entry = self.sources.get(source_id)
        return (entry is not None and stem_of(source_id) == stem_of(longer.id)
                and entry.header.nsamples < longer.header.nsamples)

    def without_sources(self, source_ids: Collection[str]) -> Self:
        """Drop sources, with all views of their scans, and the entries of their files. Their rows in segments die.

        They can be ingested again.
        """
        source_ids = with_views(source_ids, self.sources)
        gone = {(source_id, key) for source_id in source_ids for key in self.sources[source_id].vectors}
        return replace(
            self,
            sources={source_id: entry for source_id, entry in self.sources.items() if source_id not in source_ids},
            files={path: entry for path, entry in self.files.items() if entry.source_id not in source_ids},
            segments=self._segments_without(gone),
            losses=self.losses + 1,
        )

    def with_removed(self, source_ids: Collection[str]) -> Self:
        """Drop sources for good: no run takes them in again until :meth:`with_taken_back`."""
        paths = {source_id: (self.sources[source_id].path, *self.sources[source_id].also_at)
                 for source_id in source_ids}
        files = {path: replace(entry, status="skipped", reason=Reason.REMOVED,
                               message=removed_message(path, entry.source_id))
                 for path, entry in self.files.items() if entry.source_id in paths}
        counts = {source_id: self.sources[source_id].header.nsamples for source_id in source_ids}
        return replace(self.without_sources(source_ids).with_files(files), removed={**self.removed, **paths},
                       removed_nsamples={**self.removed_nsamples, **counts})

    def with_taken_back(self, source_ids: Collection[str]) -> Self:
        """Allow removed sources again. A source returns when its folder is adopted, or when its file is read again."""
        left = {folder: since for folder, since in self.retired.items()
                if scan_of_folder(PurePosixPath(folder).name) not in source_ids}
        return replace(
            self,
            files={path: entry for path, entry in self.files.items()
                   if entry.reason is not Reason.REMOVED or entry.source_id not in source_ids},
            removed={source_id: paths for source_id, paths in self.removed.items() if source_id not in source_ids},
            removed_nsamples={source_id: count for source_id, count in self.removed_nsamples.items()
                              if source_id not in source_ids},
            retired=left,
        )

    def with_also_at(self, source_id: str, paths: Iterable[str]) -> Self:
        """Add further paths at which a source was found."""
        entry = self.sources[source_id]
        also_at = tuple(sorted({*entry.also_at, *paths} - {entry.path}))
        changed = {one: replace(self.sources[one], also_at=also_at) for one in with_views([source_id], self.sources)}
        return replace(self, sources={**self.sources, **changed})

    def without_vectors(self, gone: Collection[tuple[str, str]]) -> Self:
        """Drop the vectors of the given (source id, encoder key) pairs. Their rows of segments die."""
        sources = dict(self.sources)
        for source_id, key in gone:
            entry = sources[source_id]
            left = {other: count for other, count in entry.vectors.items() if other != key}
            sources[source_id] = replace(entry, vectors=left)
        return replace(self, sources=sources, segments=self._segments_without(gone), losses=self.losses + 1)

    def with_encoder(self, spec: EncoderSpec, weights: str) -> Self:
        """Add an encoder and the weights file it is loaded from. Return ``self`` if both are there already."""
        if self.encoders.get(spec.key) == spec and self.weights.get(spec.key) == weights:
            return self
        return replace(self, encoders={**self.encoders, spec.key: spec}, weights={**self.weights, spec.key: weights})

    def lacking(self, encoder_key: str) -> list[str]:
        """Return the ids of the sources that have no vectors of an encoder."""
        return [source_id for source_id, entry in self.sources.items() if encoder_key not in entry.vectors]

    def with_vectors_of(self, spec: EncoderSpec, counts: Mapping[str, int]) -> Self:
        """Add an encoder and the committed vectors it made: ``counts`` is source id → number of vectors."""
        sources, key = dict(self.sources), spec.key
        for source_id, count in counts.items():
            entry = sources[source_id]
            sources[source_id] = replace(entry, vectors={**entry.vectors, key: count})
        return replace(self, sources=sources, encoders={**self.encoders, key: spec})

    def with_overviews(self, scan_ids: Iterable[str], *, are_held: bool = True) -> Self:
        """Note that the corpus has overviews of some scans; or, if not ``are_held``, that it has them no more."""
        changed = {scan_id: replace(self.sources[scan_id], overview=are_held) for scan_id in scan_ids}
        return replace(self, sources={**self.sources, **changed}) if changed else self

    def with_files(self, entries: Mapping[str, FileEntry]) -> Self:
        """Add or replace entries of files: path → entry."""
        return replace(self, files={**self.files, **entries})

    def with_segment(self, entry: SegmentEntry) -> Self:
        """Add a segment. Searches find its sources through it from now on, and no longer through older segments."""
        taken = {(source_id, entry.encoder_key) for source_id in entry.source_ids}
        return replace(self, segments=(*self._segments_without(taken), entry))

    def _segments_without(self, gone: Collection[tuple[str, str]]) -> tuple[SegmentEntry, ...]:
        """Return the segments with the rows of the given (source id, encoder key) pairs marked dead.

        Segments without live rows are dropped. The sources must still be in the manifest, which counts their vectors.
        """
        segments = []
        for segment in self.segments:
            key = segment.encoder_key
            dead = {i: self.sources[i].vectors[key] for i in segment.live_ids if (i, key) in gone}
            left = replace(segment, dead={**segment.dead, **dead}) if dead else segment
            if left.live_ids:
                segments.append(left)
        return tuple(segments)

    def without_segments(self, segment_ids: Iterable[str]) -> Self:
        """Drop segments; raise ``KeyError`` for an unknown id. Return ``self`` if no id is given."""
        dropped = set(segment_ids)
        if not dropped:
            return self
        if unknown := dropped - {segment.id for segment in self.segments}:
            raise KeyError(f"no segment {sorted(unknown)[0]!r}")
        return replace(self, segments=tuple(s for s in self.segments if s.id not in dropped))

    def resolution_of(self, header: Header) -> str:
        """Return the nearest resolution class, else a new one (:func:`pipeline.catalogue.resolution.class_of`).

        A class is a string such as ``2.794Hz-18.25s``: channel width in Hz and sampling time in seconds.
        """
        return class_of(header, self._classes())

    def _classes(self) -> set[str]:
        """Return the resolution classes of all sources."""
        return {entry.resolution for entry in self.sources.values()}

    def to_json(self) -> str:
        """Return the manifest as compact ASCII JSON, the inverse of :meth:`from_json`."""
        return "".join(self.json_pieces())

    def json_pieces(self) -> Iterator[str]:
        """Yield the text of :meth:`to_json` in pieces. The whole text of a large archive takes a hundred megabytes."""
        before = "{"
        for name, value in _fields_of(self).items():
            yield f'{before}"{name}":'
            if isinstance(value, Mapping):
                yield from _pieces_of(value)
            else:
                yield _json(value)
            before = ","
        yield "}"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the text that :meth:`to_json` made.

        Raises
        ------
        CorpusMismatch
            Another version of the program wrote it, in a format that this version does not read.
        ValueError
            It is no manifest. Whether its values fit one another is not checked.
        """
        record = json_of(text)
        number = record.get("format") if isinstance(record, dict) else None
        if type(number) is not int:
            raise ValueError("it has no format")
        if not OLDEST_FORMAT <= number <= FORMAT:
            remedy = "update the program" if number > FORMAT else "ingest the files into a new corpus"
            raise CorpusMismatch(f"manifest of format {number}, this version reads {OLDEST_FORMAT} to {FORMAT}; "
                                 f"{remedy}")
        missing = [field.name for field in fields(cls) if field.name not in record and field.name not in _MAY_LACK]
        if missing:
            raise ValueError(f"a manifest without {missing[0]!r}")
        return record_of(cls, {name: value for name, value in record.items() if name not in _KEYS_OF_THE_FILE})


def _json(value: Any) -> str:
    # asdict would copy everything first, which takes twice as long. ASCII escapes carry the lone surrogates of file
    # names that are not UTF-8.
    return json.dumps(value, default=_fields_of, ensure_ascii=True, separators=(",", ":"))


def _pieces_of(entries: Mapping[str, Any]) -> Iterator[str]:
    left, before = iter(entries.items()), "{"
    while piece := dict(islice(left, ENTRIES_PER_PIECE)):
        yield before + _json(piece)[1:-1]
        before = ","
    yield "}" if entries else "{}"


def _fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass for :func:`json.dumps`; a manifest also gets the number of its format."""
    record = {name: getattr(value, name) for name in value.__slots__}
    if isinstance(value, SegmentEntry):
        record = {name: one for name, one in record.items() if one or name not in ("cells", "is_flat")}
    if isinstance(value, SourceEntry) and not value.overview:
        del record["overview"]
    if isinstance(value, Header) and not value.nfpc:  # left out if unset, as in old manifests
        del record["nfpc"]
    if isinstance(value, Manifest):
        return {"format": FORMAT, **{name: one for name, one in record.items() if one or name not in _MAY_LACK}}
    return record
