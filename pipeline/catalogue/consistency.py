"""Checks that the values of a manifest fit one another. Types and bounds of single values are checked as they are read.

A digest proves that a manifest is what somebody wrote, not that it makes sense. What follows from its values, such as
the number of coarse channels, decides how much memory and time a search takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, get_args

from pipeline.catalogue.entries import SegmentEntry, SourceEntry
from pipeline.catalogue.resolution import class_numbers
from pipeline.model import CoarseLayout, EncoderSpec, Header, Precision
from pipeline.views import View, split_id

if TYPE_CHECKING:
    from pipeline.catalogue.manifest import Manifest

MIN_STEP = 1e-12
"""Smallest channel spacing in MHz, and smallest sampling time in seconds."""
MAX_COARSE_CHANNELS = 1 << 20
"""Largest number of coarse channels in a band."""
MAX_CELLS = 1 << 20
"""Largest number of cells of a routed segment."""
_MAX_SHOWN = 100


def check_consistency(manifest: Manifest) -> None:
    """Raise ``ValueError``, which says where, for the first value that does not fit the others."""
    for source_id, entry in manifest.sources.items():
        if fault := source_fault(entry.header, entry.coarse) or _entry_fault(entry) or _view_fault(manifest, source_id):
            raise ValueError(f"source {source_id}: {fault}")
    for resolution in {entry.resolution for entry in manifest.sources.values()}:
        class_numbers(resolution)
    _check_paths(manifest.files)
    for key, spec in manifest.encoders.items():
        if fault := _spec_fault(key, spec):
            raise ValueError(f"encoder {key[:_MAX_SHOWN]!r}: {fault}")
    used = {key for entry in manifest.sources.values() for key in entry.vectors}
    if unknown := used - manifest.encoders.keys():
        raise ValueError(f"there are vectors of {min(unknown)[:_MAX_SHOWN]!r}, which is not among the encoders")
    indexed: dict[str, set[str]] = {}
    for segment in manifest.segments:
        if fault := _segment_fault(manifest, segment, indexed.setdefault(segment.encoder_key, set())):
            raise ValueError(f"segment {segment.id[:_MAX_SHOWN]!r}: {fault}")


def source_fault(header: Header, coarse: CoarseLayout) -> str:
    """Return what is impossible about the axes of a source; an empty text if nothing is."""
    if abs(header.foff_mhz) < MIN_STEP:
        return f"foff_mhz is {header.foff_mhz}, so its channels have no frequencies"
    if header.tsamp_s < MIN_STEP:
        return f"tsamp_s is {header.tsamp_s}, so its spectra have no times"
    if not header.nchans:
        return "nchans is 0"
    if not 0 <= coarse.offset < coarse.width:
        return f"coarse channels have width {coarse.width} and offset {coarse.offset}"
    if header.nchans > coarse.width * MAX_COARSE_CHANNELS:
        return f"{header.nchans} channels make too many coarse channels of width {coarse.width}"
    return ""


def _view_fault(manifest: Manifest, source_id: str) -> str:
    """Return what does not fit about a source that is an averaged view by its id; an empty text if nothing is wrong."""
    scan_id, name = split_id(source_id)
    if not name:
        return ""
    if manifest.sources[source_id].overview:
        return "only a scan itself has an overview"
    view, scan, entry = View.named(name), manifest.sources.get(scan_id), manifest.sources[source_id]
    if scan is None:
        return "the manifest lacks the scan of which it is a view"
    if entry.header != view.header_of(scan.header) or entry.coarse != view.coarse_of(scan.coarse):
        return f"its header or coarse channels are not those of the view {name} of its scan"
    return ""


def _entry_fault(entry: SourceEntry) -> str:
    try:
        _check_paths((entry.path, *entry.also_at) if entry.also_at else (entry.path,))
    except ValueError as error:
        return str(error)
    return ""


def _check_paths(paths: Iterable[str]) -> None:
    """Raise ``ValueError`` for the first text that cannot be a path."""
    for path in paths:
        if "\0" in path or not (path.isascii() or _has_bytes(path)):
            raise ValueError(f"{path[:_MAX_SHOWN]!r} cannot be the path of a file")


def _has_bytes(path: str) -> bool:
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _spec_fault(key: str, spec: EncoderSpec) -> str:
    if spec.key != key:
        return f"its key should be {spec.key[:_MAX_SHOWN]!r}"
    if spec.precision not in get_args(Precision):
        return f"its precision is {spec.precision[:_MAX_SHOWN]!r}, none of {', '.join(get_args(Precision))}"
    return ""


def _segment_fault(manifest: Manifest, segment: SegmentEntry, indexed: set[str]) -> str:
    """Return what does not fit about a segment. Add its sources to ``indexed``, which has those of other segments."""
    key, ids = segment.encoder_key, segment.source_ids
    if key not in manifest.encoders:
        return f"{key[:_MAX_SHOWN]!r} is not among the encoders"
    if not ids or len(set(ids)) != len(ids) or not segment.dead.keys() <= set(ids):
        return "it names no source, or one twice, or has dead vectors of a source that it does not name"
    live = segment.live_ids
    if twice := indexed.intersection(live):
        return f"source {min(twice)} is in another segment, too"
    indexed.update(live)
    counts = [_vectors_of(manifest.sources, source_id, key) for source_id in live]
    if None in counts:
        return f"source {live[counts.index(None)]} has no vectors of {key}"
    total = sum(count for count in counts if count is not None) + sum(segment.dead.values())
    if total != segment.count or (segment.cells and sum(segment.cells) != total):
        return f"its {segment.count} vectors are not those of its sources, or of its cells"
    return "it has too many cells" if len(segment.cells) > MAX_CELLS else ""


def _vectors_of(sources: Mapping[str, SourceEntry], source_id: str, key: str) -> int | None:
    entry = sources.get(source_id)
    return None if entry is None else entry.vectors.get(key)
