"""The neighbour graph of a segment: pynndescent's search graph and tree as plain arrays.

The library builds the graph, and only this module and :mod:`pipeline.index.descent` import it. Searches walk along the
arrays without the library. Vertices are numbered in the order of the leaves of the search tree, and vectors and rows
are stored in this order. So a leaf is a range of vertices, and needs no file.

The distance is Euclidean, which ranks unit vectors as cosine does. The library's "dot" and "cosine" treat every vector
at 90° or more as infinitely far.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, SegmentDamaged

logger = logging.getLogger(__name__)

PYNNDESCENT_VERSION = "0.7.0"
"""The release whose internal arrays this module reads."""
METRIC = "euclidean"

# numba's fallback threading layer aborts the process if two threads run parallel code at the same time
_build_lock = threading.Lock()


@contextmanager
def building() -> Iterator[None]:
    """Be the only builder in this process within a ``with`` block."""
    with _build_lock:
        yield


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph just built."""

    vectors: NDArray[np.float32]
    """The given vectors, in the order of vertices."""
    order: NDArray[np.int32]
    """Index of each vertex among the given vectors."""
    arrays: dict[str, NDArray[Any]]
    """The arrays of :data:`pipeline.index.folder.GRAPH_ARRAY_TYPES`."""
    state: dict[str, Any]
    """Parameters of the build, as JSON values."""


def build_graph(vectors: NDArray[np.float32], *, n_neighbors: int, tree_leaf_size: int, seed: int) -> Graph:
    """Build the graph of distinct unit ``vectors`` (n, d). Seed and number of numba threads determine it.

    The first build on a machine compiles for a minute, unless ``lookalike warm-up`` did. Builds in one process run one
    after another.

    Raises
    ------
    ConfigError
        The installed version of pynndescent is not the supported one.
    """
    neighbour_graph = load_pynndescent()
    with building(), warnings.catch_warnings():
        # vertices with too few neighbours stay reachable through the tree and through other vertices
        warnings.filterwarnings("ignore", "Failed to correctly find n_neighbors", UserWarning)
        index = neighbour_graph(
            np.ascontiguousarray(vectors, dtype=np.float32),
            metric=METRIC,
            n_neighbors=n_neighbors,
            search_tree_leaf_size=tree_leaf_size,
            random_state=seed,
            compressed=True,  # drop what only the construction needs
        )
        index.prepare()
    tree, graph = index._search_forest[0], index._search_graph
    internal = tree.children[:, 0] > 0
    logger.info("graph of %d vectors: %d edges", len(vectors), len(graph.indices))
    return Graph(
        vectors=index._raw_data,
        order=np.asarray(index._vertex_order, dtype=np.int32),
        arrays={
            "graph_indptr": graph.indptr,
            "graph_indices": graph.indices,
            "tree_hyperplanes": tree.hyperplanes[internal],  # those of leaves are zeros
            "tree_offsets": tree.offsets,
            "tree_children": tree.children,
        },
        state={
            "n_neighbors": n_neighbors,
            "tree_leaf_size": int(tree.leaf_size),
        },
    )


class GraphSearch:
    """Walks along stored arrays that :func:`check_graph` has checked. Threads may share it."""

    def __init__(self, vectors: NDArray[np.float32], arrays: Mapping[str, NDArray[Any]]) -> None:
        children, indptr = arrays["tree_children"], arrays["graph_indptr"]
        internal = children[:, 0] > 0
        leaves = children[~internal]
        self._count = len(vectors)
        self._arrays = (
            vectors.reshape(-1), indptr, arrays["graph_indices"], arrays["tree_hyperplanes"].reshape(-1),
            arrays["tree_offsets"], children, np.cumsum(internal, dtype=np.int32) - np.int32(1),
            max(int(np.diff(indptr).max()), int((leaves[:, 0] - leaves[:, 1]).max())),
        )
        self._marks: list[NDArray[np.uint8]] = []  # one for each of the threads that walk at the same time

    def nearest(
        self, queries: NDArray[np.float32], k: int, beam: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
        """Return ``k`` vertices near each unit query, best first.

        Parameters
        ----------
        queries
            (q, d) of length 1.
        k
            Number of vertices per query.
        beam
            Number of nearest vertices that the walk keeps.

        Returns
        -------
        vertices, scores, count
            (q, k) int32 and float32, and the number of queries that found fewer than ``k``. Such a query is stranded in
            a small component of the graph; −1 fills up its vertices.
        """
        from pipeline.index.walk import walk

        vertices = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        try:
            marks = self._marks.pop()
        except IndexError:
            marks = np.zeros(self._count + 1, np.uint8)
        short = walk(queries, beam, *self._arrays, marks, vertices, scores)
        self._marks.append(marks)
        return vertices, scores, short


def load_pynndescent() -> Any:
    """Return the class that builds graphs. Raise :class:`ConfigError` unless the supported release is installed."""
    if (installed := version("pynndescent")) != PYNNDESCENT_VERSION:
        raise ConfigError(f"pynndescent {installed} is installed, the index needs {PYNNDESCENT_VERSION} "
                          f"exactly: pip install pynndescent=={PYNNDESCENT_VERSION}")
    from pipeline.index.descent import NeighbourGraph

    return NeighbourGraph


def is_compiled() -> bool:
    """Tell whether a build on this machine finds its code compiled. Errors are those of :func:`build_graph`."""
    load_pynndescent()
    from pipeline.index import descent

    return descent.is_compiled()


def check_graph(arrays: Mapping[str, NDArray[Any]], count: int, dimension: int, folder: Path) -> None:
    """Check every number that compiled code uses as an index. Raise :class:`SegmentDamaged` if one is invalid."""
    indptr, indices, children = arrays["graph_indptr"], arrays["graph_indices"], arrays["tree_children"]
    is_tree = children.shape[1:] == (2,) and _is_tree(children, count)
    planes = int((children[:, 0] > 0).sum()) if is_tree else -1
    offsets, hyperplanes = arrays["tree_offsets"], arrays["tree_hyperplanes"]
    checks = {
        "graph_indptr": is_indptr(indptr, count, len(indices)),
        "graph_indices": within(indices, count),
        "tree_children": is_tree,
        "tree_offsets": len(offsets) == len(children) and bool(np.isfinite(offsets).all()),
        "tree_hyperplanes": hyperplanes.shape == (planes, dimension) and bool(np.isfinite(hyperplanes).all()),
    }
    for name, is_sound in checks.items():
        if not is_sound:
            raise SegmentDamaged(f"{folder / name}.npy: holds numbers that fit no graph of {count} vectors")


def _is_tree(children: NDArray[np.int32], count: int) -> bool:
    """Return True if every node but the first is the child of one node, and the leaves divide ``count`` vertices.

    Children come after their parents, so every walk down the tree ends.
    """
    internal = children[:, 0] > 0
    inner = children[internal]
    if not len(children) or not (inner > np.flatnonzero(internal)[:, None]).all() or not within(inner, len(children)):
        return False
    parents = np.bincount(inner.reshape(-1), minlength=len(children))
    leaves = -children[~internal].astype(np.int64)
    leaves = leaves[np.lexsort((leaves[:, 1], leaves[:, 0]))]
    ends = np.concatenate([[0], leaves[:, 1]])
    return bool((parents[1:] == 1).all()) and bool((leaves[:, 0] == ends[:-1]).all()) and (
        bool((leaves[:, 1] >= leaves[:, 0]).all()) and int(ends[-1]) == count)


def is_indptr(indptr: NDArray[np.integer], count: int, total: int, *, is_strict: bool = False) -> bool:
    """Return True if ``indptr`` divides ``total`` entries into ``count`` consecutive lists; none empty if strict."""
    if len(indptr) != count + 1 or indptr[0] != 0 or indptr[-1] != total:
        return False
    return bool(((indptr[1:] > indptr[:-1]) if is_strict else (indptr[1:] >= indptr[:-1])).all())


def within(numbers: NDArray[np.integer], stop: int) -> bool:
    """Return True if all ``numbers`` lie in 0 … ``stop`` − 1."""
    return numbers.size == 0 or (int(numbers.min()) >= 0 and int(numbers.max()) < stop)
