"""A scheduler and workers as an operator starts them, with certificates, or without."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config import RunConfig
from pipeline.execute.cluster import connected
from tests.cluster.places import (
    DEPLOYMENT,
    first_window,
    ingest_arguments,
    listening,
    lookalike,
    running,
    wait_for,
)
from tests.run import jobs
from tests.run.small import assert_same_corpus
from tests.run.workers import LOOPBACK, dask_flags, tls_config, tls_flags

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def dask_command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"distributed.cli.dask_{name}", *arguments]


@pytest.fixture(scope="module")
def free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def processes(
    certificates: Path, free_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[psutil.Process]]:
    """Start a scheduler, a worker that scans and one that offers a GPU, with the commands and settings of cluster/."""
    folder = tmp_path_factory.mktemp("dask")
    address = f"tls://{LOOPBACK}:{free_port}"
    tls = dask_flags(certificates)
    worker = dask_command("worker", address, "--host", LOOPBACK, "--nworkers", "1", "--nthreads", "1", "--no-dashboard",
                          "--dashboard-address", f"{LOOPBACK}:0", *tls)
    scheduler = dask_command("scheduler", "--host", LOOPBACK, "--port", str(free_port), "--protocol", "tls",
                             "--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0", *tls)
    with running([scheduler, worker, [*worker, "--resources", "GPU=1"]], folder,
                 DASK_CONFIG=str(DEPLOYMENT / "dask.yaml")) as family:
        wait_for(lambda: (folder / "0.log").read_text(errors="replace").count("Register worker") == 2,
                 "two workers: " + (folder / "0.log").read_text(errors="replace"))
        yield family


def test_ingest_index_and_search_over_tls(
    processes: Any, free_port: int, certificates: Path, data: Path, reference: Path, tmp_path: Path
) -> None:
    root = tmp_path / "corpus"
    where = ["--scheduler", f"tls://{LOOPBACK}:{free_port}", *tls_flags(certificates)]
    ran = lookalike(sys.executable, *ingest_arguments(data, root, *where, "--embed-on", "gpu"))
    assert ran.returncode == 0, ran.stderr
    assert_same_corpus(root, reference)

    ran = lookalike(sys.executable, "index", "--corpus", root, "--exact-below", "20", "--json", *where)
    assert ran.returncode == 0, ran.stderr
    assert sum(one["count"] for one in json.loads(ran.stdout)["segments"]) > 0
    ran = lookalike(sys.executable, "search", "--corpus", root, "--window", first_window(root), "-k", "3", "--json")
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)["hits"]) == 3


def test_who_has_no_certificate_of_theirs_is_refused(
    processes: Any, free_port: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_RUN_RESOURCE_WAIT_S", "3")
    strangers = tmp_path / "tls"
    subprocess.run([DEPLOYMENT / "make-certs", strangers], check=True, capture_output=True)
    for number, (scheme, flags, why) in enumerate((
            ("tcp", [], "lets every user of this machine run code"),
            ("tcp", ["--insecure"], "no Dask scheduler answers"),
            ("tls", [], "a tls:// address needs certificates. Name them with --tls-ca"),
            ("tls", tls_flags(strangers), "no Dask scheduler answers"))):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "corpus.toml").write_text("[encoder]\nname = 'power-spectrum'\n")
        ran = lookalike(sys.executable, *ingest_arguments(
            data, root, "--scheduler", f"{scheme}://{LOOPBACK}:{free_port}", *flags))
        assert (ran.returncode, why in ran.stderr) == (2, True), ran.stderr


def test_the_settings_prepare_scheduler_and_workers(
    processes: Any, free_port: int, certificates: Path
) -> None:
    config = RunConfig(scheduler=f"tls://{LOOPBACK}:{free_port}", **tls_config(certificates))
    with connected(config) as client:
        assert list(client.run(jobs.environment_of_worker, "NUMBA_NUM_THREADS").values()) == ["1", "1"]
        assert client.submit(jobs.double, 4, pure=False).result() == 8
        kept = client.run_on_scheduler(jobs.metadata_of_spans)
        assert kept
        assert all(one is None for one in kept), "else what each submission was made of is kept for ever"


def test_nothing_listens_beyond_this_machine(processes: list[psutil.Process]) -> None:
    assert listening(processes) == {LOOPBACK}


def test_where_encryption_is_not_asked_for_none_is_needed(data: Path, reference: Path, tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        port = one.getsockname()[1]
    address, root = f"tcp://{LOOPBACK}:{port}", tmp_path / "corpus"
    quiet = ["--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0"]
    settings = {"DASK_CONFIG": str(DEPLOYMENT / "dask.yaml"), "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "false"}
    with running([dask_command("scheduler", "--host", LOOPBACK, "--port", str(port), *quiet),
                  dask_command("worker", address, "--host", LOOPBACK, "--nthreads", "1", *quiet)], tmp_path,
                 **settings) as family:
        ran = lookalike(sys.executable, *ingest_arguments(data, root, "--scheduler", address, "--insecure"), **settings)
        assert listening(family) == {LOOPBACK}
    assert ran.returncode == 0, ran.stderr
    assert_same_corpus(root, reference)


def test_certificates_are_the_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    command = [str(DEPLOYMENT / "make-certs"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"ca.pem", "ca-key.pem", "cert.pem", "key.pem"}
    for name in ("ca-key.pem", "key.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    (tmp_path / "cert.pem").unlink()
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "ca.pem already exists; remove it, or name another folder" in again.stderr
    del before["cert.pem"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
