"""Build a segment: merge equal vectors, build a graph of the distinct ones, and write the folder."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import CorpusDamaged
from pipeline.index.folder import new_folder, write_segment
from pipeline.index.graph import METRIC, PYNNDESCENT_VERSION, build_graph, is_compiled
from pipeline.index.segment import Segment

logger = logging.getLogger(__name__)

MIN_GRAPH_VECTORS = 256
"""Smallest number of distinct vectors that get a graph. Scanning fewer takes microseconds."""
LENGTH_TOLERANCE = 2e-3
"""Largest deviation of a vector's length from 1. Rounding to float16 changes it by up to 5e-4."""
_BLOCK_ROWS = 1 << 14


def must_compile(count: int) -> bool:
    """Tell whether a segment of ``count`` vectors needs code that this machine has not compiled yet.

    Errors are those of :func:`build_segment`.
    """
    return count >= MIN_GRAPH_VECTORS and not is_compiled()


def build_segment(
    folder: Path,
    vectors: NDArray[np.floating],
    row_source: ArrayLike,
    row_number: ArrayLike,
    source_ids: Sequence[str],
    *,
    n_neighbors: int = 30,
    tree_leaf_size: int = 200,
    seed: int = 0,
    is_cell: bool = False,
    is_flat: bool = False,
) -> Segment:
    """Write a segment and open it.

    Vectors that are equal after rounding to float16, as the corpus stores them, are stored once, with the list of their
    rows. Copies would fill each other's neighbour lists and break the graph into pieces.

    Parameters
    ----------
    folder
        Folder of the segment. It must not exist. It appears only when it is complete.
    vectors
        (n, d) vectors of length 1.
    row_source, row_number
        (n,) window of each vector: index into ``source_ids``, and window number.
    source_ids
        Distinct ids of the sources.
    n_neighbors, tree_leaf_size, seed
        Parameters of the graph. The same input, seed and number of numba threads give the same graph.
    is_cell
        True for a cell of a routed segment. The routed segment stores the source ids for all its cells.
    is_flat
        True for a segment without a graph. Searches compare all of its vectors.

    Raises
    ------
    CorpusDamaged
        A vector is not finite or not of length 1. The message names its window.
    CorpusError
        ``folder`` exists.
    ConfigError
        The installed version of pynndescent is not the supported one.
    """
    sources, numbers = _checked_rows(len(vectors), row_source, row_number, source_ids)
    digests = _digests(vectors, sources, numbers, source_ids)
    first_rows, unique_of_row = _distinct(digests)
    distinct = _stored_form(vectors, first_rows)
    order: NDArray[np.integer] = np.arange(len(distinct))
    arrays: dict[str, NDArray[Any]] = {}
    graph_facts = None
    if not is_flat and len(distinct) >= MIN_GRAPH_VECTORS:
        graph = build_graph(distinct, n_neighbors=n_neighbors, tree_leaf_size=tree_leaf_size, seed=seed)
        distinct, order, arrays = graph.vectors, graph.order, graph.arrays
        graph_facts = {"pynndescent": PYNNDESCENT_VERSION, "metric": METRIC, "seed": seed, **graph.state}
    vertex_of_row = np.argsort(order)[unique_of_row]
    by_vertex = np.lexsort((numbers, sources, vertex_of_row))
    arrays |= {
        "vectors": distinct,
        "posting_indptr": np.searchsorted(vertex_of_row[by_vertex], np.arange(len(distinct) + 1)),
        "row_source": sources[by_vertex],
        "row_number": numbers[by_vertex],
    }
    facts = {
        "metric": "cosine",
        "dimension": distinct.shape[1],
        "rows": len(sources),
        "vectors": len(distinct),
        "graph": graph_facts,
        "source_ids": None if is_cell else list(source_ids),
    }
    with new_folder(folder) as partial:
        write_segment(partial, facts, arrays)
    logger.info("segment %s: %d rows, %d distinct vectors, %s", folder.name, len(sources), len(distinct),
                "graph" if graph_facts else "no graph")
    return Segment.open(folder, tuple(source_ids))


def _checked_rows(count: int, row_source: ArrayLike, row_number: ArrayLike,
                  source_ids: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the arrays of rows in their stored types. Raise ``ValueError`` if they do not fit together."""
    sources, numbers = np.asarray(row_source), np.asarray(row_number)
    if not count:
        raise ValueError("a segment needs at least one vector")
    if sources.shape != (count,) or numbers.shape != (count,):
        raise ValueError(f"{count} vectors, but row_source {sources.shape} and row_number {numbers.shape}")
    if len(set(source_ids)) != len(source_ids):
        raise ValueError("source_ids holds a source twice")
    if sources.min() < 0 or sources.max() >= len(source_ids):
        raise ValueError(f"row_source is {sources.min()} … {sources.max()}, of {len(source_ids)} sources")
    if numbers.min() < 0:
        raise ValueError(f"row_number must be 0 or more, got {numbers.min()}")
    return sources.astype(np.int32), numbers.astype(np.int64)


def _digests(vectors: NDArray[np.floating], sources: NDArray[np.int32], numbers: NDArray[np.int64],
             source_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return a 128-bit digest (n, 2) of each vector as stored. Check that every vector has length 1."""
    digests = np.empty((len(vectors), 2), dtype=np.uint64)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = np.asarray(vectors[start:start + _BLOCK_ROWS], dtype=np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        if (bad := np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH_TOLERANCE))).size:
            row = start + int(bad[0])
            raise CorpusDamaged(f"row {row}: the vector of window {numbers[row]} of source "
                                f"{source_ids[sources[row]]} has length {lengths[bad[0]]:.4g}, not 1; "
                                "embed this source again")
        half = block.astype(np.float16) + np.float16(0)  # −0 becomes 0
        digests[start:start + len(half)] = np.frombuffer(
            b"".join(hashlib.blake2b(vector, digest_size=16).digest() for vector in half), dtype=np.uint64
        ).reshape(-1, 2)
    return digests


def _distinct(digests: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each distinct digest, ascending, and for each row its digest's index in this list."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal digests stay in the order of rows
    ordered = digests[order]
    is_first = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    group_of_row = np.empty(len(order), dtype=np.int64)
    group_of_row[order] = np.cumsum(is_first) - 1
    first_rows = order[is_first]
    by_row = np.argsort(first_rows)
    return first_rows[by_row], np.argsort(by_row)[group_of_row]


def _stored_form(vectors: NDArray[np.floating], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the given rows, rounded to float16 and normalised to length 1, as float32."""
    out = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = vectors[rows[start:start + _BLOCK_ROWS]].astype(np.float16).astype(np.float64) + 0.0
        out[start:start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return out
