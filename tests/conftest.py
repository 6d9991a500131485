"""Settings that all tests share, and fixtures that take long to make: a cluster and a small corpus for each process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pipeline.config import RunConfig
from pipeline.execute.cluster import embedded_cluster
from pipeline.run import ingest
from tests.run import fake
from tests.run.small import archive, config

# a slow test on a busy machine must not fail; pytest-timeout stops tests that hang
settings.register_profile("lookalike", deadline=None)
settings.load_profile("lookalike")

BUILD_GRAPHS = {
    "tests/index/test_among.py", "tests/index/test_build.py", "tests/index/test_folder.py",
    "tests/index/test_segment.py", "tests/nightly/test_novelty.py", "tests/run/test_lifetimes.py",
    "tests/search/test_filters.py", "tests/search/test_search.py",
}
"""Test files that build graphs. Each process that does so compiles for most of a minute, because pynndescent stores
little compiled code on disk."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one process, and all files that build graphs to the same one."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "graphs" if file in BUILD_GRAPHS else file

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the settings for runs of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        for name in list(os.environ):
            if name.startswith("LOOKALIKE_RUN_"):
                patch.delenv(name)
        yield


UserSays = Callable[[str], Path]


@pytest.fixture
def user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserSays:
    """Write lines into the table ``[run]`` of the user's file; return the file."""

    def write(lines: str) -> Path:
        folder = tmp_path / "xdg" / "lookalike"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder.parent))
        path = folder / "config.toml"
        path.write_text(f"[run]\n{lines}")
        path.chmod(0o600)
        folder.parent.chmod(0o700)
        return path

    return write


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster of two workers, for all tests that do not kill workers."""
    with embedded_cluster(RunConfig(workers=2)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def client(cluster: Any) -> Iterator[Any]:
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of six good scans. Tests must not change it."""
    return archive(tmp_path_factory.mktemp("good"), 6)


@pytest.fixture(scope="session")
def undisturbed(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus of the six good scans, made in this process. Tests must not change it."""
    root = tmp_path_factory.mktemp("undisturbed") / "corpus"
    report = ingest([good], root, config=config(), serial=True)
    assert [r.status for r in report.reports] == ["done"] * 6
    return root


@pytest.fixture
def fake_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the encoders of :mod:`tests.run.fake` to the known encoders."""
    fake.register(monkeypatch.setattr)
