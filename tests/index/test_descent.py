"""pynndescent's functions are compiled once on a machine, and its graph and its own functions stay the same."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

from pipeline.cli.warm_up import VECTORS
from pipeline.index import descent, graph
from tests.run.workers import command, environment

SCRIPT = """
import json
import numpy as np
from numba.core import event
from pipeline.index.graph import build_graph, is_compiled, load_pynndescent

load_pynndescent()  # compiles a little as it is loaded
listener = event.RecordingListener()
event.register("numba:compile", listener)
vectors = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
build_graph(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), n_neighbors=10, tree_leaf_size=50, seed=0)
assert is_compiled()
print(json.dumps([done.data["dispatcher"].py_func.__qualname__ for _, done in listener.buffer if done.is_start]))
"""


@pytest.mark.timeout(600)  # compiles for up to two minutes, once on a machine
def test_what_one_process_compiled_the_next_does_not() -> None:
    compiled: list[str] = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], env=environment(), capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stderr
        compiled = json.loads(done.stdout)
        if not compiled:
            break
    assert compiled == []


def test_the_warm_up_builds_a_graph_as_large_ones_are_built() -> None:
    from pynndescent import hub_tree, hybrid_forest

    assert 4 * math.prod(VECTORS) > max(hub_tree.LOCAL_SUBTREE_BYTES, hybrid_forest.LOCAL_SUBTREE_BYTES)


@pytest.mark.slow  # compiles everything anew, for some minutes
@pytest.mark.timeout(1200)
def test_what_the_warm_up_compiled_a_large_build_does_not(tmp_path: Path) -> None:
    own = environment(NUMBA_CACHE_DIR=str(tmp_path / "compiled"))
    subprocess.run(command("warm-up"), env=own, check=True)
    large = SCRIPT.replace("(300, 16)", "(20000, 64)")
    assert large != SCRIPT
    done = subprocess.run([sys.executable, "-W", "error", "-c", large], env=own, capture_output=True, text=True,
                          check=True)
    assert json.loads(done.stdout) == []


def test_the_librarys_own_functions_stay_in_place() -> None:
    for module in (descent.library, descent.hub_tree, descent.kernels, descent.search_graph, descent.utils):
        own = [*vars(module).values(), *vars(getattr(module, "NNDescent", object)).values()]
        functions = [getattr(one, "py_func", one) for one in own if getattr(one, "__module__", "") == module.__name__]
        functions = [one for one in functions if isinstance(one, FunctionType)]
        assert functions
        for one in functions:
            assert one.__code__.co_filename == module.__file__, one
            assert one.__globals__ is vars(module), one


@pytest.mark.slow  # compiles the library's own for a minute
@pytest.mark.timeout(600)
def test_the_graph_is_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(1).standard_normal((2000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    stored = graph.build_graph(vectors, n_neighbors=30, tree_leaf_size=200, seed=3)
    monkeypatch.setattr(graph, "load_pynndescent", lambda: descent.library.NNDescent)
    librarys = graph.build_graph(vectors, n_neighbors=30, tree_leaf_size=200, seed=3)
    np.testing.assert_array_equal(stored.order, librarys.order)
    for name, array in librarys.arrays.items():
        np.testing.assert_array_equal(stored.arrays[name], array)
