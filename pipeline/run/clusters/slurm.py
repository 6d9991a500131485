"""A cluster of SLURM jobs: the scheduler here, jobs that read and jobs with a GPU, each begun anew when it ends."""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.run.clusters.file import read_cluster_file
from pipeline.run.clusters.local import private_scratch
from pipeline.run.clusters.security import check_hosts, has_certificates

logger = logging.getLogger(__name__)

KEEP_S = 30.0
"""How often is looked which jobs have ended: by their walltime, with their node, or for other people's."""

_KEYS = {"scheduler": str, "port": int, "readers": dict, "gpu": dict}


@contextmanager
def slurm_cluster(config: RunConfig) -> Iterator[Any]:
    """Submit the jobs that ``config.cluster_config`` says (``cluster/slurm.yaml``); cancel them after the block."""
    said = read_cluster_file(config, _KEYS)
    path = config.cluster_config
    if not said.get("scheduler") or not said.get("readers"):
        raise ConfigError(f"{path}: name a scheduler, the address by which compute nodes reach this machine, "
                          "and readers")
    is_encrypted = has_certificates()
    check_hosts([said["scheduler"]], config, is_encrypted=is_encrypted)
    try:
        import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise ConfigError("--cluster slurm needs dask-jobqueue: pip install 'lookalike[slurm]'") from error
    if shutil.which("sbatch") is None:
        raise ConfigError("--cluster slurm needs SLURM's sbatch; run lookalike on a login node")
    with ExitStack() as stack:
        scratch = stack.enter_context(private_scratch())
        try:
            cluster = stack.enter_context(_cluster(said, is_encrypted, scratch))  # which submits its jobs
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: the jobs cannot be submitted ({' '.join(str(error).split())})") from error
        is_over = threading.Event()
        keeping = threading.Thread(target=_keep, args=(cluster, is_over), name="slurm-jobs", daemon=True)
        keeping.start()
        try:
            yield cluster
        finally:
            is_over.set()
            keeping.join()


def _cluster(said: dict[str, Any], is_encrypted: bool, scratch: str) -> Any:
    """Start a scheduler with this scratch folder, and say which jobs it is to have."""
    from dask_jobqueue import SLURMCluster
    from distributed.security import Security

    security = Security() if is_encrypted else None
    common = {"protocol": "tls://" if is_encrypted else "tcp://", "security": security}
    readers = _job(said["readers"], []) | common
    gpu = _job(said.get("gpu", {}), ["--resources", "GPU=1"]) | common | {"processes": 1}
    n_readers, n_gpu, job = readers.pop("jobs"), gpu.pop("jobs"), _job_class()
    for kind in (readers, gpu)[: 1 + bool(n_gpu)]:
        job("tcp://unknown:0", name="unknown", **kind)  # raises what the cluster would, half made
    scheduler = {"host": said["scheduler"], "port": said.get("port", 0), "dashboard": False,
                 "dashboard_address": "127.0.0.1:0", "local_directory": scratch}
    cluster = SLURMCluster(job_cls=job, scheduler_options=scheduler, **readers)
    for number in range(n_gpu):
        cluster.worker_spec[f"gpu-{number}"] = {"cls": job, "options": gpu}
    for _ in range(n_readers):
        cluster.worker_spec.update(cluster.new_worker_spec())
    return cluster


def _job_class() -> type:
    from dask_jobqueue.slurm import SLURMJob
    from distributed import Status

    class Job(SLURMJob):  # type: ignore[misc]
        """A job that says what has become of it: else a cluster of which SLURM refuses one cannot be closed."""

        async def start(self) -> None:
            """Submit it."""
            try:
                await super().start()
            except BaseException:
                self.status = Status.failed
                raise

        async def close(self) -> None:
            """Cancel it."""
            await super().close()
            self.status = Status.closed

    return Job


def _job(said: dict[str, Any], further: list[str]) -> dict[str, Any]:
    """Complete the keywords of a kind of job: its workers are set as this run is, and serve nothing by HTTP."""
    from dask import config

    inherited = f"export DASK_INTERNAL_INHERIT_CONFIG={shlex.quote(config.serialize(config.global_config))}"
    return {
        "jobs": 1 if said else 0,
        **said,
        "worker_extra_args": ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", *further,
                              *map(str, said.get("worker_extra_args", []))],
        "job_script_prologue": [*said.get("job_script_prologue", []), inherited],
    }


def _keep(cluster: Any, is_over: threading.Event) -> None:
    """Submit anew what SLURM has no longer."""
    while not is_over.wait(KEEP_S):
        listed = subprocess.run(["squeue", "--noheader", "--format=%i"], capture_output=True, text=True, check=False)
        if listed.returncode:
            continue  # SLURM is busy: it says so for a moment
        alive = set(listed.stdout.split())
        ended = [name for name, job in list(cluster.workers.items()) if job.job_id and job.job_id not in alive]
        if ended:
            logger.info("%d SLURM jobs have ended and are submitted anew", len(ended))
            cluster.loop.add_callback(_submit_anew, cluster, ended)


def _submit_anew(cluster: Any, names: list[str]) -> None:
    for name in names:
        cluster.workers.pop(name, None)
    cluster.scale(jobs=len(cluster.worker_spec))
