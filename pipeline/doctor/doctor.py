"""Ask this machine and every worker for facts, and check them. Nothing is changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.config import Config, RunConfig
from pipeline.doctor.checks import HERE, Check, judge, judge_here, judge_worker, offers_gpu
from pipeline.doctor.facts import Facts, Questions, examine, fixture_files, now
from pipeline.errors import CorpusDamaged
from pipeline.execute.cluster import connected
from pipeline.execute.workers import workers_of
from pipeline.filterbank import SUFFIXES
from pipeline.run import settled
from pipeline.store import STAGING
from pipeline.support.safe_files import refuse_link, remove_tree

MAX_ANSWER_S = 180.0
"""Time for a worker to answer. It may have to load TensorFlow from a slow disk."""
_FIND_EXAMINE = "__import__('pipeline.doctor.facts', fromlist=['examine']).examine.__name__"
MAX_CLOCK_OFFSET_S = 2.0
"""Largest difference between two clocks. The age of files and of locks depends on the clocks."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The results of all checks."""

    checks: tuple[Check, ...]
    """Checks of this machine first, then those of each worker."""
    workers: int
    """Number of workers of the cluster."""

    @property
    def exit_code(self) -> int:
        """1 if a check failed, otherwise 0."""
        return int(any(check.status == "fail" for check in self.checks))

    def to_json(self) -> dict[str, Any]:
        """Record for ``doctor --json``."""
        return {"workers": self.workers, "checks": [check.to_json() for check in self.checks]}


def doctor(
    corpus: str | Path | None = None,
    data: Sequence[str | Path] = (),
    client: Any = None,
    *,
    run: RunConfig | None = None,
    answer_s: float = MAX_ANSWER_S,
) -> Diagnosis:
    """Check this machine, and every worker of a cluster if one is named.

    Parameters
    ----------
    corpus : path, optional
        Folder of the corpus. Every machine must be able to read and write it under this path. It may not exist yet.
    data : sequence of path
        Folders and files that every machine must be able to read under these paths.
    client : distributed.Client, optional
        Client of the cluster to check. None: the cluster that ``run`` names.
    run : RunConfig, optional
        Names the cluster to check, by default that of the user's settings (:mod:`pipeline.user_settings`). If it names
        none, or is serial, only this machine is checked.
    answer_s : float
        Seconds for a worker to answer.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ConfigError
        A configuration file cannot be read, or the scheduler does not answer.
    """
    root = None if corpus is None else Path(corpus).absolute()
    config = Config.of_user() if root is None else Config.load(root)
    run = config.run if run is None else run
    paths = tuple(Path(path).absolute() for path in data)
    checks: list[Check] = []
    with _connection(client, run) as found, _token(root, checks) as token:
        workers = {} if found is None else workers_of(found)
        if found is not None and not workers:
            checks.append(Check(HERE, "workers", "fail", "the scheduler has no workers", "start workers"))
        questions = Questions(fixture_files(), settled(config.encoder), config.scan, root, token, paths, _sample(paths))
        here = examine(questions)
        checks += [*judge(HERE, here, here), *judge_here(here, run)]
        for address, facts in _answers(found, workers, questions, answer_s):
            if isinstance(facts, Facts):
                checks += judge(address, facts, here)
                checks += judge_worker(address, facts, workers[address], run)
                checks.append(_clock(address, found))
                if token is not None and "corpus" not in facts.errors:
                    checks.append(_check_shared_corpus(address, facts, token))
            else:
                checks.append(Check(address, "answer", "fail", facts,
                                    "read the worker's log, and restart it with the same package as here"))
    return Diagnosis(tuple(checks), len(workers))


@contextmanager
def _connection(client: Any, run: RunConfig) -> Iterator[Any]:
    """Yield a client of the cluster to check; None if no cluster is named."""
    if client is not None or run.serial or not (run.scheduler or run.cluster != "local"):
        yield client
        return
    with connected(run) as found:
        yield found


@contextmanager
def _token(root: Path | None, checks: list[Check]) -> Iterator[Path | None]:
    """Make a temporary folder in the corpus, for workers to read from and write to; None if that is impossible.

    Adds a check to ``checks`` if the corpus does not exist, or if the folder cannot be made.
    """
    if root is None or not root.exists():
        if root is not None:
            parent = next(folder for folder in root.parents if folder.exists())
            is_writable = os.access(parent, os.W_OK)
            checks.append(Check(HERE, "corpus place", "ok" if is_writable else "fail", f"{root} does not exist yet",
                                "" if is_writable else f"{parent} cannot be written to: check its permissions"))
        yield None
        return
    token = (root / STAGING if (root / STAGING).is_dir() else root) / f"doctor-{uuid4().hex}"
    try:
        if token.parent != root:  # the root itself may be a link, because the user has named it
            refuse_link(token.parent)
        token.mkdir()
        (token / "client").write_bytes(b"here")
    except OSError as error:
        checks.append(Check(HERE, "corpus place", "fail", f"{root} cannot be written to ({error.strerror})",
                            "check its permissions, or choose another folder"))
        yield None
        return
    except CorpusDamaged as error:
        checks.append(Check(HERE, "corpus place", "fail", str(error), "replace the link by a folder"))
        yield None
        return
    try:
        yield token
    finally:
        remove_tree(root, token)


def _sample(paths: Sequence[Path]) -> Path | None:
    """Return the first filterbank file of the data; the search stops there and does not walk a whole archive."""
    for path in paths:
        for place, folders, names in os.walk(path) if path.is_dir() else [(str(path.parent), [], [path.name])]:
            folders.sort()
            for name in sorted(names):
                if Path(name).suffix.lower() in SUFFIXES:
                    return Path(place, name)
    return None


def _answers(
    client: Any, workers: Mapping[str, Any], questions: Questions, answer_s: float
) -> Iterator[tuple[str, Facts | str]]:
    """Ask all workers at the same time; yield the address and the facts of each, or the reason why there are none."""
    unable = _unable(client, answer_s) if workers else {}
    yield from ((address, unable[address]) for address in workers if address in unable)
    asked = {address: client.submit(examine, replace(questions, asks_gpu=offers_gpu(worker)), workers=[address],
                                    allow_other_workers=False, pure=False, retries=0)
             for address, worker in workers.items() if address not in unable}
    deadline = time.monotonic() + answer_s
    for address, future in asked.items():
        try:
            yield address, future.result(timeout=max(0.1, deadline - time.monotonic()))
        except TimeoutError:
            future.cancel(force=True)
            yield address, (f"no answer within {answer_s:g} s: the worker is busy, hangs, or has gone")
        except Exception as error:  # the worker died, or the task raised a BaseException
            yield address, f"failed to answer ({type(error).__name__}: {error})"


def _unable(client: Any, answer_s: float) -> dict[str, str]:
    """Return the workers that lack this package, or have a version without the task: address → the error.

    Dask would return no result, and no error, for a task that a worker cannot import.
    """
    with suppress(TimeoutError):  # a worker that does not answer is reported by the next question
        found = client.sync(client._run, eval, _FIND_EXAMINE, on_error="return", callback_timeout=answer_s)
        return {address: f"cannot run a task of this package ({type(error).__name__}: {error})"
                for address, error in found.items() if isinstance(error, BaseException)}
    return {}


def _clock(where: str, client: Any) -> Check:
    """Compare the clock of a worker with the clock here.

    The answer arrives after an unknown delay, so half of the round trip counts as uncertainty.
    """
    before = time.time()
    try:
        theirs = client.submit(now, workers=[where], allow_other_workers=False, pure=False).result(timeout=30)
    except Exception as error:  # the worker has gone in the meantime
        return Check(where, "clock", "fail", f"no answer ({type(error).__name__})", "read the worker's log")
    after = time.time()
    offset, uncertainty = theirs - (before + after) / 2, (after - before) / 2
    if abs(offset) - uncertainty <= MAX_CLOCK_OFFSET_S:
        return Check(where, "clock", "ok", "the same as here" if abs(offset) < 1 else f"{offset:+.1f} s")
    return Check(where, "clock", "warn", f"{offset:+.1f} s off", "synchronise it by NTP (timedatectl)")


def _check_shared_corpus(where: str, facts: Facts, token: Path) -> Check:
    """Check that the file which a worker has written into the corpus appears here."""
    written = {path.read_text() for path in token.iterdir() if path.name != "client"}
    if f"{facts.host} {facts.pid}" in written:
        return Check(where, "corpus write", "ok", "a file that it writes appears here")
    return Check(where, "corpus write", "fail", "a file that it writes into the corpus does not appear here",
                 "mount the same file system on all machines")
