"""Workers that are started by ssh: a real sshd on the loopback address, with its own keys."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.execute.cluster import connected
from tests.cluster.places import ingest_arguments, listening, lookalike, running, wait_for
from tests.run.small import assert_same_corpus
from tests.run.workers import LOOPBACK, environment, tls_flags

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None or importlib.util.find_spec("asyncssh") is None,
                                reason="needs sshd (Debian: openssh-server) and asyncssh")


def can_be_reached(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((LOOPBACK, port)) == 0


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], psutil.Process]]:
    """Yield the options to log in to this machine, and the process of the sshd."""
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        port = one.getsockname()[1]
    (folder / "known_hosts").write_text(f"[{LOOPBACK}]:{port} {(folder / 'host.pub').read_text()}")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd does not start without it
    options = {"Port": port, "ListenAddress": LOOPBACK, "HostKey": folder / "host", "PidFile": "none", "UsePAM": "no",
               "AuthorizedKeysFile": folder / "authorized", "StrictModes": "no", "PasswordAuthentication": "no"}
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    assert SSHD is not None
    with running([[SSHD, "-D", "-e", "-f", "/dev/null", *flags]], folder) as (process,):
        wait_for(lambda: can_be_reached(port), "sshd")
        yield {"port": port, "username": getpass.getuser(), "known_hosts": str(folder / "known_hosts"),
               "client_keys": [str(folder / "user")]}, process


def written(folder: Path, connect_options: dict[str, Any], **further: Any) -> Path:
    """Write the file of a cluster: two workers that scan and one with a GPU. Its processes find this package."""
    path = folder / "ssh.yaml"
    path.write_text(yaml.safe_dump({
        "scheduler": LOOPBACK, "workers": [LOOPBACK], "gpu_workers": [{"host": LOOPBACK, "device": 0}],
        "connect_options": connect_options,
        "worker_options": {"n_workers": 2, "memory_limit": "2GB", "local_directory": str(folder)},
        "remote_python": f"env PYTHONPATH={environment()['PYTHONPATH']} {sys.executable}", **further,
    }))
    return path


def started_by(sshd: psutil.Process) -> list[psutil.Process]:
    """Return the processes of Dask that ssh has started: a scheduler, and two groups of workers, each with a nanny."""
    found = []
    for process in sshd.children(recursive=True):
        with suppress(psutil.Error):
            if "distributed" in " ".join(process.cmdline()) or "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
    return found


@needs_sshd
@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_encrypted", [True, False])
def test_the_same_ingest_by_ssh(
    sshd: tuple[dict[str, Any], psutil.Process], certificates: Path, data: Path, reference: Path, tmp_path: Path,
    is_encrypted: bool,
) -> None:
    connect_options, process = sshd
    where = ["--cluster", "ssh", "--cluster-config", str(written(tmp_path, connect_options)), "--embed-on", "gpu"]
    where += tls_flags(certificates) if is_encrypted else ["--insecure"]
    words = ingest_arguments(data, tmp_path / "corpus", *where)
    seen: set[str] = set()
    most = 0
    is_over = threading.Event()

    def look() -> None:
        nonlocal most
        while not is_over.wait(0.3):
            seen.update(listening(started := started_by(process)))
            most = max(most, len(started))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        ran = lookalike(sys.executable, *words)
    finally:
        is_over.set()
        looking.join()
    assert ran.returncode == 0, ran.stderr
    assert_same_corpus(tmp_path / "corpus", reference)
    assert most >= 6, "a scheduler, two groups, three workers"
    assert seen == {LOOPBACK}
    wait_for(lambda: not started_by(process), "the end of what ssh has started")


@needs_sshd
@pytest.mark.cluster
def test_nothing_is_left_for_long_of_a_run_that_was_killed(
    sshd: tuple[dict[str, Any], psutil.Process], tmp_path: Path
) -> None:
    connect_options, process = sshd
    path = written(tmp_path, connect_options, scheduler_options={"idle_timeout": "10s"})
    script = (
        "import time\nfrom pipeline.config import RunConfig\nfrom pipeline.execute.cluster import connected\n"
        f"with connected(RunConfig(cluster='ssh', cluster_config={str(path)!r}, insecure=True)) as client:\n"
        "    client.wait_for_workers(3)\n    print('ready', flush=True)\n    time.sleep(60)\n")
    run = subprocess.Popen([sys.executable, "-c", script], env=environment(), stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    started = started_by(process)
    run.kill()
    run.wait()
    run.stdout.close()
    assert len(started) >= 6
    wait_for(lambda: not any(one.is_running() for one in started), "the end of what ssh has started")


@needs_sshd
@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Dask forgets a cluster half made
def test_a_machine_that_lets_nobody_in_is_named(sshd: tuple[dict[str, Any], psutil.Process], tmp_path: Path) -> None:
    path = written(tmp_path, sshd[0] | {"client_keys": None, "username": "nobody", "password": "no"})
    config = RunConfig(cluster="ssh", cluster_config=str(path), insecure=True)
    with pytest.raises(ConfigError, match=r"cannot be started by ssh.*Permission denied"), connected(config):
        pass
