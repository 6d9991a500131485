"""The neighbour graph of a segment: pynndescent's search graph and tree as plain arrays. Its only importer.

The library builds; searches walk along the arrays without it. Vertices are numbered in the order of the search tree's
leaves, and vectors and rows are stored in that order: a leaf is then a run of vertices and needs no file.

Distance is Euclidean, which orders unit vectors as cosine does. The library's "dot" and "cosine" take every vector at
90° or more to be infinitely far.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, SegmentDamaged

logger = logging.getLogger(__name__)

PYNNDESCENT_VERSION = "0.7.0"
"""The release whose internal state the arrays are."""
METRIC = "euclidean"

# numba's fallback threading layer aborts the process when two threads run parallel code at once
_build_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph just built."""

    vectors: NDArray[np.float32]
    """The given vectors in the order of vertices."""
    order: NDArray[np.int32]
    """Which of the given vectors each vertex is."""
    arrays: dict[str, NDArray[Any]]
    """The arrays of :data:`pipeline.index.folder.GRAPH_ARRAY_TYPES`."""
    state: dict[str, Any]
    """How it was built, fit for JSON."""


def build_graph(vectors: NDArray[np.float32], *, n_neighbors: int, tree_leaf_size: int, seed: int) -> Graph:
    """Build the graph of distinct unit ``vectors`` (n, d); seed and number of numba threads decide it.

    The first build of a process compiles for up to a minute; builds of one process wait for one another.

    Raises
    ------
    ConfigError
        Another pynndescent is installed than the one whose state is understood here.
    """
    nearest_neighbours = load_pynndescent()
    with _build_lock, warnings.catch_warnings():
        # vertices short of neighbours stay reachable through the tree and through their neighbours' lists
        warnings.filterwarnings("ignore", "Failed to correctly find n_neighbors", UserWarning)
        index = nearest_neighbours(
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
    """Walks along stored arrays, which :func:`check_graph` has checked. Threads may share it."""

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
        self._marks: list[NDArray[np.uint8]] = []  # as many as threads have walked at once

    def nearest(
        self, queries: NDArray[np.float32], k: int, beam: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
        """Return ``k`` vertices near each unit query (q, d), best first, and their scores.

        A query that is stranded in a small piece of the graph finds fewer: −1. Last, the number of these queries.
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
    """Return what builds graphs; raise :class:`ConfigError` unless the one release is installed that is understood."""
    if (installed := version("pynndescent")) != PYNNDESCENT_VERSION:
        raise ConfigError(f"pynndescent {installed} is installed, the index needs {PYNNDESCENT_VERSION} "
                          f"exactly: pip install pynndescent=={PYNNDESCENT_VERSION}")
    import_module("pipeline.compiled")  # first: it sees to where compiled code is read from, pynndescent's, too
    from pynndescent import NNDescent

    return NNDescent


def check_graph(arrays: Mapping[str, NDArray[Any]], count: int, dimension: int, folder: Path) -> None:
    """Check every number by which compiled code steps through memory, else raise :class:`SegmentDamaged`."""
    indptr, indices, children = arrays["graph_indptr"], arrays["graph_indices"], arrays["tree_children"]
    internal = children[:, 0] > 0
    nodes = np.arange(len(children))[internal, None]
    starts, stops = -children[~internal, 0], -children[~internal, 1]
    checks = {
        "graph_indptr": is_indptr(indptr, count, len(indices)),
        "graph_indices": within(indices, count),
        # children after their parents: every walk down ends
        "tree_children": len(children) > 0
        and bool((children[internal] > nodes).all())
        and bool((children[internal] < len(children)).all())
        and bool(((starts >= 0) & (stops >= starts) & (stops <= count)).all()),
        "tree_offsets": len(arrays["tree_offsets"]) == len(children),
        "tree_hyperplanes": arrays["tree_hyperplanes"].shape == (int(internal.sum()), dimension),
    }
    for name, is_sound in checks.items():
        if not is_sound:
            raise SegmentDamaged(f"{folder / name}.npy: holds numbers that fit no graph of {count} vectors")


def is_indptr(indptr: NDArray[np.integer], count: int, total: int) -> bool:
    """Tell whether ``indptr`` cuts ``total`` entries into ``count`` consecutive lists."""
    if len(indptr) != count + 1 or indptr[0] != 0 or indptr[-1] != total:
        return False
    return bool((indptr[1:] >= indptr[:-1]).all())


def within(numbers: NDArray[np.integer], stop: int) -> bool:
    """Tell whether all ``numbers`` lie in 0 … ``stop`` − 1."""
    return numbers.size == 0 or (int(numbers.min()) >= 0 and int(numbers.max()) < stop)
