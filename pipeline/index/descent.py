"""pynndescent's search for neighbours, compiled once on a machine instead of once in each process.

numba stores neither functions that take a distance as an argument nor functions that ask for the number of threads. The
library's search does both, so each process that builds a graph would compile for a minute. Here its outer functions
(``nn_descent``) run as plain Python. They take no time: they only allocate arrays and call inner functions. The inner
functions are compiled for one fixed distance, which numba stores. The results are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from pipeline.support.compiled import njit  # first: it says where compiled code is read from

# isort: split
from pynndescent import distances
from pynndescent import pynndescent_ as library

_of_any_distance = library.nn_descent
_stored = njit(cache=True)
# numba stores a function that takes the distance from its module; one that has it as a global of its own, it does not


@_stored  # type: ignore[untyped-decorator]
def _take_leaves(data: Any, graph: Any, leaves: Any, n_threads: int) -> None:
    library.init_rp_tree(data, distances.squared_euclidean, graph, leaves, n_threads)


@_stored  # type: ignore[untyped-decorator]
def _take_random(n_neighbors: int, data: Any, graph: Any, rng_state: Any) -> None:
    library.init_random(n_neighbors, data, graph, distances.squared_euclidean, rng_state)


@_stored  # type: ignore[untyped-decorator]
def _candidates(graph: Any, max_candidates: int, rng_state: Any, n_threads: int, new: Any, new_priority: Any, old: Any,
                old_priority: Any, active: Any, to: Any, of: Any, bounds: Any) -> Any:
    return library.build_candidates_owner(graph, max_candidates, rng_state, n_threads, new, new_priority, old,
                                          old_priority, active, to, of, bounds)


@_stored  # type: ignore[untyped-decorator]
def _compare(data: Any, graph: Any, new: Any, old: Any, n_blocks: int, block_size: int, n_threads: int, updates: Any,
             counts: Any, ordered: Any, offsets: Any, kernel: int) -> Any:
    return library.process_candidates(data, distances.squared_euclidean, graph, new, old, n_blocks, block_size,
                                      n_threads, updates, counts, ordered, offsets, kernel)


@_stored  # type: ignore[untyped-decorator]
def _sorted(indices: Any, distances: Any) -> Any:
    return library.deheap_sort(indices, distances)


def _as_python(compiled: Any, **inner: Any) -> Any:
    """Return a function of the library as plain Python, which calls ``inner`` instead of the library's functions."""
    function = compiled.py_func
    return FunctionType(function.__code__, {**vars(library), **inner}, function.__name__, function.__defaults__)


_descend = _as_python(
    library.nn_descent,
    init_rp_tree=lambda data, _dist, graph, leaf_array, n_threads: _take_leaves(data, graph, leaf_array, n_threads),
    init_random=lambda n_neighbors, data, heap, _dist, state: _take_random(n_neighbors, data, heap, state),
    nn_descent_internal=_as_python(
        library.nn_descent_internal,
        build_candidates_owner=_candidates,
        process_candidates=lambda data, _dist, *rest: _compare(data, *rest),
    ),
    deheap_sort=_sorted,
)


def _nn_descent(data: Any, n_neighbors: int, rng_state: Any, max_candidates: int, dist: Any, *rest: Any,
                **options: Any) -> Any:
    descend = _descend if dist is distances.squared_euclidean else _of_any_distance
    return descend(data, n_neighbors, rng_state, max_candidates, dist, *rest, **options)


@contextmanager
def stored_descent() -> Iterator[None]:
    """Have pynndescent use the stored functions inside a ``with`` block. One thread at a time may enter it.

    Other threads may build graphs with pynndescent meanwhile. Their results do not change.
    """
    own = library.nn_descent
    library.nn_descent = _nn_descent
    try:
        yield
    finally:
        library.nn_descent = own
