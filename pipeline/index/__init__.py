"""Nearest vectors by cosine: an exact scan, and immutable segments with a neighbour graph."""

from pipeline.index.build import build_segment
from pipeline.index.cells import distances
from pipeline.index.exact import exact_neighbors
from pipeline.index.folder import PARTIAL_SUFFIX, segment_faults
from pipeline.index.routed import Routing
from pipeline.index.segment import BEAM_PER_ROW, CAREFUL_BEAM, DEFAULT_BEAM, Neighbors, Segment

__all__ = [
    "BEAM_PER_ROW",
    "CAREFUL_BEAM",
    "DEFAULT_BEAM",
    "PARTIAL_SUFFIX",
    "Neighbors",
    "Routing",
    "Segment",
    "build_segment",
    "distances",
    "exact_neighbors",
    "segment_faults",
]
