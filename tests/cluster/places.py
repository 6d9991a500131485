"""Helpers that the tests of this folder share: certificates, sockets, and the command line on a small archive."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pipeline.store import CorpusStore
from tests.run.small import COARSE, ENCODER
from tests.run.workers import environment

REPOSITORY = Path(__file__).parents[2]
DEPLOYMENT = REPOSITORY / "cluster"


def lookalike(python: str, *arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command and wait for it."""
    return subprocess.run([python, "-m", "pipeline", *map(str, arguments)], env=environment(**changes),
                          capture_output=True, text=True, timeout=300, check=False)


def ingest_arguments(data: Path, root: Path, *where: str) -> list[str]:
    """Return the arguments of an ingest of a small archive."""
    return ["ingest", str(data), "--corpus", str(root), "--coarse-width", str(COARSE), "--views", "none",
            "--encoder", ENCODER.name, "--json", *where]


def first_window(root: Path) -> str:
    """Return a window of a corpus as ``SOURCE/NUMBER``."""
    from pipeline.store import SourceGroup

    source_id = next(iter(CorpusStore.open(root).manifest().sources))
    return f"{source_id}/{int(SourceGroup.open(root, source_id).column('number')[0])}"


def listening(processes: Iterable[psutil.Process]) -> set[str]:
    """Return the addresses at which these processes and their children listen."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for one in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    found |= {c.laddr.ip for c in one.net_connections() if c.status == psutil.CONN_LISTEN}
    return found


@contextmanager
def running(commands: Sequence[Sequence[str | Path]], folder: Path, **changes: str) -> Iterator[list[psutil.Process]]:
    """Start commands, with output in ``folder/N.log``. All their processes are ended after the block."""
    processes, family = [], []
    try:
        for number, words in enumerate(commands):
            with open(folder / f"{number}.log", "wb") as log:
                processes.append(subprocess.Popen(list(map(str, words)), cwd=folder, env=environment(**changes),
                                                  stdout=log, stderr=subprocess.STDOUT, start_new_session=True))
            family.append(psutil.Process(processes[-1].pid))
        yield family
    finally:
        family += [child for one in family if one.is_running() for child in one.children(recursive=True)]
        for one in family:
            if one.is_running():
                one.kill()
        for process in processes:
            process.wait()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
