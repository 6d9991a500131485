"""Start a cluster on Kubernetes with Dask's operator. ``kubectl`` creates the resources and forwards the port.

Dask's own ``KubeCluster`` is not used, because it talks to its scheduler without TLS.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.execute.cluster_file import load_yaml
from pipeline.execute.security import check_hosts, has_certificates

MAX_STARTUP_S = 600.0
"""Time for a scheduler to start. Kubernetes may have to fetch its image first."""


@contextmanager
def kubernetes_cluster(config: RunConfig) -> Iterator[str]:
    """Create the resources in ``config.cluster_config`` (``cluster/kubernetes.yaml``); yield the scheduler's address.

    The address is a port on this machine's loopback. ``kubectl`` forwards it through the API server to the scheduler.
    The resources are deleted after the block.

    Raises
    ------
    ConfigError
        ``kubectl`` is missing or fails, or the scheduler would accept connections without TLS.
    """
    name, namespace = _name_and_namespace(config)
    check_hosts([f"{name}-scheduler.{namespace}"], config, is_encrypted=has_certificates())
    if shutil.which("kubectl") is None:
        raise ConfigError("--cluster kubernetes needs kubectl; install it and set it up for your Kubernetes")
    _kubectl(config, "create", "-f", config.cluster_config)
    try:
        _wait_for_scheduler(config, name, namespace)
        with _forwarded(config, name, namespace) as port:
            yield f"{'tls' if has_certificates() else 'tcp'}://127.0.0.1:{port}"
    finally:
        with suppress(ConfigError):
            _kubectl(config, "delete", "-f", config.cluster_config, "--wait=false")


def _name_and_namespace(config: RunConfig) -> tuple[str, str]:
    """Return the name and the namespace of the DaskCluster in the file."""
    documents = load_yaml(config)
    try:
        (found,) = [document["metadata"] for document in documents if document and document["kind"] == "DaskCluster"]
        return found["name"], found["namespace"]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{config.cluster_config}: expected one DaskCluster with a name and a namespace, as in "
                          "cluster/kubernetes.yaml") from error


def _kubectl(config: RunConfig, *words: str) -> None:
    done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{config.cluster_config}: kubectl {words[0]}: {' '.join(done.stderr.split())}")


def _wait_for_scheduler(config: RunConfig, name: str, namespace: str) -> None:
    pod = f"dask.org/cluster-name={name},dask.org/component=scheduler"
    deadline = time.monotonic() + MAX_STARTUP_S
    while True:
        try:  # fails at once if the operator has not created the pod yet
            _kubectl(config, "wait", "pod", "--namespace", namespace, "--selector", pod, "--for=condition=Ready",
                     "--timeout=60s")
            return
        except ConfigError as error:
            if time.monotonic() > deadline:
                raise ConfigError(f"{error}; check that Dask's operator is installed and that Kubernetes can "
                                  "fetch the image") from None
            time.sleep(2)


@contextmanager
def _forwarded(config: RunConfig, name: str, namespace: str) -> Iterator[int]:
    """Yield a port of this machine that is forwarded to the scheduler."""
    words: list[Any] = ["kubectl", "port-forward", "--address=127.0.0.1", f"--namespace={namespace}",
                        f"service/{name}-scheduler", ":8786"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            match = re.search(r"127\.0\.0\.1:(\d+) ->", forwarding.stdout.readline())
            if match is None:
                raise ConfigError(f"{config.cluster_config}: kubectl port-forward to {name}-scheduler failed; run it "
                                  "by hand to see why")
            yield int(match[1])
        finally:
            forwarding.terminate()
