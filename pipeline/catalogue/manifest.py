"""What a corpus holds, as one frozen value. Readers keep theirs; a change makes another."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Self

import numpy as np

from pipeline.catalogue.entries import FileEntry, SegmentEntry, SourceEntry
from pipeline.errors import CorpusMismatch, Reason
from pipeline.model import EncoderSpec, Header, Source, SourceReport
from pipeline.support.text import shown

FORMAT = 4
"""2 added what has been removed: a program that does not know of it would find it again. 3 added when files failed.
4 added routed segments; a manifest without any is written as 3, so that programs that know of none still read it."""
PIECE = 100
"""Entries that are put into words at a time."""
CLASS_TOLERANCE = 0.01
"""Channel widths and sampling times that differ by less, relatively, are one resolution class."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A generation of the corpus. Every ``with_…`` returns a changed copy; ``publish`` numbers it."""

    generation: int = 0
    sources: Mapping[str, SourceEntry] = field(default_factory=dict)
    """By source id."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """By path."""
    segments: tuple[SegmentEntry, ...] = ()
    encoders: Mapping[str, EncoderSpec] = field(default_factory=dict)
    """By encoder key."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """Encoder key → the local weights file it was last made with; empty for its own."""
    removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Id of a source that was removed and is not to come back → the files it was found in."""
    retired: Mapping[str, float] = field(default_factory=dict)
    """Folder that is no longer part of the corpus → since when, in Unix seconds. ``publish`` keeps the account."""
    losses: int = 0
    """How often sources or vectors have gone. It is in the names of segments: one built of what there was before is
    never taken for one of what has come in its place."""

    def with_source(self, source: Source, report: SourceReport) -> Self:
        """Add a committed source, as yet without vectors; one that is there already is a ``ValueError``."""
        return self.with_sources([(source, report)])

    def with_sources(self, committed: Iterable[tuple[Source, SourceReport]]) -> Self:
        """Add several sources at once: a copy of this takes as long as there are sources in it."""
        sources = dict(self.sources)
        classes = self._classes()
        for source, report in committed:
            if source.id in sources:
                raise ValueError(f"{source.id} is in the manifest already")
            resolution = _class_of(source.header, classes)
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

    def without_sources(self, source_ids: Collection[str]) -> Self:
        """Drop sources and what is known of their files, so that they can be made anew; segments serve the others."""
        gone = {(source_id, key) for source_id in source_ids for key in self.sources[source_id].vectors}
        return replace(
            self,
            sources={source_id: entry for source_id, entry in self.sources.items() if source_id not in source_ids},
            files={path: entry for path, entry in self.files.items() if entry.source_id not in source_ids},
            segments=self._segments_without(gone),
            losses=self.losses + 1,
        )

    def with_removed(self, source_ids: Collection[str]) -> Self:
        """Drop sources for good: no run takes them in again before :meth:`with_taken_back`."""
        paths = {source_id: (self.sources[source_id].path, *self.sources[source_id].also_at)
                 for source_id in source_ids}
        files = {path: replace(entry, status="skipped", reason=Reason.REMOVED,
                               message=removed_message(path, entry.source_id))
                 for path, entry in self.files.items() if entry.source_id in paths}
        return replace(self.without_sources(source_ids).with_files(files), removed={**self.removed, **paths})

    def with_taken_back(self, source_ids: Collection[str]) -> Self:
        """Let removed sources in again: those whose folders are still there, and the next time their files are read."""
        left = {folder: since for folder, since in self.retired.items()
                if PurePosixPath(folder).name not in source_ids}
        return replace(
            self,
            files={path: entry for path, entry in self.files.items()
                   if entry.reason is not Reason.REMOVED or entry.source_id not in source_ids},
            removed={source_id: paths for source_id, paths in self.removed.items() if source_id not in source_ids},
            retired=left,
        )

    def with_also_at(self, source_id: str, paths: Iterable[str]) -> Self:
        """Add further paths at which a source was found."""
        entry = self.sources[source_id]
        also_at = tuple(sorted({*entry.also_at, *paths} - {entry.path}))
        return replace(self, sources={**self.sources, source_id: replace(entry, also_at=also_at)})

    def without_vectors(self, gone: Collection[tuple[str, str]]) -> Self:
        """Drop (source id, encoder key)'s vectors; segments serve those of the other sources."""
        sources = dict(self.sources)
        for source_id, key in gone:
            entry = sources[source_id]
            left = {other: count for other, count in entry.vectors.items() if other != key}
            sources[source_id] = replace(entry, vectors=left)
        return replace(self, sources=sources, segments=self._segments_without(gone), losses=self.losses + 1)

    def with_encoder(self, spec: EncoderSpec, weights: str) -> Self:
        """Add an encoder, and the weights file it is made with; itself where it has both already."""
        if self.encoders.get(spec.key) == spec and self.weights.get(spec.key) == weights:
            return self
        return replace(self, encoders={**self.encoders, spec.key: spec}, weights={**self.weights, spec.key: weights})

    def lacking(self, encoder_key: str) -> list[str]:
        """Ids of the sources that have no vectors of an encoder."""
        return [source_id for source_id, entry in self.sources.items() if encoder_key not in entry.vectors]

    def with_vectors(self, source_id: str, spec: EncoderSpec, count: int) -> Self:
        """Add a source's committed vectors, and the encoder that made them."""
        return self.with_vectors_of(spec, {source_id: count})

    def with_vectors_of(self, spec: EncoderSpec, counts: Mapping[str, int]) -> Self:
        """Add the committed vectors of several sources: source id → how many."""
        sources, key = dict(self.sources), spec.key
        for source_id, count in counts.items():
            entry = sources[source_id]
            sources[source_id] = replace(entry, vectors={**entry.vectors, key: count})
        return replace(self, sources=sources, encoders={**self.encoders, key: spec})

    def with_file(self, path: str, entry: FileEntry) -> Self:
        """Note what became of one file."""
        return self.with_files({path: entry})

    def with_files(self, entries: Mapping[str, FileEntry]) -> Self:
        """Note what became of several files at once."""
        return replace(self, files={**self.files, **entries})

    def with_segment(self, entry: SegmentEntry) -> Self:
        """Add a segment; its sources are found through it from now on, and no longer through older ones."""
        taken = {(source_id, entry.encoder_key) for source_id in entry.source_ids}
        return replace(self, segments=(*self._segments_without(taken), entry))

    def _segments_without(self, gone: Collection[tuple[str, str]]) -> tuple[SegmentEntry, ...]:
        """Return the segments, the rows of (source id, encoder key) dead; those of which nothing is left are dropped.

        The sources must still be in the manifest, for their counts.
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
        """Drop segments, itself where there are none to drop; an unknown id is a ``KeyError``."""
        dropped = set(segment_ids)
        if not dropped:
            return self
        if unknown := dropped - {segment.id for segment in self.segments}:
            raise KeyError(f"no segment {sorted(unknown)[0]!r}")
        return replace(self, segments=tuple(s for s in self.segments if s.id not in dropped))

    def resolution_of(self, header: Header) -> str:
        """Return the id of the nearest class within 1 % in channel width and sampling time, else a new one.

        A class is its id, such as ``2.794Hz-18.25s``: what the two numbers in it say.
        """
        return _class_of(header, self._classes())

    def _classes(self) -> set[str]:
        """The resolution classes there are."""
        return {entry.resolution for entry in self.sources.values()}

    def to_json(self) -> str:
        """Compact ASCII text, the inverse of :meth:`from_json`."""
        return "".join(self.json_pieces())

    def json_pieces(self) -> Iterator[str]:
        """Yield the text of :meth:`to_json`, some entries at a time: all of an archive's take a hundred megabytes."""
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
        """Manifest from :meth:`to_json`'s text.

        Raises
        ------
        CorpusMismatch
            A newer version of the program wrote it.
        """
        record = json.loads(text)
        if record["format"] > FORMAT:
            raise CorpusMismatch(f"manifest of format {record['format']}, this version reads up to {FORMAT}; "
                                 "update the program")
        return cls(
            generation=record["generation"],
            sources={key: SourceEntry.from_json(entry) for key, entry in record["sources"].items()},
            files={path: FileEntry.from_json(entry) for path, entry in record["files"].items()},
            segments=tuple(SegmentEntry.from_json(entry) for entry in record["segments"]),
            encoders={key: EncoderSpec(**spec) for key, spec in record["encoders"].items()},
            weights=record.get("weights", {}),  # manifests did not always say
            removed={key: tuple(paths) for key, paths in record.get("removed", {}).items()},
            retired=record.get("retired", {}),
            losses=record.get("losses", 0),
        )


def removed_message(path: str, source_id: str) -> str:
    """What is said of the file of a source that was removed."""
    return f"{shown(path)}: was removed; to take it in again: lookalike remove --undo {source_id}"


def _json(value: Any) -> str:
    # not asdict, which copies everything first and takes twice as long; ASCII escapes carry the lone
    # surrogates of file names that are not UTF-8
    return json.dumps(value, default=_fields_of, ensure_ascii=True, separators=(",", ":"))


def _pieces_of(entries: Mapping[str, Any]) -> Iterator[str]:
    left, before = iter(entries.items()), "{"
    while piece := dict(islice(left, PIECE)):
        yield before + _json(piece)[1:-1]
        before = ","
    yield "}" if entries else "{}"


def _fields_of(value: Any) -> dict[str, Any]:
    """Give :func:`json.dumps` what a dataclass holds, and say which format a manifest has."""
    record = {name: getattr(value, name) for name in value.__slots__}
    if isinstance(value, SegmentEntry) and not value.cells:
        del record["cells"]
    if isinstance(value, Manifest):
        return {"format": FORMAT if any(segment.cells for segment in value.segments) else 3, **record}
    return record


def _class_of(header: Header, classes: Collection[str]) -> str:
    """The nearest of some classes, else a new one: see :meth:`Manifest.resolution_of`."""
    width_hz, tsamp_s = header.channel_width_mhz * 1e6, header.tsamp_s

    def difference(known: str) -> float:
        known_hz, known_s = _class_numbers(known)
        return max(abs(width_hz / known_hz - 1), abs(tsamp_s / known_s - 1))

    nearest = min(sorted(classes), key=difference, default=None)
    if nearest is not None and difference(nearest) < CLASS_TOLERANCE:
        return nearest
    return f"{_four_digits(width_hz)}Hz-{_four_digits(tsamp_s)}s"


def _four_digits(value: float) -> str:
    return np.format_float_positional(value, precision=4, unique=False, fractional=False, trim="-")


def _class_numbers(resolution: str) -> tuple[float, float]:
    match = re.fullmatch(r"([\d.]+)Hz-([\d.]+)s", resolution)
    if match is None:
        raise ValueError(f"{resolution!r} is no resolution class")
    return float(match[1]), float(match[2])
