"""Settings that all tests share, and fixtures that take long to make: a cluster and a small corpus for each process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
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

DEAREST = (
    "tests/web/browser/test_flow.py", "tests/web/browser/test_for_everyone.py",
    "tests/run/test_faults.py", "tests/run/test_routed.py", "tests/nightly/test_night.py",
    "tests/execute/test_engine.py", "tests/execute/test_cluster.py", "tests/encoders/test_device.py",
    "tests/integrity/test_verify.py", "tests/run/test_embed.py", "tests/encoders/test_resnet50.py",
    "tests/cli/test_main.py", "tests/security/test_compiled_caches.py", "tests/execute/test_cluster_search.py",
    "tests/security/test_corpus_paths.py", "tests/encoders/test_spectral.py", "tests/encoders/test_backend.py",
    "tests/integrity/test_repair.py", "tests/run/test_ingest.py", "tests/doctor/test_doctor.py",
    "tests/search/test_corpus.py", "tests/docs/test_corpus_format.py", "tests/security/test_hostile_files.py",
    "tests/store/test_corpus.py", "tests/machine/test_machine.py", "tests/security/test_local_users.py",
    "tests/search/test_search.py", "tests/security/test_hostile_corpora.py", "tests/docs/test_notebooks.py",
    "tests/run/test_precision.py", "tests/test_plot.py", "tests/filterbank/test_bitshuffle.py",
    "tests/run/test_index.py", "tests/index/test_segment.py", "tests/index/test_among.py",
)
"""Files that take longest, the longest first. They start first, so that no process works alone at the end."""
BYTES_OF_A_PROCESS = 2 << 30
"""Memory that one process of tests may need: it loads TensorFlow and JAX, and starts workers."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Run two processes on each core, because tests often wait. If memory is short, run fewer, but one on each core."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0))
    return max(cores, min(2 * cores, psutil.virtual_memory().available // BYTES_OF_A_PROCESS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the dearest files first. The others keep their order."""
    rank = {file: number for number, file in enumerate(DEAREST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


def pytest_sessionstart() -> None:
    """Have tests and their processes obey Control-C.

    A shell has its background jobs ignore it (``make test &``), and processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def uncompiled() -> Iterator[None]:
    """Make TensorFlow compute without compiling. For a network that takes few steps, compiling takes longer."""
    import tensorflow

    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)
