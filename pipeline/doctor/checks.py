"""Judge the facts about a process (:mod:`pipeline.doctor.facts`): each check is ok, or has a remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from pipeline.config import RunConfig
from pipeline.doctor.facts import THREAD_SETTINGS, Facts
from pipeline.errors import PrecisionError
from pipeline.filterbank import SUFFIXES
from pipeline.support.text import counted

Status = Literal["ok", "warn", "fail"]

MIN_FREE_BYTES = 10 * 2**30
"""Free disk space for the corpus. Less is a warning."""
MIN_SCRATCH_BYTES = 2**30
"""Free disk space for temporary files. Less is a warning."""
MIN_OPEN_FILES = 1024
"""Limit of open files of a process. Less is a warning."""
MAX_VECTOR_DIFFERENCE = 1e-3
"""Largest difference between the float32 vectors of two machines. The encoder states its own tolerance for other
number formats."""
ESSENTIAL_PACKAGES = frozenset({"python", "lookalike", "code", "dask", "distributed", "cloudpickle", "msgpack"})
"""If versions of these differ, the cluster fails, or its machines compute different results."""
HERE = "here"
"""Place of the checks of this process."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check on one machine."""

    where: str
    """``here`` for this process, or the address of a worker."""
    name: str
    status: Status
    message: str
    remedy: str = ""
    """What to do about it. Empty if the check is ok."""

    def to_json(self) -> dict[str, str]:
        """Record for ``doctor --json``."""
        return asdict(self)


def judge(where: str, facts: Facts, here: Facts) -> Iterator[Check]:
    """Yield the checks of one process.

    Parameters
    ----------
    where : str
        Name of the process in the checks.
    facts : Facts
        The facts about it.
    here : Facts
        The facts about this process, to compare with.
    """
    yield _versions(where, facts, here)
    if facts.is_outdated and where != HERE:
        yield Check(where, "restart", "warn", "started before the package was last changed", "restart the worker")
    yield _attempted(where, facts, "plugins", "bitshuffle-LZ4 files can be decoded",
                     "reinstall hdf5plugin, and unset HDF5_PLUGIN_PATH")
    yield _encoder(where, facts, here)
    yield _attempted(where, facts, "precisions", f"{facts.processor}; vectors can be computed in "
                     f"{' and '.join(facts.precisions)}", "reinstall openvino")
    yield from _paths(where, facts, here)
    yield from _limits(where, facts)


def judge_worker(where: str, facts: Facts, worker: Mapping[str, Any], run: RunConfig) -> Iterator[Check]:
    """Yield the checks of a worker that need the scheduler's record ``worker`` of it."""
    offers = offers_gpu(worker)
    if offers and not facts.gpus:
        why = facts.errors.get("gpu", "none was found")
        yield Check(where, "gpu", "fail", f"offers the resource GPU, but Keras sees no GPU ({why})",
                    "check the driver (nvidia-smi) and install lookalike[gpu]; or start the worker without "
                    "--resources GPU=1")
    elif facts.has_gpu and not offers:
        yield Check(where, "gpu", "warn", "has a GPU, but does not offer it", "start the worker with --resources GPU=1")
    else:
        yield Check(where, "gpu", "ok", f"computes on {', '.join(facts.gpus)}" if offers else "no GPU")
    threads, limit = worker["nthreads"], worker["memory_limit"] or 0
    least = run.worker_memory_gb * 1e9
    if 0 < limit / threads < 0.99 * least:
        yield Check(where, "memory", "warn", f"{limit / threads / 1e9:.2f} GB per thread, less than worker_memory_gb = "
                    f"{run.worker_memory_gb:g}", "start fewer workers with a higher --memory-limit")
    else:
        yield Check(where, "memory", "ok", f"{limit / 1e9:.1f} GB" if limit else "no limit")
    unset = [name for name in THREAD_SETTINGS if facts.threads.get(name) != "1"]
    if threads > 1 and not offers:
        yield Check(where, "threads", "warn", f"{threads} threads per process, but HDF5 decodes in one at a time",
                    f"start {threads} workers with --nthreads 1 instead")
    elif unset and not offers:
        yield Check(where, "threads", "warn", f"{', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not 1, so "
                    "worker processes compete for the cores", "set each to 1 in the environment of the workers")
    else:
        yield Check(where, "threads", "ok", f"{counted(threads, 'thread')} per process")


def judge_here(facts: Facts, run: RunConfig) -> Iterator[Check]:
    """Yield the checks that this machine needs if a run starts its workers here."""
    if facts.has_gpu and not facts.gpus:
        yield Check(HERE, "gpu", "warn", "the machine has a GPU, but Keras sees none",
                    "check the driver (nvidia-smi) and install lookalike[gpu]")
    else:
        yield Check(HERE, "gpu", "ok", f"computes on {', '.join(facts.gpus)}" if facts.gpus else "no GPU")
    workers = run.workers or os.cpu_count() or 1
    need = workers * run.worker_memory_gb * 1e9
    is_enough = facts.memory_bytes >= need
    yield Check(HERE, "memory", "ok" if is_enough else "warn", f"{facts.memory_bytes / 1e9:,.1f} GB; {workers} workers "
                f"may use {need / 1e9:,.1f} GB", "" if is_enough else "start fewer workers with --workers")


def offers_gpu(worker: Mapping[str, Any]) -> bool:
    """Return True if the scheduler's record of a worker offers the resource GPU."""
    return bool(worker.get("resources", {}).get("GPU", 0) >= 1)


def _attempted(where: str, facts: Facts, name: str, done: str, remedy: str) -> Check:
    """Return a failed check with the error of an attempt, or an ok check with the message ``done``."""
    if name in facts.errors:
        return Check(where, name, "fail", facts.errors[name], remedy)
    return Check(where, name, "ok", done)


def _versions(where: str, facts: Facts, here: Facts) -> Check:
    differ = [name for name, version in here.versions.items() if facts.versions.get(name, "") != version]
    if not differ:
        shown_here = f"Python {here.versions['python']}, lookalike {here.versions['lookalike']}"
        return Check(where, "versions", "ok", shown_here if where == HERE else "the same as here")
    pairs = ", ".join(f"{name} {facts.versions.get(name) or 'missing'} (here {here.versions[name] or 'missing'})"
                      for name in differ)
    return Check(where, "versions", "warn" if ESSENTIAL_PACKAGES.isdisjoint(differ) else "fail", pairs,
                 "install the same versions of all packages as here")


def _encoder(where: str, facts: Facts, here: Facts) -> Check:
    if "encoder" in facts.errors or facts.spec is None or facts.vectors is None:
        why = facts.errors.get("encoder", "it computed no vectors")
        return Check(where, "encoder", "fail", why, "choose another precision, or do not use this machine"
                     if why.startswith(PrecisionError.__name__) else
                     "check its weights, and the libraries that it needs")
    if here.spec is None or here.vectors is None:
        return Check(where, "encoder", "ok", facts.spec.key)
    if facts.spec != here.spec:
        return Check(where, "encoder", "fail", f"is {facts.spec.key}, but {here.spec.key} here",
                     "install the same package and weights on every machine")
    difference = float(np.abs(facts.vectors - here.vectors).max())
    if not difference <= (MAX_VECTOR_DIFFERENCE if facts.spec.precision == "float32" else facts.spec.tolerance):
        return Check(where, "encoder", "fail", f"{facts.spec.key}: vectors differ by {difference:.2g} from those here",
                     "install the same versions of all libraries as here")
    return Check(where, "encoder", "ok", facts.spec.key)


def _paths(where: str, facts: Facts, here: Facts) -> Iterator[Check]:
    """Yield the checks of the corpus and the data."""
    if facts.corpus_free_bytes >= 0:
        yield _attempted(where, facts, "corpus", "can be read and written",
                         "mount its file system under the same path, with write access")
    for path, count in facts.entries.items():
        expected = here.entries.get(path, count)
        if f"data {path}" in facts.errors:
            yield Check(where, "data", "fail", facts.errors[f"data {path}"],
                        "mount its file system under the same path, and check its permissions")
        elif count != expected:
            yield Check(where, "data", "warn", f"{path} has {count:,} entries, but {expected:,} here",
                        "mount the same folder as here, unless files are just being written to it")
        else:
            yield Check(where, "data", "ok", f"{path} can be read")
    if facts.opens_sample or "sample" in facts.errors:
        yield _attempted(where, facts, "sample", "a file of the data can be opened",
                         "check the file and its permissions")
    elif facts.entries:
        yield Check(where, "sample", "warn", "not checked: the data contains no filterbank file",
                    f"name a filterbank file, or a folder that contains one ({', '.join(SUFFIXES)})")


def _limits(where: str, facts: Facts) -> Iterator[Check]:
    """Yield the checks of disk space, open files, the cache of numba and libgomp."""
    for name, folder, free, least in (("disk", "the corpus", facts.corpus_free_bytes, MIN_FREE_BYTES),
                                      ("scratch", facts.scratch, facts.scratch_free_bytes, MIN_SCRATCH_BYTES)):
        if free >= 0:
            yield Check(where, name, "ok" if free >= least else "warn", f"{free / 1e9:,.1f} GB free for {folder}",
                        "" if free >= least else "free disk space")
    too_few = facts.open_files < MIN_OPEN_FILES
    yield Check(where, "open files", "warn" if too_few else "ok", f"at most {facts.open_files:,} at a time",
                f"raise the limit to {MIN_OPEN_FILES:,} (ulimit -n)" if too_few else "")
    yield _numba_cache(where, facts)
    if facts.has_libgomp:
        yield Check(where, "libgomp", "ok", "installed")
    else:
        yield Check(where, "libgomp", "warn", "missing", "install the system package libgomp1")


def _numba_cache(where: str, facts: Facts) -> Check:
    """Check that compiled code has a folder that only this user can write to.

    Reading compiled code runs it. So a folder that other users can write to is not used.
    """
    if facts.numba_refused:
        folder, (fault, remedy) = next(iter(facts.numba_refused.items()))
        more = f" and {len(facts.numba_refused) - 1} more folders" if len(facts.numba_refused) > 1 else ""
        kept = f"{facts.numba_cache} is used instead" if facts.numba_cache else "every process compiles for itself"
        return Check(where, "numba cache", "warn", f"not used, because other users could write code there: {folder}"
                     f"{more} ({fault}); {kept}",
                     f"delete the compiled code in {folder} (*.nbi, *.nbc), then: {remedy}")
    if not facts.numba_cache:
        return Check(where, "numba cache", "warn", "no folder can be written to, so every process compiles for itself",
                     "make a folder that only you can write to (mkdir -m 700), and set NUMBA_CACHE_DIR to it")
    return Check(where, "numba cache", "ok", facts.numba_cache)
