"""One cluster of two workers for every test that does not kill it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.execute.cluster import embedded_cluster
from pipeline.run import ingest
from pipeline.store import CorpusStore
from tests.run import fake
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


@pytest.fixture
def root(undisturbed: Path, tmp_path: Path) -> Path:
    """A corpus of six sources with vectors of one encoder, whose files are not there."""
    root = Path(shutil.copytree(undisturbed, tmp_path / "corpus"))
    store = CorpusStore.open(root)
    gone = {i: replace(entry, path=f"/gone/{Path(entry.path).name}") for i, entry in store.manifest().sources.items()}
    store.publish(lambda manifest: replace(manifest, sources=gone))
    return root


@pytest.fixture
def fake_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the encoders of :mod:`tests.run.fake` known."""
    fake.register(monkeypatch.setattr)
