"""Graphs for the whole session. The first on a machine compiles for up to two minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.index import build_segment
from tests.index.heavy_tailed import SOURCES, Built, heavy_tailed


def with_graph(folder: Path, count: int) -> Built:
    """Build a segment of heavy-tailed vectors of 64 numbers."""
    drawn = heavy_tailed(count + 300, 64, seed=1)
    vectors, queries = drawn[:count], np.concatenate([drawn[count:], drawn[:300]])
    sources, numbers = np.arange(count) % 7, np.arange(count) * 3
    return Built(build_segment(folder, vectors, sources, numbers, SOURCES), vectors, sources, numbers, queries)


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Segment of 20,000 vectors."""
    return with_graph(tmp_path_factory.mktemp("index") / "heavy", 20_000)


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Segment of 6,000 vectors. They take more than 1 MiB, so pynndescent divides them as it divides more."""
    return with_graph(tmp_path_factory.mktemp("index") / "light", 6000)


@pytest.fixture(scope="session")
def tenfold(heavy: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Segment of the first 4,000 of these vectors, ten times each and shuffled. Nothing is left to compile."""
    of_vector = np.random.default_rng(5).permutation(np.repeat(np.arange(4000), 10))
    vectors = heavy.vectors[of_vector]
    sources, numbers = np.arange(40_000) % 7, np.arange(40_000)
    folder = tmp_path_factory.mktemp("index") / "tenfold"
    queries = np.concatenate([heavy.queries[:300], heavy.vectors[:300]])
    segment = build_segment(folder, vectors, sources, numbers, SOURCES)
    return Built(segment, vectors, sources, numbers, queries)
