"""One cluster of two workers for every test that does not kill it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.run import ingest
from pipeline.run.cluster import embedded_cluster
from tests.run.small import archive, config


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    with embedded_cluster(RunConfig(workers=2)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def client(cluster: Any) -> Iterator[Any]:
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six good scans, not to be changed."""
    return archive(tmp_path_factory.mktemp("good"), 6)


@pytest.fixture(scope="session")
def undisturbed(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of these, made in this process."""
    root = tmp_path_factory.mktemp("undisturbed") / "corpus"
    report = ingest([good], root, config=config(), serial=True)
    assert [r.status for r in report.reports] == ["done"] * 6
    return root
