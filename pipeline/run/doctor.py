"""Doctor: is this installation, and every worker of a cluster, fit for work? Nothing is changed."""

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
from pipeline.errors import CorpusDamaged
from pipeline.filterbank.find import SUFFIXES
from pipeline.run.cluster import connected
from pipeline.run.corpus import settled
from pipeline.run.examine import Facts, Questions, examine, fixture_files, now
from pipeline.run.judge import HERE, Check, judge, judge_here, judge_worker, offers_gpu
from pipeline.safe import refuse_link, remove_tree
from pipeline.store.layout import STAGING

ANSWER_S = 180.0
"""How long a worker may take to answer: it may have to load TensorFlow from a slow disk."""
_ASKABLE = "__import__('pipeline.run.examine', fromlist=['examine']).examine.__name__"
MOST_CLOCK_S = 2.0
"""Clocks may differ so much: files are told to be old, and leases to be stale, by them."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, those of this machine first."""

    checks: tuple[Check, ...]
    workers: int

    @property
    def exit_code(self) -> int:
        """1 where a check has failed, else 0."""
        return int(any(check.status == "fail" for check in self.checks))

    def to_json(self) -> dict[str, Any]:
        """Record for ``doctor --json``."""
        return {"workers": self.workers, "checks": [check.to_json() for check in self.checks]}


def doctor(
    corpus: str | Path | None = None,
    data: Sequence[str | Path] = (),
    client: Any = None,
    *,
    place: Mapping[str, Any] | None = None,
    answer_s: float = ANSWER_S,
) -> Diagnosis:
    """Examine this machine, and every worker of a cluster where one is named.

    Parameters
    ----------
    corpus : path, optional
        Must be seen by all under this path, and writable. Need not be a corpus yet.
    data : sequence of path
        Folders and files that all must see.
    client : distributed.Client, optional
        Whose workers to examine; None for those of ``place``.
    place : mapping, optional
        What to override the user's ``[run]`` with (:mod:`pipeline.user_settings`); without a scheduler or cluster in
        either, only this machine.
    answer_s : float
        How long each worker may take.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ConfigError
        A configuration file cannot be read, or no scheduler answers.
    """
    root = None if corpus is None else Path(corpus).absolute()
    config = (Config.of_user() if root is None else Config.load(root)).override({"run": place or {}})
    paths = tuple(Path(path).absolute() for path in data)
    checks: list[Check] = []
    with _connection(client, config.run, place or {}) as found, _token(root, checks) as token:
        workers = {} if found is None else found.scheduler_info(n_workers=-1)["workers"]
        if found is not None and not workers:
            checks.append(Check(HERE, "workers", "fail", "the scheduler has no workers", "start workers"))
        questions = Questions(fixture_files(), settled(config.encoder), config.scan, root, token, paths, _sample(paths))
        here = examine(questions)
        checks += [*judge(HERE, here, here), *judge_here(here, config.run)]
        for address, facts in _answers(found, workers, questions, answer_s):
            if isinstance(facts, Facts):
                checks += judge(address, facts, here)
                checks += judge_worker(address, facts, workers[address], config.run)
                checks.append(_clock(address, found))
                if token is not None and "corpus" not in facts.errors:
                    checks.append(_seen_back(address, facts, token))
            else:
                checks.append(Check(address, "answer", "fail", facts,
                                    "look at the worker's log; start it anew, with the same package as here"))
    return Diagnosis(tuple(checks), len(workers))


@contextmanager
def _connection(client: Any, run: RunConfig, place: Mapping[str, Any]) -> Iterator[Any]:
    """Give a client of the cluster that is to be examined; None where none is named."""
    if client is not None or not (run.scheduler or run.cluster != "local" or place.get("workers")):
        yield client
        return
    with connected(run) as found:
        yield found


@contextmanager
def _token(root: Path | None, checks: list[Check]) -> Iterator[Path | None]:
    """Make a folder in the corpus for others to find; note whether that can be done."""
    if root is None or not root.exists():
        if root is not None:
            there = next(folder for folder in root.parents if folder.exists())
            can = os.access(there, os.W_OK)
            checks.append(Check(HERE, "corpus place", "ok" if can else "fail", f"{root} is not there yet",
                                "" if can else f"{there} cannot be written to: see to its permissions"))
        yield None
        return
    token = (root / STAGING if (root / STAGING).is_dir() else root) / f"doctor-{uuid4().hex}"
    try:
        if token.parent != root:  # the root may be a link: the user has named it
            refuse_link(token.parent)
        token.mkdir()
        (token / "client").write_bytes(b"here")
    except OSError as error:
        checks.append(Check(HERE, "corpus place", "fail", f"{root} cannot be written to ({error.strerror})",
                            "see to its permissions, or name another corpus"))
        yield None
        return
    except CorpusDamaged as error:
        checks.append(Check(HERE, "corpus place", "fail", str(error), "put a folder in the place of the link"))
        yield None
        return
    try:
        yield token
    finally:
        remove_tree(root, token)


def _sample(paths: Sequence[Path]) -> Path | None:
    """Find one filterbank file, soon: an archive is not walked to its end for it."""
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
    """Ask every worker at once; yield its facts, or why there are none."""
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
            yield address, (f"no answer within {answer_s:g} s: it is busy with other work, stuck, or has gone")
        except Exception as error:  # the process died of it, or raised what is no Exception there
            yield address, f"failed to answer ({type(error).__name__}: {error})"


def _unable(client: Any, answer_s: float) -> dict[str, str]:
    """Find the workers without this package, or with one that cannot be asked: address → what they raised.

    A task that a worker cannot load would come back as nothing at all.
    """
    with suppress(TimeoutError):  # one does not answer: it is found by what it is asked next
        found = client.sync(client._run, eval, _ASKABLE, on_error="return", callback_timeout=answer_s)
        return {address: f"cannot do a task of this package ({type(error).__name__}: {error})"
                for address, error in found.items() if isinstance(error, BaseException)}
    return {}


def _clock(where: str, client: Any) -> Check:
    """Ask a worker for the time, and compare it with the time here: half of the way there and back is not known."""
    before = time.time()
    try:
        theirs = client.submit(now, workers=[where], allow_other_workers=False, pure=False).result(timeout=30)
    except Exception as error:  # it has gone meanwhile
        return Check(where, "clock", "fail", f"no answer ({type(error).__name__})", "look at the worker's log")
    after = time.time()
    offset, unsure = theirs - (before + after) / 2, (after - before) / 2
    if abs(offset) - unsure <= MOST_CLOCK_S:
        return Check(where, "clock", "ok", "as here" if abs(offset) < 1 else f"{offset:+.1f} s")
    return Check(where, "clock", "warn", f"{offset:+.1f} s off", "set it by NTP (timedatectl)")


def _seen_back(where: str, facts: Facts, token: Path) -> Check:
    """Look for what a worker has written into the corpus."""
    written = {path.read_text() for path in token.iterdir() if path.name != "client"}
    if f"{facts.host} {facts.pid}" in written:
        return Check(where, "corpus write", "ok", "what it writes is seen here")
    return Check(where, "corpus write", "fail", "what it writes into the corpus is not seen here",
                 "mount the same file system on all machines")
