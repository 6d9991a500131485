"""Start a cluster of SLURM jobs. The scheduler runs here; its workers are jobs that read files and jobs with a GPU.

A job that ends is submitted again for as long as the run lasts.
"""

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
from pipeline.execute.cluster_file import read_cluster_file
from pipeline.execute.local import private_scratch
from pipeline.execute.security import check_hosts, has_certificates

logger = logging.getLogger(__name__)

JOB_CHECK_INTERVAL_S = 30.0
"""Time between two checks for ended jobs. A job ends at its walltime, with its node, or when SLURM preempts it."""

_KEYS = {"scheduler": str, "port": int, "readers": dict, "gpu": dict}


@contextmanager
def slurm_cluster(config: RunConfig) -> Iterator[Any]:
    """Submit the jobs of the file ``config.cluster_config`` (``cluster/slurm.yaml``); yield the cluster.

    The jobs are cancelled after the block.

    Raises
    ------
    ConfigError
        The file cannot be used, ``sbatch`` or dask-jobqueue is missing, SLURM refuses a job, or the scheduler would
        accept connections without TLS.
    """
    table = read_cluster_file(config, _KEYS)
    path = config.cluster_config
    if not table.get("scheduler") or not table.get("readers"):
        raise ConfigError(f"{path}: name a scheduler, the address by which compute nodes reach this machine, "
                          "and readers, the jobs that read files")
    is_encrypted = has_certificates()
    check_hosts([table["scheduler"]], config, is_encrypted=is_encrypted)
    try:
        import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise ConfigError("--cluster slurm needs dask-jobqueue: pip install 'lookalike[slurm]'") from error
    if shutil.which("sbatch") is None:
        raise ConfigError("--cluster slurm needs SLURM's sbatch; run lookalike on a login node")
    with ExitStack() as stack:
        scratch = stack.enter_context(private_scratch())
        try:
            cluster = stack.enter_context(_cluster(table, is_encrypted, scratch))  # submits the jobs
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: the jobs cannot be submitted ({' '.join(str(error).split())})") from error
        is_over = threading.Event()
        keeping = threading.Thread(target=_resubmit_ended, args=(cluster, is_over), name="slurm-jobs", daemon=True)
        keeping.start()
        try:
            yield cluster
        finally:
            is_over.set()
            keeping.join()


def _cluster(table: dict[str, Any], is_encrypted: bool, scratch: str) -> Any:
    """Start a scheduler with this scratch folder; return the cluster with the jobs of ``table`` to submit."""
    from dask_jobqueue import SLURMCluster
    from distributed.security import Security

    security = Security() if is_encrypted else None
    common = {"protocol": "tls://" if is_encrypted else "tcp://", "security": security}
    readers = _job(table["readers"], []) | common
    gpu = _job(table.get("gpu", {}), ["--resources", "GPU=1"]) | common | {"processes": 1}
    n_readers, n_gpu, job = readers.pop("jobs"), gpu.pop("jobs"), _job_class()
    for kind in (readers, gpu)[: 1 + bool(n_gpu)]:
        job("tcp://unknown:0", name="unknown", **kind)  # raises the errors of wrong keywords before a cluster exists
    scheduler = {"host": table["scheduler"], "port": table.get("port", 0), "dashboard": False,
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
        """A job that sets its status when it fails or ends. Otherwise a cluster with a refused job cannot close."""

        async def start(self) -> None:
            """Submit the job."""
            try:
                await super().start()
            except BaseException:
                self.status = Status.failed
                raise

        async def close(self) -> None:
            """Cancel the job."""
            await super().close()
            self.status = Status.closed

    return Job


def _job(keywords: dict[str, Any], worker_arguments: list[str]) -> dict[str, Any]:
    """Complete the keywords of a kind of job: its workers get the settings of this run and serve no page."""
    from dask import config

    inherited = f"export DASK_INTERNAL_INHERIT_CONFIG={shlex.quote(config.serialize(config.global_config))}"
    return {
        "jobs": 1 if keywords else 0,
        **keywords,
        "worker_extra_args": ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", *worker_arguments,
                              *map(str, keywords.get("worker_extra_args", []))],
        "job_script_prologue": [*keywords.get("job_script_prologue", []), inherited],
    }


def _resubmit_ended(cluster: Any, is_over: threading.Event) -> None:
    """Submit jobs again that SLURM no longer lists, until ``is_over`` is set."""
    while not is_over.wait(JOB_CHECK_INTERVAL_S):
        listed = subprocess.run(["squeue", "--noheader", "--format=%i"], capture_output=True, text=True, check=False)
        if listed.returncode:
            continue  # SLURM is busy; ask again later
        alive = set(listed.stdout.split())
        ended = [name for name, job in list(cluster.workers.items()) if job.job_id and job.job_id not in alive]
        if ended:
            logger.info("%d SLURM jobs have ended and are submitted again", len(ended))
            cluster.loop.add_callback(_submit_again, cluster, ended)


def _submit_again(cluster: Any, names: list[str]) -> None:
    for name in names:
        cluster.workers.pop(name, None)
    cluster.scale(jobs=len(cluster.worker_spec))
