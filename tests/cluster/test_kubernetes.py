"""Calls of kubectl: a fake kubectl notes its arguments, and forwards its port to a real scheduler on this machine."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.execute.cluster import connected
from tests.cluster.places import DEPLOYMENT, running, wait_for
from tests.run.workers import LOOPBACK, dask_flags, tls_config

KUBECTL = """#!{python}
import json, sys, time
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
asked = sum(json.loads(line)[0] == sys.argv[1] for line in open({log!r}))
if sys.argv[1] == {fails!r} or (sys.argv[1] == "wait" and asked == 1):
    sys.exit("error: no matching resources found")
if sys.argv[1] == "port-forward":
    print("Forwarding from 127.0.0.1:{port} -> 8786", flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, int]:
    """Return the log of the fake kubectl, and the port that it forwards to."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        port = one.getsockname()[1]
    install(tmp_path, port)
    return tmp_path / "log", port


def install(folder: Path, port: int, fails: str = "") -> None:
    program = folder / "bin" / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable, log=str(folder / "log"), port=port, fails=fails))
    program.chmod(0o755)


def asked(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def config(certificates: Path) -> RunConfig:
    return RunConfig(cluster="kubernetes", cluster_config=str(DEPLOYMENT / "kubernetes.yaml"), resource_wait_s=60.0,
                     **tls_config(certificates))


@pytest.mark.cluster
def test_resources_are_created_reached_over_tls_and_deleted(
    kubectl: tuple[Path, int], certificates: Path, tmp_path: Path
) -> None:
    log, port = kubectl
    run = config(certificates)
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", LOOPBACK, "--port", str(port),
                 "--protocol", "tls", "--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0",
                 *dask_flags(certificates)]
    with running([scheduler], tmp_path):
        wait_for(lambda: "Scheduler at" in (tmp_path / "0.log").read_text(), "the scheduler")
        with connected(run) as client:
            assert client.scheduler.address == f"tls://{LOOPBACK}:{port}"
            assert "delete" not in [words[0] for words in asked(log)]
    words = asked(log)
    assert [one[0] for one in words] == ["create", "wait", "wait", "port-forward", "delete"]
    assert words[0] == ["create", "-f", run.cluster_config]
    assert {"--namespace", "lookalike", "dask.org/cluster-name=lookalike,dask.org/component=scheduler"} <= set(words[1])
    assert {"--address=127.0.0.1", "--namespace=lookalike", "service/lookalike-scheduler"} <= set(words[3])
    assert words[4][:3] == ["delete", "-f", run.cluster_config]


def test_what_kubectl_refuses_is_said_and_nothing_deleted_that_was_there_before(
    kubectl: tuple[Path, int], certificates: Path, tmp_path: Path
) -> None:
    log, port = kubectl
    install(tmp_path, port, fails="create")
    with pytest.raises(ConfigError, match="kubectl create: error: no matching"), connected(config(certificates)):
        pass
    assert [words[0] for words in asked(log)] == ["create"]


def test_without_certificates_nothing_is_created(kubectl: tuple[Path, int]) -> None:
    run = RunConfig(cluster="kubernetes", cluster_config=str(DEPLOYMENT / "kubernetes.yaml"))
    with pytest.raises(ConfigError, match=r"lookalike-scheduler\.lookalike without TLS"), connected(run):
        pass
    assert not kubectl[0].exists()
