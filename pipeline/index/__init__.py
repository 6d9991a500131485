"""Nearest vectors by cosine: an exact scan, and immutable segments with a neighbour graph."""

from pipeline.index.build import build_segment, must_compile
from pipeline.index.cells import NEIGHBOURS, SAMPLE_PER_CELL, distances, margins_of, train_cells
from pipeline.index.exact import checked_queries, cosine, exact_neighbors, products
from pipeline.index.folder import PARTIAL_SUFFIX, read_record, segment_faults
from pipeline.index.neighbours import neighbours_within
from pipeline.index.routed import (
    Routing,
    partial_of,
    publish_routed,
    read_array,
    rows_in_spool,
    rows_of_cell,
    write_array,
    write_spool,
)
from pipeline.index.segment import BEAM_PER_ROW, CAREFUL_BEAM, DEFAULT_BEAM, Neighbors, Segment

__all__ = [
    "BEAM_PER_ROW",
    "CAREFUL_BEAM",
    "DEFAULT_BEAM",
    "NEIGHBOURS",
    "PARTIAL_SUFFIX",
    "SAMPLE_PER_CELL",
    "Neighbors",
    "Routing",
    "Segment",
    "build_segment",
    "checked_queries",
    "cosine",
    "distances",
    "exact_neighbors",
    "margins_of",
    "must_compile",
    "neighbours_within",
    "partial_of",
    "products",
    "publish_routed",
    "read_array",
    "read_record",
    "rows_in_spool",
    "rows_of_cell",
    "segment_faults",
    "train_cells",
    "write_array",
    "write_spool",
]
