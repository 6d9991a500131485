"""A cluster on Kubernetes: resources for Dask's operator, made and reached by kubectl.

Dask's own ``KubeCluster`` talks to its scheduler without TLS, so it is not used.
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

STARTUP_S = 600.0
"""How long a scheduler may take to start: its image may have to be fetched first."""


@contextmanager
def kubernetes_cluster(config: RunConfig) -> Iterator[str]:
    """Create what is in ``config.cluster_config`` (``cluster/kubernetes.yaml``); give its scheduler's address.

    It is reached through the API server, at a port of this machine's loopback. After the block, what was created is
    deleted.
    """
    name, namespace = _named(config)
    check_hosts([f"{name}-scheduler.{namespace}"], config, is_encrypted=has_certificates())
    if shutil.which("kubectl") is None:
        raise ConfigError("--cluster kubernetes needs kubectl, set up for the Kubernetes to use")
    _kubectl(config, "create", "-f", config.cluster_config)
    try:
        _wait_for_scheduler(config, name, namespace)
        with _forwarded(config, name, namespace) as port:
            yield f"{'tls' if has_certificates() else 'tcp'}://127.0.0.1:{port}"
    finally:
        with suppress(ConfigError):
            _kubectl(config, "delete", "-f", config.cluster_config, "--wait=false")


def _named(config: RunConfig) -> tuple[str, str]:
    """Return name and namespace of the file's DaskCluster."""
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
    deadline = time.monotonic() + STARTUP_S
    while True:
        try:  # fails at once where the operator has not made it yet
            _kubectl(config, "wait", "pod", "--namespace", namespace, "--selector", pod, "--for=condition=Ready",
                     "--timeout=60s")
            return
        except ConfigError as error:
            if time.monotonic() > deadline:
                raise ConfigError(f"{error}; is Dask's operator installed, and has its image been found?") from None
            time.sleep(2)


@contextmanager
def _forwarded(config: RunConfig, name: str, namespace: str) -> Iterator[int]:
    """Give a port of this machine that leads to the scheduler."""
    words: list[Any] = ["kubectl", "port-forward", "--address=127.0.0.1", f"--namespace={namespace}",
                        f"service/{name}-scheduler", ":8786"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            match = re.search(r"127\.0\.0\.1:(\d+) ->", forwarding.stdout.readline())
            if match is None:
                raise ConfigError(f"{config.cluster_config}: kubectl port-forward to {name}-scheduler has failed")
            yield int(match[1])
        finally:
            forwarding.terminate()
