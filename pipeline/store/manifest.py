"""What a corpus holds, as one frozen value. Readers keep theirs; a change makes another."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from pipeline.errors import CorpusMismatch, Reason
from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport, Status

FORMAT = 1
CLASS_TOLERANCE = 0.01
"""Channel widths and sampling times that differ by less, relatively, are one resolution class."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source whose windows are in the corpus."""

    header: Header
    coarse: CoarseLayout
    path: str
    """The file it was read from."""
    size_bytes: int
    mtime_ns: int
    windows_seen: int
    windows_kept: int
    resolution: str
    """Resolution class, see :meth:`Manifest.resolution_of`."""
    also_at: tuple[str, ...] = ()
    """Other paths that hold the same scan."""
    vectors: Mapping[str, int] = field(default_factory=dict)
    """Encoder key → number of vectors."""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Entry from its dictionary."""
        header, coarse = Header.from_json(record["header"]), CoarseLayout(**record["coarse"])
        return cls(**{**record, "header": header, "coarse": coarse, "also_at": tuple(record["also_at"])})


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What became of one file when it was last looked at."""

    size_bytes: int
    mtime_ns: int
    status: Status
    reason: Reason | None = None
    message: str = ""
    source_id: str = ""
    tries: int = 1
    """Runs that have tried it, at this size and time of change."""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Entry from its dictionary."""
        return cls(**{**record, "reason": Reason(record["reason"]) if record["reason"] else None})


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One index segment."""

    id: str
    encoder_key: str
    resolution: str
    count: int
    """Vectors in it."""
    source_ids: tuple[str, ...]
    """Sources whose vectors it holds."""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Entry from its dictionary."""
        return cls(**{**record, "source_ids": tuple(record["source_ids"])})


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

    def with_source(self, source: Source, report: SourceReport) -> Self:
        """Add a committed source, as yet without vectors; one that is there already is a ``ValueError``."""
        if source.id in self.sources:
            raise ValueError(f"{source.id} is in the manifest already")
        entry = SourceEntry(
            header=source.header,
            coarse=source.coarse,
            path=source.path,
            size_bytes=source.size_bytes,
            mtime_ns=source.mtime_ns,
            windows_seen=report.windows_seen,
            windows_kept=report.windows_kept,
            resolution=self.resolution_of(source.header),
            also_at=report.also_at,
        )
        return replace(self, sources={**self.sources, source.id: entry})

    def without_sources(self, source_ids: Collection[str]) -> Self:
        """Drop sources, what is known of their files, and the segments that hold vectors of theirs."""
        return replace(
            self,
            sources={source_id: entry for source_id, entry in self.sources.items() if source_id not in source_ids},
            files={path: entry for path, entry in self.files.items() if entry.source_id not in source_ids},
            segments=tuple(s for s in self.segments if not set(source_ids) & set(s.source_ids)),
        )

    def with_also_at(self, source_id: str, paths: Iterable[str]) -> Self:
        """Add further paths at which a source was found."""
        entry = self.sources[source_id]
        also_at = tuple(sorted({*entry.also_at, *paths} - {entry.path}))
        return replace(self, sources={**self.sources, source_id: replace(entry, also_at=also_at)})

    def without_vectors(self, gone: Collection[tuple[str, str]]) -> Self:
        """Drop (source id, encoder key)'s vectors, and the segments that hold them."""
        sources = dict(self.sources)
        for source_id, key in gone:
            entry = sources[source_id]
            left = {other: count for other, count in entry.vectors.items() if other != key}
            sources[source_id] = replace(entry, vectors=left)
        segments = tuple(s for s in self.segments if not any((i, s.encoder_key) in gone for i in s.source_ids))
        return replace(self, sources=sources, segments=segments)

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
        entry = self.sources[source_id]
        entry = replace(entry, vectors={**entry.vectors, spec.key: count})
        encoders = {**self.encoders, spec.key: spec}
        return replace(self, sources={**self.sources, source_id: entry}, encoders=encoders)

    def with_file(self, path: str, entry: FileEntry) -> Self:
        """Note what became of one file."""
        return self.with_files({path: entry})

    def with_files(self, entries: Mapping[str, FileEntry]) -> Self:
        """Note what became of several files at once."""
        return replace(self, files={**self.files, **entries})

    def with_segment(self, entry: SegmentEntry) -> Self:
        """Add a segment."""
        return replace(self, segments=(*self.segments, entry))

    def without_segments(self, segment_ids: Iterable[str]) -> Self:
        """Drop segments; an unknown id is a ``KeyError``."""
        dropped = set(segment_ids)
        if unknown := dropped - {segment.id for segment in self.segments}:
            raise KeyError(f"no segment {sorted(unknown)[0]!r}")
        return replace(self, segments=tuple(s for s in self.segments if s.id not in dropped))

    def resolution_of(self, header: Header) -> str:
        """Return the id of the nearest class within 1 % in channel width and sampling time, else a new one.

        A class is its id, such as ``2.794Hz-18.25s``: what the two numbers in it say.
        """
        width_hz, tsamp_s = header.channel_width_mhz * 1e6, header.tsamp_s

        def difference(known: str) -> float:
            known_hz, known_s = _class_numbers(known)
            return max(abs(width_hz / known_hz - 1), abs(tsamp_s / known_s - 1))

        known = {entry.resolution for entry in self.sources.values()}
        nearest = min(sorted(known), key=difference, default=None)
        if nearest is not None and difference(nearest) < CLASS_TOLERANCE:
            return nearest
        return f"{_four_digits(width_hz)}Hz-{_four_digits(tsamp_s)}s"

    def to_json(self) -> str:
        """Compact ASCII text, the inverse of :meth:`from_json`."""
        # not asdict, which copies everything first and takes twice as long; ASCII escapes carry the lone
        # surrogates of file names that are not UTF-8
        return json.dumps(self, default=_fields_of, ensure_ascii=True, separators=(",", ":"))

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
        )


def _fields_of(value: Any) -> dict[str, Any]:
    """Give :func:`json.dumps` what a dataclass holds, and say which format a manifest has."""
    record = {name: getattr(value, name) for name in value.__slots__}
    return {"format": FORMAT, **record} if isinstance(value, Manifest) else record


def _four_digits(value: float) -> str:
    return np.format_float_positional(value, precision=4, unique=False, fractional=False, trim="-")


def _class_numbers(resolution: str) -> tuple[float, float]:
    match = re.fullmatch(r"([\d.]+)Hz-([\d.]+)s", resolution)
    if match is None:
        raise ValueError(f"{resolution!r} is no resolution class")
    return float(match[1]), float(match[2])
