"""Jobs of a real SLURM. Its controller, its node and its munge run on this machine for the tests only."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.execute import slurm
from pipeline.execute.cluster import connected
from pipeline.execute.workers import workers_of
from tests.cluster.places import ingest_arguments, lookalike, running, wait_for
from tests.run.small import assert_same_corpus
from tests.run.workers import LOOPBACK, environment, tls_flags

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
MISSING = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name, path=PATH) is None]
needs_slurm = pytest.mark.skipif(
    bool(MISSING) or importlib.util.find_spec("dask_jobqueue") is None or os.getuid() != 0,
    reason="needs SLURM and munge (Debian: slurm-wlm, munge), dask-jobqueue, and to be root")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}({loopback})
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr={loopback} CPUs=8 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((LOOPBACK, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def slurm_conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Path of the configuration of the running SLURM."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    port, node_port = free_ports(2)
    conf = folder / "slurm.conf"
    conf.write_text(CONFIGURATION.format(host=socket.gethostname(), loopback=LOOPBACK, port=port, node_port=node_port,
                                         folder=folder))
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge",
              f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/munge.seed"]
    changes = {"PATH": PATH, "SLURM_CONF": str(conf)}
    with running([munged, ["slurmctld", "-D"], ["slurmd", "-D"]], folder, **changes):
        ask = ["sinfo", "--noheader", "--format=%T"]
        wait_for(lambda: "idle" in subprocess.run(ask, env=environment(**changes), capture_output=True, text=True,
                                                  check=False).stdout, "SLURM")
        yield str(conf)


def written(folder: Path, **readers: Any) -> Path:
    """Write the file of a cluster: one job that scans, with two workers, and one job with a GPU."""
    job = {"cores": 2, "processes": 2, "memory": "4GB", "walltime": "00:30:00", "local_directory": str(folder),
           "log_directory": str(folder), "job_script_prologue": [f"export PYTHONPATH={environment()['PYTHONPATH']}"],
           "worker_extra_args": ["--lifetime", "25m", "--lifetime-stagger", "2m"]}
    path = folder / "slurm.yaml"
    path.write_text(yaml.safe_dump({"scheduler": LOOPBACK, "readers": {**job, "jobs": 1, **readers},
                                    "gpu": {**job, "cores": 1, "processes": 1, "jobs": 1}}))
    return path


def jobs(slurm_conf: str) -> list[str]:
    done = subprocess.run(["squeue", "--noheader", "--format=%i"], env=environment(SLURM_CONF=slurm_conf),
                          capture_output=True, text=True, check=True)
    return done.stdout.split()


@needs_slurm
def test_the_same_ingest_on_slurm(
    slurm_conf: str, certificates: Path, data: Path, reference: Path, tmp_path: Path
) -> None:
    where = ["--cluster", "slurm", "--cluster-config", str(written(tmp_path)), "--embed-on", "gpu"]
    root = tmp_path / "corpus"
    ran = lookalike(sys.executable, *ingest_arguments(data, root, *where, *tls_flags(certificates)),
                    SLURM_CONF=slurm_conf)
    assert ran.returncode == 0, ran.stderr
    assert_same_corpus(root, reference)
    assert len(list(tmp_path.glob("*.err"))) == 2, "two kinds of jobs have run"
    wait_for(lambda: not jobs(slurm_conf), "the end of its jobs")


@needs_slurm
def test_a_job_that_ends_is_submitted_anew(
    slurm_conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm_conf)
    monkeypatch.setattr(slurm, "JOB_CHECK_INTERVAL_S", 1.0)
    config = RunConfig(cluster="slurm", cluster_config=str(written(tmp_path)), insecure=True)
    with connected(config) as client:
        client.wait_for_workers(3, timeout=60)
        before = jobs(slurm_conf)
        assert len(before) == 2
        subprocess.run(["scancel", *before], check=True)
        wait_for(lambda: len(jobs(slurm_conf)) == 2 and not set(before) & set(jobs(slurm_conf)), "new jobs")
        wait_for(lambda: len(workers_of(client)) == 3, "their workers")
    wait_for(lambda: not jobs(slurm_conf), "the end of its jobs")


@needs_slurm
def test_no_job_outlives_a_run_that_was_killed(slurm_conf: str, tmp_path: Path) -> None:
    script = (
        "import time\nfrom pipeline.config import RunConfig\nfrom pipeline.execute.cluster import connected\n"
        f"run = RunConfig(cluster='slurm', cluster_config={str(written(tmp_path))!r}, insecure=True)\n"
        "with connected(run) as client:\n"
        "    client.wait_for_workers(3)\n    print('ready', flush=True)\n    time.sleep(60)\n")
    run = subprocess.Popen([sys.executable, "-c", script], env=environment(SLURM_CONF=slurm_conf), text=True,
                           stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    assert len(jobs(slurm_conf)) == 2
    run.kill()
    run.wait()
    run.stdout.close()
    wait_for(lambda: not jobs(slurm_conf), "the end of its jobs")


@needs_slurm
@pytest.mark.parametrize(("readers", "message"), [
    ({"queue": "nowhere"}, "cannot be submitted.*invalid partition"),
    ({"speed": 3}, "unexpected keyword argument 'speed'")])
def test_what_slurm_cannot_do_is_said(
    slurm_conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: dict[str, Any], message: str
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm_conf)
    config = RunConfig(cluster="slurm", cluster_config=str(written(tmp_path, **readers)), insecure=True)
    with pytest.raises(ConfigError, match=message), connected(config):
        pass
    wait_for(lambda: not jobs(slurm_conf), "the end of its jobs")
