"""The manifest of a corpus and its entries, as plain values. This package touches no disk; the store writes them."""

from pipeline.catalogue.cadences import Corrections, Session, SessionScan, sessions_of
from pipeline.catalogue.consistency import MAX_CELLS, check_consistency, source_fault
from pipeline.catalogue.entries import CELL, FileEntry, SegmentEntry, SourceEntry, cell_id
from pipeline.catalogue.manifest import Manifest
from pipeline.catalogue.scans import removed_message, scans_among, with_views
from pipeline.catalogue.source_names import source_named, sources_named, stem_of, why_absent

__all__ = [
    "CELL",
    "MAX_CELLS",
    "Corrections",
    "FileEntry",
    "Manifest",
    "SegmentEntry",
    "Session",
    "SessionScan",
    "SourceEntry",
    "cell_id",
    "check_consistency",
    "removed_message",
    "scans_among",
    "sessions_of",
    "source_fault",
    "source_named",
    "sources_named",
    "stem_of",
    "why_absent",
    "with_views",
]
