"""The manifest of a corpus and its entries, as plain values. This package touches no disk; the store writes them."""

from pipeline.catalogue.entries import CELL, FileEntry, SegmentEntry, SourceEntry, cell_id
from pipeline.catalogue.manifest import Manifest, removed_message
from pipeline.catalogue.source_names import source_named, sources_named

__all__ = [
    "CELL",
    "FileEntry",
    "Manifest",
    "SegmentEntry",
    "SourceEntry",
    "cell_id",
    "removed_message",
    "source_named",
    "sources_named",
]
