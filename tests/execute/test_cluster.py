"""The cluster that a run uses: the one that the user names, or a new one on this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from distributed.comm import CommClosedError

from pipeline.config import RunConfig
from pipeline.encoders import backend
from pipeline.errors import ConfigError
from pipeline.execute import cluster as cluster_of_a_run
from pipeline.execute.cluster import connected, dask_engine
from pipeline.execute.preload_worker import check_pinned
from pipeline.execute.security import is_loopback
from pipeline.execute.workers import workers_of
from pipeline.run import ingest
from tests.run import jobs
from tests.run.small import assert_same_corpus, config
from tests.run.workers import LOOPBACK, credentials, dask_flags, drain, environment, tls_config, wait_until


@pytest.fixture
def certificates(cluster: Any) -> Iterator[Path]:
    """Folder of the certificates of the cluster that these tests share."""
    with credentials(cluster) as folder:
        yield folder


def test_a_scheduler_nobody_answers_at_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        address = f"tcp://{LOOPBACK}:{listening.getsockname()[1]}"
    for scheduler in (address, "nonsense://nowhere"):
        config = RunConfig(scheduler=scheduler, insecure=True, resource_wait_s=0.5)
        with pytest.raises(ConfigError, match=f"no Dask scheduler answers at {scheduler}"), dask_engine(config):
            pass


def test_a_running_scheduler_is_used_by_its_address(cluster: Any, client: Any, certificates: Path) -> None:
    with dask_engine(RunConfig(scheduler=cluster.scheduler_address, **tls_config(certificates))) as engine:
        engine.submit("pid", jobs.worker_pid)
        (pid,) = drain(engine, 1).values()
    assert pid in client.run(os.getpid).values()
    assert client.submit(jobs.double, 4, pure=False).result() == 8, "leaving the engine leaves the cluster"


def listening_addresses(process: psutil.Process) -> set[str]:
    everyone = [process, *process.children(recursive=True)]
    return {c.laddr.ip for one in everyone for c in one.net_connections() if c.status == psutil.CONN_LISTEN}


def test_nothing_of_the_embedded_cluster_listens_beyond_this_machine(cluster: Any) -> None:
    assert listening_addresses(psutil.Process()) == {LOOPBACK}


def interrupts_are_blocked() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_get_no_interrupt_from_the_start_and_this_process_does(client: Any) -> None:
    assert set(client.run(interrupts_are_blocked).values()) == {True}
    assert not interrupts_are_blocked()


@pytest.mark.parametrize(("config", "message"), [
    (RunConfig(dashboard=True, scheduler="tls://head:8786"), "not for tls://head:8786: a scheduler elsewhere decides"),
    (RunConfig(dashboard=True, cluster="slurm", cluster_config="slurm.yaml"), "not for slurm"),
])
def test_a_dashboard_is_of_workers_on_this_machine(config: RunConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message), connected(config):
        pass


def test_a_dashboard_needs_bokeh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_of_a_run, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"lookalike\[dashboard\]"), connected(RunConfig(dashboard=True)):
        pass


def test_a_dashboard_is_served_to_this_machine_alone_and_its_address_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("bokeh")
    with connected(RunConfig(dashboard=True, workers=1)):
        (address,) = re.findall(r"http://localhost:\d+", caplog.text)
        with urlopen(f"{address}/status", timeout=30) as page:
            assert b"Dask" in page.read()
        for closed in ("/json/counts.json", "/info/main/workers.html", "/metrics", "/api/v1"):
            with pytest.raises(HTTPError):
                urlopen(f"{address}{closed}", timeout=30)
        assert {ip for ip in listening_addresses(psutil.Process()) if not is_loopback(ip)} == set()


def test_embedded_workers_take_one_core_and_a_bounded_memory_each(client: Any) -> None:
    (one, two) = workers_of(client).values()
    assert (one["nthreads"], one["memory_limit"]) == (two["nthreads"], two["memory_limit"]) == (1, 2_000_000_000)
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        assert set(client.run(jobs.environment_of_worker, name).values()) == {"1"}, name
    assert set(client.run(jobs.zarr_settings).values()) == {(1, 1)}


def test_numba_knows_of_its_threads_before_it_compiles() -> None:
    """numba reads its environment when it is imported and when it compiles. Between the two, cached code may start
    threads.
    """
    script = ("import os, types; os.sched_getaffinity = lambda _: {0, 1, 2}\n"
              "import numba; from pipeline.execute.preload_worker import dask_setup\n"
              "assert numba.config.NUMBA_NUM_THREADS == 3\n"
              "state = types.SimpleNamespace(nthreads=1, total_resources={})\n"
              "dask_setup(types.SimpleNamespace(state=state, nanny=None))\n"
              "print(numba.config.NUMBA_NUM_THREADS)\n")
    variables = {name: value for name, value in environment().items() if name != "NUMBA_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.stdout.strip() == "1", done.stderr


def test_a_script_without_a_main_guard_may_use_the_embedded_cluster(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pipeline.config import RunConfig\n"
        "from pipeline.execute.cluster import dask_engine\n"
        "from tests.run import jobs\n"
        "print('script runs', flush=True)\n"
        "with dask_engine(RunConfig(workers=1)) as engine:\n"
        "    engine.submit('one', jobs.double, 21)\n"
        "    print(engine.wait())\n"
        "print(__file__)\n"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["script runs", "[('one', 42)]", str(script)], done.stderr
    assert done.stderr == ""


# --- who may connect to a cluster ----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:8786", "192.0.2.1:8786", "tcp://scheduler.invalid:8786"])
def test_a_scheduler_on_the_network_without_tls_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"without TLS lets anyone who can reach it .*--tls-ca.*--insecure"), \
            connected(RunConfig(scheduler=address, resource_wait_s=0.2)):
        pass


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"])
def test_so_is_one_of_this_machine_whose_other_users_could_run_code(host: str) -> None:
    with pytest.raises(ConfigError, match=r"without TLS lets every user of this machine run code as .*--insecure"), \
            connected(RunConfig(scheduler=f"tcp://{host}:1", resource_wait_s=0.2)):
        pass


def test_insecure_lets_it_be_tried() -> None:
    config = RunConfig(scheduler="tcp://scheduler.invalid:8786", insecure=True, resource_wait_s=0.2)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"), connected(config):
        pass


def test_tls_takes_certificates(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a tls:// address needs certificates\. Name them with --tls-ca"), \
            connected(RunConfig(scheduler=f"tls://{LOOPBACK}:1")):
        pass
    files = {name: str(tmp_path / name) for name in ("tls_ca", "tls_cert", "tls_key")}
    with pytest.raises(ConfigError, match=r"tls_ca: cannot be read; `make certs` makes"), \
            connected(RunConfig(scheduler=f"tls://{LOOPBACK}:1", **files)):
        pass
    with pytest.raises(ConfigError, match="together or not at all"):
        RunConfig(tls_ca="ca.pem")


@pytest.mark.parametrize(("host", "is_here"), [
    ("127.0.0.1", True), ("127.8.9.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False),
    ("192.0.2.1", False), ("::", False), ("nowhere.invalid", False)])
def test_what_is_loopback(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


def test_the_embedded_cluster_needs_no_certificates_where_dask_is_told_to_encrypt() -> None:
    from dask import config

    with config.set({"distributed.comm.require-encryption": True}), connected(RunConfig(workers=1)) as client:
        assert config.get("distributed.comm.require-encryption") is True, "what a site demands stays so"
        assert client.submit(jobs.double, 21).result() == 42
        assert set(client.run(jobs.requires_encryption).values()) == {True}


def test_its_scheduler_remembers_nothing_of_what_collections_tasks_were_of(client: Any) -> None:
    def remembered(dask_scheduler: Any) -> list[Any]:
        return [span.metadata for span in dask_scheduler.extensions["spans"].spans.values()]

    assert client.gather(client.map(jobs.double, range(20))) == [2 * number for number in range(20)]
    spans = client.run_on_scheduler(remembered)
    assert spans
    assert set(spans) == {None}


# --- the file that describes the cluster ---------------------------------------------------------------------------


@pytest.mark.parametrize(("cluster", "text", "message"), [
    ("ssh", "", "expected one table"),
    ("ssh", "- a", "expected one table"),
    ("ssh", "hosts: [a]", "unknown key 'hosts'; known: scheduler, workers"),
    ("ssh", "scheduler: 3", "scheduler = 3 is not of type str"),
    ("ssh", "scheduler: a", "name a scheduler, and at least one machine under workers"),
    ("ssh", "scheduler: 192.0.2.1\nworkers: [192.0.2.2]", "a scheduler at 192.0.2.1 without TLS"),
    ("ssh", "scheduler: 127.0.0.1\nworkers: [localhost]", "a scheduler at 127.0.0.1 without TLS lets every user"),
    ("ssh", "a: [", "not valid YAML"),
    ("slurm", "scheduler: 127.0.0.1", "name a scheduler, .*, and readers, the jobs that read files"),
    ("slurm", "scheduler: 192.0.2.1\nreaders: {jobs: 1}", "a scheduler at 192.0.2.1 without TLS"),
    ("slurm", "scheduler: 127.0.0.1\nreaders: {jobs: 1}", "a scheduler at 127.0.0.1 without TLS lets every user"),
    ("kubernetes", "kind: Pod", "expected one DaskCluster"),
])
def test_a_file_that_says_nothing_useful_is_refused(tmp_path: Path, cluster: Any, text: str, message: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message), \
            connected(RunConfig(cluster=cluster, cluster_config=str(path))):
        pass


@pytest.mark.parametrize("cluster", ["ssh", "slurm", "kubernetes"])
def test_a_cluster_elsewhere_needs_a_file(tmp_path: Path, cluster: Any) -> None:
    message = rf"needs --cluster-config FILE; begin with a copy of cluster/{cluster}\.yaml"
    with pytest.raises(ConfigError, match=message), connected(RunConfig(cluster=cluster)):
        pass
    with pytest.raises(ConfigError, match=r"nothing.yaml: cannot be read \(No such file"), \
            connected(RunConfig(cluster=cluster, cluster_config=str(tmp_path / "nothing.yaml"))):
        pass


@pytest.mark.parametrize(("cluster", "package", "text"), [
    ("ssh", "asyncssh", "scheduler: 127.0.0.1\nworkers: [127.0.0.1]"),
    ("slurm", "dask_jobqueue", "scheduler: 127.0.0.1\nreaders: {cores: 1}")])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Any, package: str, text: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    message = rf"needs {package.replace('_', '-')}: pip install 'lookalike\[{cluster}\]'"
    with pytest.raises(ConfigError, match=message), \
            connected(RunConfig(cluster=cluster, cluster_config=str(path), insecure=True)):
        pass


# --- what a worker does when it starts -----------------------------------------------------------------------------


def test_a_worker_that_offers_a_gpu_sees_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for visible in ("0", "", "GPU-8932f937"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        check_pinned()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(SystemExit, match="sees 2 GPUs; start one worker for each"):
        check_pinned()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(backend, "_DEVICE_FOLDER", tmp_path)
    for name in ("nvidia0", "nvidiactl", "null"):
        (tmp_path / name).touch()
    check_pinned()
    (tmp_path / "nvidia11").touch()
    with pytest.raises(SystemExit, match="sees 2 GPUs"):
        check_pinned()


def test_each_gpu_of_this_machine_has_one_worker_of_an_embedded_cluster(
    good: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_of_a_run, "gpu_names", lambda: ["0", "GPU-3f"])
    monkeypatch.setattr(cluster_of_a_run, "gpu_devices", jobs.one_gpu)
    with connected(RunConfig(workers=1)) as client:
        workers = workers_of(client)
        seen = client.run(jobs.environment_of_worker, "CUDA_VISIBLE_DEVICES")
        offered = {seen[address]: worker["resources"] for address, worker in workers.items()}
        assert offered == {"": {}, "0": {"GPU": 1}, "GPU-3f": {"GPU": 1}}
        assert {seen[address]: worker["memory_limit"] for address, worker in workers.items()} == {
            "": 2e9, "0": 8e9, "GPU-3f": 8e9}
        report = ingest([good], tmp_path / "corpus", client=client, config=config())
    assert report.exit_code == 0
    assert_same_corpus(tmp_path / "corpus", undisturbed)
    with connected(RunConfig(workers=1, embed_on="cpu")) as client:
        assert list(client.run(jobs.environment_of_worker, "CUDA_VISIBLE_DEVICES").values()) == [""]


@pytest.mark.parametrize("gpu_devices", [jobs.no_gpu, jobs.no_library])
def test_a_gpu_that_keras_cannot_use_gets_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gpu_devices: Any
) -> None:
    monkeypatch.setattr(cluster_of_a_run, "gpu_names", lambda: ["0"])
    monkeypatch.setattr(cluster_of_a_run, "gpu_devices", gpu_devices)
    with dask_engine(RunConfig(workers=1)) as engine:
        assert not engine.offers_gpu
        engine.submit("one", jobs.environment_of_worker, "CUDA_VISIBLE_DEVICES")
        assert drain(engine, 1) == {"one": ""}
    assert "Keras can use 0 of the 1 GPUs of this machine" in caplog.text


def test_a_worker_that_offers_a_gpu_and_sees_two_does_not_join(cluster: Any, certificates: Path) -> None:
    command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--host", LOOPBACK,
               "--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0", "--no-nanny", "--nthreads", "1",
               "--resources", "GPU=1", "--preload", "pipeline.execute.preload_worker", *dask_flags(certificates)]
    done = subprocess.run(command, env=environment(CUDA_VISIBLE_DEVICES="0,1"), capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode != 0
    assert "sees 2 GPUs" in done.stderr
    assert len(cluster.scheduler.workers) == 2


@pytest.mark.parametrize(("encoder", "is_there"), [("", True), ("power-spectrum", True), ("beta-vae", False)])
def test_a_worker_has_its_encoder_before_its_first_task_or_does_not_join(
    cluster: Any, client: Any, certificates: Path, encoder: str, is_there: bool
) -> None:
    command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--host", LOOPBACK,
               "--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0", "--no-nanny", "--nthreads", "1",
               "--name", "warm", "--preload", "pipeline.execute.preload_worker",
               "--preload", "pipeline.execute.preload_encoder", *dask_flags(certificates)]
    chosen = {"DASK_LOOKALIKE__ENCODER": encoder} if encoder else {}
    worker = subprocess.Popen(command, env=environment(**chosen), stderr=subprocess.PIPE, text=True)
    try:
        if not is_there:
            _, said = worker.communicate(timeout=60)
            assert worker.returncode != 0
            assert "beta-vae" in said
            assert "weights" in said
            return
        client.wait_for_workers(3, timeout=60)
        (warm,) = [address for address, one in workers_of(client).items()
                   if one["name"] == "warm"]
        assert client.run(jobs.encoders_loaded, workers=[warm]) == {warm: 1}
    finally:
        worker.kill()
        worker.communicate()
        wait_until(lambda: len(cluster.scheduler.workers) == 2)


@pytest.mark.parametrize(("failures", "is_reached"), [(2, True), (10**6, False)])
def test_a_scheduler_that_goes_as_it_is_greeted_is_greeted_again(
    monkeypatch: pytest.MonkeyPatch, failures: int, is_reached: bool
) -> None:
    tries = []

    def client(*arguments: Any, **options: Any) -> Any:
        tries.append(arguments)
        if len(tries) <= failures:
            raise CommClosedError("Stream is closed")
        return nullcontext("a client")

    monkeypatch.setattr("distributed.Client", client)
    monkeypatch.setattr("pipeline.execute.cluster.RECONNECT_INTERVAL_S", 0.01)
    outcome = nullcontext() if is_reached else pytest.raises(ConfigError, match="no Dask scheduler answers")
    with outcome, connected(
            RunConfig(scheduler=f"tcp://{LOOPBACK}:1", insecure=True, resource_wait_s=0.3)) as given:
        assert given == "a client"
    assert len(tries) == 3 if is_reached else len(tries) > 3
