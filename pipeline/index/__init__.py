"""Nearest vectors: an exact scan, and immutable segments with a neighbour graph."""

from pipeline.index.build import build_segment
from pipeline.index.exact import exact_neighbors
from pipeline.index.folder import PARTIAL_SUFFIX, segment_faults
from pipeline.index.segment import CAREFUL_BEAM, DEFAULT_BEAM, Neighbors, Segment

__all__ = [
    "CAREFUL_BEAM",
    "DEFAULT_BEAM",
    "PARTIAL_SUFFIX",
    "Neighbors",
    "Segment",
    "build_segment",
    "exact_neighbors",
    "segment_faults",
]
