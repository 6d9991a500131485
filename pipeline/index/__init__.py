"""Nearest vectors: an exact scan, and immutable segments with a neighbour graph."""

from pipeline.index.build import build_segment
from pipeline.index.exact import exact_neighbors
from pipeline.index.folder import PARTIAL_SUFFIX
from pipeline.index.segment import CAREFUL_EPSILON, DEFAULT_EPSILON, Neighbors, Segment

__all__ = [
    "CAREFUL_EPSILON",
    "DEFAULT_EPSILON",
    "PARTIAL_SUFFIX",
    "Neighbors",
    "Segment",
    "build_segment",
    "exact_neighbors",
]
