"""pynndescent's graph builder, in a form that compiles in a third of the time, and once on a machine.

The library's functions serve every distance and every kind of data. Most of their code is never run here, but all of it
is compiled. Some are compiled again in each process: numba stores neither functions that take a distance as an argument
nor functions that ask for the number of threads.

Here the library's outer functions run as plain Python. They take no time: they only allocate arrays and call inner
functions. The inner functions are compiled for one distance between dense vectors, and stored. Those that take next to
no time run in one thread, because parallel loops take longest to compile. The graph is the same.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np

from pipeline.support import compiled
from pipeline.support.compiled import compiled_when_used, njit  # first: it says where compiled code is read from

# isort: split
with compiled_when_used():
    from pynndescent import distances, hub_tree, kernels, search_graph, utils
    from pynndescent import pynndescent_ as library

__all__ = ["NeighbourGraph", "is_compiled"]

_stored = njit(cache=True)
# numba stores a function that refers to the distance by its module, as ``distances.squared_euclidean``. It does not
# store a function in which the distance itself is a global name.


def _as_python(function: Any, **instead: Any) -> Any:
    """Return a function of the library as plain Python, which calls other functions ``instead`` of the library's."""
    function = getattr(function, "py_func", function)
    return FunctionType(function.__code__, {**function.__globals__, **instead}, function.__name__,
                        function.__defaults__)


def _compiled(function: Any, *, cache: bool = True, instead: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return a function of the library, compiled with other ``options``, which calls functions ``instead`` of others.

    numba stores it as if it were defined in this module, so that it never takes the place of the library's own.
    """
    changed = _as_python(function, **instead or {})
    changed.__code__ = changed.__code__.replace(co_filename=__file__)
    usual = {name: value for name, value in function.targetoptions.items() if name not in ("nopython", "inline")}
    return njit(cache=cache, locals=function.locals, **usual | options)(changed)


def _called(function: Any, **instead: Any) -> Any:
    """Return a function of the library that is called. The library's own becomes a part of each function that calls it.
    """
    return _compiled(function, cache=False, instead=instead)


@njit
def _nothing(*_: Any) -> float:
    """Take the place of functions that are never called."""
    return 0.0


@_stored  # type: ignore[untyped-decorator]
def _update_leaves(updates: Any, counts: Any, leaves: Any, graph: Any, data: Any, n_threads: int) -> None:
    library.generate_leaf_updates(updates, counts, leaves, graph, data, distances.squared_euclidean, n_threads)


@_stored  # type: ignore[untyped-decorator]
def _take_random(n_neighbors: int, data: Any, graph: Any, rng_state: Any) -> None:
    library.init_random(n_neighbors, data, graph, distances.squared_euclidean, rng_state)


_join_row = _called(
    kernels._join_row,
    _emit=_called(kernels._emit),
    _four_alt_dot=kernels._four_sqeuclidean,  # the other distance is never asked for
    alternative_dot=distances.squared_euclidean,
)
_sort_updates = _compiled(utils.sort_updates_by_block)
_apply_sorted_updates = _compiled(utils.apply_sorted_graph_update_array)


def _apply_updates(graph: Any, updates: Any, counts: Any, n_threads: int) -> int:
    """Apply the updates of a single thread, which need no sorting."""
    changes: int = _apply_sorted_updates(graph, updates, np.array([[0, counts[0]]]), n_threads)
    return changes


_descend = _as_python(
    library.nn_descent,
    init_rp_tree=_as_python(
        library.init_rp_tree,
        generate_leaf_updates=lambda updates, counts, leaves, graph, data, _dist, n_threads: _update_leaves(
            updates, counts, leaves, graph, data, n_threads),
        sort_updates_by_block=_sort_updates,
        apply_sorted_graph_update_array=_apply_sorted_updates,
    ),
    init_random=lambda n_neighbors, data, heap, _dist, state: _take_random(n_neighbors, data, heap, state),
    nn_descent_internal=_as_python(
        library.nn_descent_internal,
        build_candidates_owner=_compiled(utils.build_candidates_owner),
        process_candidates=_as_python(
            library.process_candidates,
            generate_graph_update_array_batched=_compiled(
                kernels.generate_graph_update_array_batched, instead={"_join_row": _join_row}),
            sort_updates_by_block=_sort_updates,
            apply_sorted_graph_update_array=_apply_sorted_updates,
            apply_graph_update_array=_apply_updates,
        ),
    ),
    deheap_sort=_compiled(utils.deheap_sort),
)


@njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
def _build_planes(
    _kind: int, _angular: bool, data: Any, inds: Any, _indptr: Any, spdata: Any, bdata: Any, pairs: Any
) -> Any:
    """Return the planes between pairs of dense vectors, in the form of the library's function of this name."""
    offsets, planes = np.zeros(len(pairs)), np.zeros((len(pairs), data.shape[1]), np.float32)
    for i in range(len(pairs)):
        if pairs[i, 0] >= 0:
            offsets[i] = hub_tree._dense_euclidean_plane(data, pairs[i, 0], pairs[i, 1], planes[i])
    return planes, np.zeros(len(pairs) + 1, np.int64), inds[:0], spdata[:0], bdata, offsets


_margin = _called(hub_tree._margin, _dense_angular_margin=_nothing, _sparse_margin=_nothing, _bit_margin=_nothing)
_parts = {name: _called(getattr(hub_tree, name)) for name in ("_count_and_cut", "_decide", "_final_side")}
_build_tree = _as_python(
    hub_tree.make_hub_search_tree,
    _build_planes=_build_planes,
    _materialise=_as_python(hub_tree._materialise, _build_planes=_build_planes),
    _segment_margins=_compiled(hub_tree._segment_margins, instead={"_margin": _margin}),
    _local_subtrees=_compiled(hub_tree._local_subtrees, instead={
        **_parts, "_build_planes_serial": _build_planes, "_margin": _margin,
        **dict.fromkeys(("_load_planes", "_clear_planes", "_scattered_margins"), _nothing)}),
    **{name: _compiled(getattr(hub_tree, name), instead=_parts, parallel=False)
       for name in ("_segment_top3", "_node_pairs", "_segment_counts", "_decide_nodes", "_segment_final_left",
                    "_segment_scatter", "_segment_copy_back", "_flat_children")},
)
_merge_and_prune = _compiled(search_graph._merge_and_prune, instead={
    name: _called(getattr(search_graph, name)) for name in ("_merge_row", "_prune_row")})
_build_search_graph = _as_python(
    search_graph.build_search_graph,
    _forward_csr=_compiled(search_graph._forward_csr, parallel=False),
    _transpose_csr=_compiled(search_graph._transpose_csr, parallel=False),
    _merge_and_prune=_merge_and_prune,
)


def is_compiled() -> bool:
    """Tell whether a build on this machine finds its code compiled. What is asked for here is compiled last."""
    return compiled.is_compiled(_merge_and_prune)


class NeighbourGraph(library.NNDescent):  # type: ignore[misc]  # the library has no types
    """The library's graph of dense float32 vectors, for the distance "euclidean" and no other."""

    __init__ = _as_python(library.NNDescent.__init__, nn_descent=_descend)
    _init_search_graph = _as_python(
        library.NNDescent._init_search_graph,
        make_hub_search_tree=_build_tree,
        build_search_graph=_build_search_graph,
        permute_rows=lambda rows, order: rows[order],
    )

    def prepare(self, compile_search: bool = False) -> None:
        """Build the search tree and the search graph, but compile no search."""
        self._init_search_graph()
