"""What the facts that a process tells of itself (:mod:`pipeline.run.examine`) come to: all is well, or what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from pipeline.config import RunConfig
from pipeline.errors import PrecisionError
from pipeline.filterbank.find import SUFFIXES
from pipeline.run.examine import THREAD_SETTINGS, Facts

Status = Literal["ok", "warn", "fail"]

LEAST_FREE_BYTES = 10 * 2**30
LEAST_SCRATCH_BYTES = 2**30
LEAST_OPEN_FILES = 1024
ALIKE = 1e-3
"""Largest difference between two machines' vectors of float32; of less precision, the encoder's tolerance is."""
ESSENTIAL = frozenset({"python", "lookalike", "code", "dask", "distributed", "cloudpickle", "msgpack"})
"""Where these differ a cluster does not work, or does something else on each machine."""
HERE = "here"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at in one place."""

    where: str
    """``here``, for the machine that asks, or a worker's address."""
    name: str
    status: Status
    message: str
    remedy: str = ""
    """What to do; empty where all is well."""

    def to_json(self) -> dict[str, str]:
        """Record for ``doctor --json``."""
        return asdict(self)


def judge(where: str, facts: Facts, here: Facts) -> Iterator[Check]:
    """Judge what a process told of itself, beside what this one did."""
    yield _versions(where, facts, here)
    if facts.is_outdated and where != HERE:
        yield Check(where, "restart", "warn", "started before the package was last changed", "start the worker anew")
    yield _could(where, facts, "plugins", "bitshuffle-LZ4 files decode",
                 "install hdf5plugin anew, and unset HDF5_PLUGIN_PATH")
    yield _encoder(where, facts, here)
    yield _could(where, facts, "precisions", f"{facts.processor}; vectors can be computed in "
                 f"{' and '.join(facts.precisions)}", "install openvino anew")
    yield from _paths(where, facts, here)
    yield from _limits(where, facts)


def judge_worker(where: str, facts: Facts, worker: Mapping[str, Any], run: RunConfig) -> Iterator[Check]:
    """Judge a worker by what its scheduler says of it, too."""
    offers = offers_gpu(worker)
    if offers and not facts.gpus:
        why = facts.errors.get("gpu", "none was found")
        yield Check(where, "gpu", "fail", f"offers the resource GPU, but Keras sees no GPU ({why})",
                    "see to the driver (nvidia-smi) and install lookalike[gpu]; or start it without --resources GPU=1")
    elif facts.has_gpu and not offers:
        yield Check(where, "gpu", "warn", "has a GPU that it does not offer", "start it with --resources GPU=1")
    else:
        yield Check(where, "gpu", "ok", f"computes on {', '.join(facts.gpus)}" if offers else "no GPU")
    threads, limit = worker["nthreads"], worker["memory_limit"] or 0
    least = run.worker_memory_gb * 1e9
    if 0 < limit / threads < 0.99 * least:
        yield Check(where, "memory", "warn", f"{limit / threads / 1e9:.2f} GB a thread, worker_memory_gb is "
                    f"{run.worker_memory_gb:g}", "start fewer workers, or raise --memory-limit")
    else:
        yield Check(where, "memory", "ok", f"{limit / 1e9:.1f} GB" if limit else "no limit")
    unset = [name for name in THREAD_SETTINGS if facts.threads.get(name) != "1"]
    if threads > 1 and not offers:
        yield Check(where, "threads", "warn", f"{threads} threads a process, and HDF5 decodes in one of them at a time",
                    f"start {threads} workers with --nthreads 1 instead")
    elif unset and not offers:
        yield Check(where, "threads", "warn", f"{', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not 1: "
                    "processes get in each other's way", "set them in the workers' environment")
    else:
        yield Check(where, "threads", "ok", f"{threads} a process")


def judge_here(facts: Facts, run: RunConfig) -> Iterator[Check]:
    """Judge this machine as one that starts workers of its own."""
    if facts.has_gpu and not facts.gpus:
        yield Check(HERE, "gpu", "warn", "the machine has a GPU, but Keras sees none",
                    "see to the driver (nvidia-smi) and install lookalike[gpu]")
    else:
        yield Check(HERE, "gpu", "ok", f"computes on {', '.join(facts.gpus)}" if facts.gpus else "no GPU")
    workers = run.workers or os.cpu_count() or 1
    need = workers * run.worker_memory_gb * 1e9
    is_enough = facts.memory_bytes >= need
    yield Check(HERE, "memory", "ok" if is_enough else "warn", f"{facts.memory_bytes / 1e9:,.1f} GB; {workers} workers "
                f"here may take {need / 1e9:,.1f} GB", "" if is_enough else "start fewer of them with --workers")


def offers_gpu(worker: Mapping[str, Any]) -> bool:
    """Tell whether a worker, as its scheduler knows it, offers the resource GPU."""
    return bool(worker.get("resources", {}).get("GPU", 0) >= 1)


def _could(where: str, facts: Facts, name: str, done: str, remedy: str) -> Check:
    """Tell whether something was done without an error."""
    if name in facts.errors:
        return Check(where, name, "fail", facts.errors[name], remedy)
    return Check(where, name, "ok", done)


def _versions(where: str, facts: Facts, here: Facts) -> Check:
    differ = [name for name, version in here.versions.items() if facts.versions.get(name, "") != version]
    if not differ:
        shown_here = f"Python {here.versions['python']}, lookalike {here.versions['lookalike']}"
        return Check(where, "versions", "ok", shown_here if where == HERE else "as here")
    told = ", ".join(f"{name} {facts.versions.get(name) or 'missing'} (here {here.versions[name] or 'missing'})"
                     for name in differ)
    return Check(where, "versions", "warn" if ESSENTIAL.isdisjoint(differ) else "fail", told,
                 "install the same package and its dependencies as here")


def _encoder(where: str, facts: Facts, here: Facts) -> Check:
    if "encoder" in facts.errors or facts.spec is None or facts.vectors is None:
        why = facts.errors.get("encoder", "gave no vectors")
        return Check(where, "encoder", "fail", why, "ask for another precision, or leave this machine out"
                     if why.startswith(PrecisionError.__name__) else
                     "see to its weights, and to the libraries it needs")
    if here.spec is None or here.vectors is None:
        return Check(where, "encoder", "ok", facts.spec.key)
    if facts.spec != here.spec:
        return Check(where, "encoder", "fail", f"is {facts.spec.key}, here {here.spec.key}",
                     "give every machine the same package and weights")
    difference = float(np.abs(facts.vectors - here.vectors).max())
    if not difference <= (ALIKE if facts.spec.precision == "float32" else facts.spec.tolerance):
        return Check(where, "encoder", "fail", f"{facts.spec.key}: vectors differ by {difference:.2g} from those here",
                     "its libraries compute otherwise: install the same versions as here")
    return Check(where, "encoder", "ok", facts.spec.key)


def _paths(where: str, facts: Facts, here: Facts) -> Iterator[Check]:
    """Judge whether corpus and data are seen."""
    if facts.corpus_free_bytes >= 0:
        yield _could(where, facts, "corpus", "is seen and can be written",
                     "mount its file system there under the same path, writable")
    for path, count in facts.entries.items():
        expected = here.entries.get(path, count)
        if f"data {path}" in facts.errors:
            yield Check(where, "data", "fail", facts.errors[f"data {path}"],
                        "mount its file system there under the same path, and see to its permissions")
        elif count != expected:
            yield Check(where, "data", "warn", f"{path} has {count:,} entries, here {expected:,}",
                        "if nothing is being written there now, it is another folder: mount the same one")
        else:
            yield Check(where, "data", "ok", f"{path} is seen")
    if facts.opens_sample or "sample" in facts.errors:
        yield _could(where, facts, "sample", "a file of the data opens", "see to the file and its permissions")
    elif facts.entries:
        yield Check(where, "sample", "warn", "not checked: no filterbank file is found in the data",
                    f"name a file, or a folder that holds one ({', '.join(SUFFIXES)})")


def _limits(where: str, facts: Facts) -> Iterator[Check]:
    """Judge disks, files, caches and libraries."""
    for name, folder, free, least in (("disk", "the corpus", facts.corpus_free_bytes, LEAST_FREE_BYTES),
                                      ("scratch", facts.scratch, facts.scratch_free_bytes, LEAST_SCRATCH_BYTES)):
        if free >= 0:
            yield Check(where, name, "ok" if free >= least else "warn", f"{free / 1e9:,.1f} GB free for {folder}",
                        "" if free >= least else "make room")
    few = facts.open_files < LEAST_OPEN_FILES
    yield Check(where, "open files", "warn" if few else "ok", f"up to {facts.open_files:,}",
                f"raise it to {LEAST_OPEN_FILES:,} (ulimit -n)" if few else "")
    yield _numba_cache(where, facts)
    yield Check(where, "libgomp", "ok" if facts.has_libgomp else "warn", "there" if facts.has_libgomp else "is missing",
                "" if facts.has_libgomp else "install the system's package libgomp1")


def _numba_cache(where: str, facts: Facts) -> Check:
    """Judge where compiled code is kept: it runs as it is read, so never where others can write."""
    if facts.numba_refused:
        folder, (fault, remedy) = next(iter(facts.numba_refused.items()))
        more = f" and {len(facts.numba_refused) - 1} more folders" if len(facts.numba_refused) > 1 else ""
        kept = f"compiled code is kept in {facts.numba_cache}" if facts.numba_cache else "every process compiles anew"
        return Check(where, "numba cache", "warn", f"{folder}{more} not used, for others can write what is run from "
                     f"there: {fault}; {kept}", f"delete the compiled code in it (*.nbi, *.nbc), then: {remedy}")
    if not facts.numba_cache:
        return Check(where, "numba cache", "warn", "none can be written: every process compiles anew",
                     "make a folder that only you can write (mkdir -m 700), and set NUMBA_CACHE_DIR to it")
    return Check(where, "numba cache", "ok", facts.numba_cache)
