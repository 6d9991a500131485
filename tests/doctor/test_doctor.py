"""``doctor`` with real workers, some of which have a fault."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.doctor import Check, Diagnosis, doctor
from pipeline.doctor import facts as examine
from pipeline.doctor.checks import judge, judge_here, judge_worker
from pipeline.doctor.doctor import MAX_ANSWER_S
from pipeline.encoders import supported_precisions
from pipeline.errors import ConfigError
from pipeline.execute.workers import workers_of
from pipeline.model import EncoderSpec
from pipeline.support.processor import describe
from tests.run.jobs import sleep
from tests.run.workers import gpu_worker


@pytest.fixture
def corpus(undisturbed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(undisturbed, tmp_path / "corpus"))


def named(found: Diagnosis, name: str, where: str = "") -> list[Check]:
    return [check for check in found.checks if check.name == name and where in check.where]


def wrong(found: Diagnosis) -> set[tuple[str, str, str]]:
    """Return the checks that are not ok, except those that depend on the load and the state of this machine."""
    of_this_machine = {"restart", "threads", "disk", "scratch", "open files", "numba cache", "libgomp", "memory"}
    return {(check.where, check.name, check.status) for check in found.checks
            if check.status != "ok" and check.name not in of_this_machine}


def first(client: Any) -> str:
    return min(workers_of(client))


@contextmanager
def on_worker(client: Any, address: str, patch: Callable[[], None]) -> Iterator[None]:
    """Run ``patch`` in one worker. After the block, reload :mod:`pipeline.doctor.facts` there, which undoes it."""
    client.run(patch, workers=[address])
    try:
        yield
    finally:
        client.run(restore, workers=[address])


def restore() -> None:
    import importlib

    from pipeline.doctor import facts as examine

    importlib.reload(examine)


# --- all well ------------------------------------------------------------------------------------------------------


def test_a_sound_cluster_is_told_to_be(client: Any, corpus: Path, good: Path) -> None:
    found = doctor(corpus, [good], client)
    assert wrong(found) == set()
    assert (found.exit_code, found.workers) == (0, 2)
    for where in ("here", *workers_of(client)):
        names = {check.name for check in found.checks if check.where == where}
        assert names >= {"versions", "plugins", "encoder", "gpu", "corpus", "data", "sample", "disk", "scratch",
                         "memory", "open files", "numba cache", "libgomp"}
    assert {check.name for check in found.checks if check.where != "here"} >= {"clock", "threads", "corpus write"}
    assert not list((corpus / "staging").iterdir()), "it leaves nothing behind"
    assert {check.message for check in named(found, "versions", "tls")} == {"the same as here"}


def test_without_a_cluster_this_machine_is_examined(tmp_path: Path) -> None:
    found = doctor(tmp_path / "not-yet")
    assert (found.workers, found.exit_code) == (0, 0)
    assert {check.where for check in found.checks} == {"here"}
    assert [check.message for check in named(found, "corpus place")] == [f"{tmp_path / 'not-yet'} does not exist yet"]
    assert named(found, "encoder")[0].message.startswith("spectral-v4")
    assert not (tmp_path / "not-yet").exists()


def test_a_scheduler_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        doctor(run=RunConfig(scheduler="tcp://127.0.0.1:1", insecure=True, resource_wait_s=0.5))


def test_a_scheduler_of_this_machine_without_tls_is_not_connected_to_unasked() -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1 without TLS lets every user of this machine run code"):
        doctor(run=RunConfig(scheduler="tcp://127.0.0.1:1", resource_wait_s=0.5))


def test_a_scheduler_without_workers_is_a_fault() -> None:
    from distributed import Client, LocalCluster

    quiet = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}, "host": "127.0.0.1"}
    with LocalCluster(n_workers=0, **quiet) as cluster, Client(cluster, set_as_default=False) as client:
        found = doctor(client=client)
    assert wrong(found) == {("here", "workers", "fail")}
    assert found.exit_code == 1


# --- something wrong with one worker -------------------------------------------------------------------------------


def of_another_version() -> None:
    from pipeline.doctor import facts as examine

    really = examine.versions()
    examine.versions = lambda: {**really, "distributed": "2020.1.0", "code": "0123456789ab"}  # type: ignore[assignment]


def with_a_slightly_other_zarr() -> None:
    from pipeline.doctor import facts as examine

    really = examine.versions()
    examine.versions = lambda: {**really, "zarr": ""}  # type: ignore[assignment]


def test_another_version_is_named_beside_that_here(client: Any) -> None:
    address = first(client)
    with on_worker(client, address, of_another_version):
        found = doctor(client=client)
    assert wrong(found) == {(address, "versions", "fail")}
    assert "distributed 2020.1.0 (here " in named(found, "versions", address)[0].message
    assert "code 0123456789ab (here " in named(found, "versions", address)[0].message
    with on_worker(client, address, with_a_slightly_other_zarr):
        found = doctor(client=client)
    assert wrong(found) == {(address, "versions", "warn")}
    assert named(found, "versions", address)[0].message.startswith("zarr missing (here ")


def without_plugin() -> None:
    """Let the process that reads HDF5 files import an empty hdf5plugin, which registers no filter."""
    import sys
    import tempfile

    from pipeline.doctor import facts as examine
    from pipeline.filterbank import parser_client

    really = examine._decode

    def decode(contents: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "hdf5plugin.py").touch()
            sys.path.insert(0, folder)
            parser_client.stop()  # the next question starts another process, with this search path
            try:
                really(contents)
            finally:
                sys.path.remove(folder)
                parser_client.stop()

    examine._decode = decode


def test_a_worker_that_cannot_decode_is_found(client: Any) -> None:
    address = first(client)
    with on_worker(client, address, without_plugin):
        found = doctor(client=client)
    assert wrong(found) == {(address, "plugins", "fail")}
    assert "hdf5plugin" in named(found, "plugins", address)[0].remedy


def with_other_vectors() -> None:
    from pipeline.doctor import facts as examine

    really = examine._encode

    def encode(questions: Any) -> Any:
        spec, vectors = really(questions)
        return spec, vectors + np.float32(0.01)

    examine._encode = encode


def test_vectors_that_differ_from_those_here_are_found(client: Any) -> None:
    address = first(client)
    with on_worker(client, address, with_other_vectors):
        found = doctor(client=client)
    assert wrong(found) == {(address, "encoder", "fail")}
    assert "differ by 0.01 from those here" in named(found, "encoder", address)[0].message


def with_a_slow_clock() -> None:
    import time

    from pipeline.doctor import facts as examine

    examine.now = lambda: time.time() - 60  # type: ignore[assignment]


def test_a_clock_that_is_off_is_found(client: Any) -> None:
    address = first(client)
    with on_worker(client, address, with_a_slow_clock):
        found = doctor(client=client)
    assert wrong(found) == {(address, "clock", "warn")}
    assert named(found, "clock", address)[0].message in {"-60.0 s off", "-59.9 s off", "-60.1 s off"}


def of_an_older_package() -> None:
    from pipeline.doctor import facts as examine

    del examine.examine


def test_a_worker_whose_package_lacks_what_is_asked_is_told(client: Any) -> None:
    address = first(client)
    with on_worker(client, address, of_an_older_package):
        found = doctor(client=client)
    assert wrong(found) == {(address, "answer", "fail")}
    assert "cannot run a task of this package (" in named(found, "answer")[0].message


def test_a_worker_that_is_busy_is_not_waited_for(client: Any) -> None:
    address = first(client)
    busy = client.submit(sleep, 4.0, workers=[address], pure=False)
    found = doctor(client=client, answer_s=1.5)
    assert (address, "answer", "fail") in wrong(found)
    assert "no answer within 1.5 s" in named(found, "answer", address)[0].message
    busy.result()


def test_data_and_corpus_that_only_this_process_sees_are_found(client: Any, good: Path, tmp_path: Path) -> None:
    mine = Path(f"/proc/self/task/{threading.get_native_id()}")
    found = doctor(None, [good, mine], client)
    addresses = set(workers_of(client))
    assert wrong(found) == {(address, "data", "fail") for address in addresses}
    assert {str(mine) in check.message for check in named(found, "data") if check.status == "fail"} == {True}


@pytest.mark.timeout(3 * MAX_ANSWER_S)  # doctor itself waits twice for an answer
def test_a_gpu_that_is_offered_but_not_there_is_found(cluster: Any, client: Any) -> None:
    with gpu_worker(cluster, KERAS_BACKEND="jax"):  # loads in a fifth of TensorFlow's time
        found = doctor(client=client)
    (fault,) = [check for check in found.checks if check.status == "fail"]
    assert (fault.name, fault.where.startswith("tls://127.0.0.1:")) == ("gpu", True)
    assert fault.message.startswith("offers the resource GPU, but Keras sees no GPU")


# --- how facts are judged ------------------------------------------------------------------------------------------

FACTS = examine.Facts(
    "host", 1, {"python": "3.11", "lookalike": "0.1.0"}, open_files=10_000, corpus_free_bytes=10**12, scratch="/tmp",
    scratch_free_bytes=10**12, numba_cache="/cache", memory_bytes=10**12,
    threads=dict.fromkeys(examine.THREAD_SETTINGS, "1"),
)
WORKER = {"nthreads": 1, "memory_limit": 3e9, "resources": {}}


@pytest.mark.parametrize(("change", "name", "status"), [
    ({"open_files": 256}, "open files", "warn"),
    ({"corpus_free_bytes": 10**9}, "disk", "warn"),
    ({"scratch_free_bytes": 10**8}, "scratch", "warn"),
    ({"numba_cache": ""}, "numba cache", "warn"),
    ({"numba_refused": {"/shared": ("/shared can be written by others (mode 777)", "chmod go-w /shared")}},
     "numba cache", "warn"),
    ({"has_libgomp": False}, "libgomp", "warn"),
    ({"is_outdated": True}, "restart", "warn"),
    ({"errors": {"corpus": "FileNotFoundError: /corpus"}}, "corpus", "fail"),
    ({"errors": {"encoder": "EncoderError: no weights"}}, "encoder", "fail"),
    ({"errors": {"encoder": "PrecisionError: no bfloat16"}}, "encoder", "fail"),
    ({"errors": {"precisions": "ImportError: openvino"}}, "precisions", "fail"),
    ({"errors": {"data /d": "PermissionError"}, "entries": {"/d": -1}}, "data", "fail"),
    ({"errors": {"sample": "OSError"}, "entries": {"/d": 1}}, "sample", "fail"),
    ({"entries": {"/d": 1}}, "sample", "warn"),
    ({"errors": {"data /d": "PermissionError"}, "entries": {"/d": -1}}, "sample", "warn"),
])
def test_each_fact_is_judged_with_what_to_do(change: dict[str, Any], name: str, status: str) -> None:
    sound = {check.name: check for check in judge("tcp://w", FACTS, FACTS)}
    assert sound.get(name) is None or sound[name].status == "ok" or name == "encoder"
    (check,) = (check for check in judge("tcp://w", replace(FACTS, **change), FACTS) if check.name == name)
    assert (check.status, bool(check.remedy)) == (status, True)


def test_the_processor_is_named_with_what_it_computes_in() -> None:
    (told,) = named(doctor(), "precisions")
    assert told.message == f"{describe()}; vectors can be computed in {' and '.join(supported_precisions('spectral'))}"
    refused = replace(FACTS, errors={"encoder": "PrecisionError: no bfloat16"})
    (check,) = (check for check in judge("tcp://w", refused, FACTS) if check.name == "encoder")
    assert check.remedy == "choose another precision, or do not use this machine"


@pytest.mark.parametrize(("precision", "status"), [("float32", "fail"), ("bfloat16", "ok")])
def test_vectors_of_less_precision_may_differ_by_the_tolerance(precision: str, status: str) -> None:
    spec = EncoderSpec("spectral", 1, 2, "cutout-v1 16x256", "0" * 64, precision, tolerance=0.02)
    here, facts = (replace(FACTS, spec=spec, vectors=np.full((1, 2), value, np.float32)) for value in (0.7, 0.71))
    (check,) = (check for check in judge("tcp://w", facts, here) if check.name == "encoder")
    assert check.status == status


def test_fewer_entries_of_a_data_folder_than_here_are_pointed_out() -> None:
    facts, here = replace(FACTS, entries={"/d": 3}), replace(FACTS, entries={"/d": 6})
    (check,) = (check for check in judge("tcp://w", facts, here) if check.name == "data")
    assert (check.status, check.message) == ("warn", "/d has 3 entries, but 6 here")


@pytest.mark.parametrize(("worker", "facts", "name", "status"), [
    (WORKER, {}, "memory", "ok"),
    ({**WORKER, "memory_limit": 1e9}, {}, "memory", "warn"),
    ({**WORKER, "memory_limit": 0}, {}, "memory", "ok"),
    (WORKER, {}, "threads", "ok"),
    ({**WORKER, "nthreads": 4}, {}, "threads", "warn"),
    (WORKER, {"threads": {}}, "threads", "warn"),
    (WORKER, {"has_gpu": True, "gpus": ("gpu:0",)}, "gpu", "warn"),
    ({**WORKER, "resources": {"GPU": 1.0}}, {"has_gpu": True, "gpus": ("gpu:0",)}, "gpu", "ok"),
    ({**WORKER, "resources": {"GPU": 1.0}}, {"has_gpu": True}, "gpu", "fail"),
])
def test_a_worker_is_judged_by_what_it_offers(
    worker: dict[str, Any], facts: dict[str, Any], name: str, status: str
) -> None:
    checks = {check.name: check for check in judge_worker("w", replace(FACTS, **facts), worker, RunConfig())}
    assert checks[name].status == status
    assert bool(checks[name].remedy) == (status != "ok")


def test_more_workers_than_there_is_memory_for_are_pointed_out() -> None:
    run = RunConfig(workers=8, worker_memory_gb=4.0)
    checks = {check.name: check for check in judge_here(replace(FACTS, memory_bytes=10**10), run)}
    assert (checks["memory"].status, "32.0 GB" in checks["memory"].message) == ("warn", True)
