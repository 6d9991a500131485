"""Runs that die at a chosen call. A server that has imported everything forks a process for each run.

``python -m tests.cluster.deaths`` reads one order per line and writes how the run ended. An order names the ``work``
(``ingest`` or ``index``), its folders, a ``call`` (``fsync`` or ``rename``), a number ``when`` and an ``effect``: KILL,
the name of an error, or nothing. With ``by = "strace"`` the kernel causes the effect, else the patched call does. Only
the patched call counts the calls of all threads together, so that none is left out.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.run.workers import environment

CALLS = {"fsync": ("fsync",), "rename": ("rename", "replace", "link")}
"""Name in an order → functions of ``os``. ``fsync`` moves data to disk; ``rename`` makes a path visible."""
SYSTEM_CALLS = {"fsync": "fsync,fdatasync", "rename": "rename,renameat,renameat2,link,linkat"}
LONGEST_S = 100


class Server:
    """The server process, with methods that give it orders. ``module`` is the one to run: it calls :func:`serve`."""

    def __init__(self, module: str = __name__) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", module], env=environment(), text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, work: str, root: Path, data: Path | None = None, **how: Any) -> dict[str, Any]:
        """Order a run; return how it ended: exit status (negative: a signal), numbers of calls, and error."""
        return self.order(work=work, root=str(root), data=str(data), **how)

    def order(self, **order: Any) -> dict[str, Any]:
        """Give an order; return how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


Child = Callable[[dict[str, Any], int], None]
"""Carries out an order in a forked process, and ends that. What it writes to the descriptor is the answer, as JSON."""


def serve(child: Child) -> None:
    """Fork a process for each order that is read from standard input, and write what became of it."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_forked(json.loads(line), child)) + "\n")
        sys.stdout.flush()


def _forked(order: dict[str, Any], carry_out: Child) -> dict[str, Any]:
    go_read, go_write = os.pipe()
    told_read, told_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_write)
        os.read(go_read, 1)
        carry_out(order, told_write)
    os.close(go_read)
    os.close(told_write)
    strace = _attached(child, order) if order.get("by") == "strace" else None
    os.write(go_write, b"x")
    os.close(go_write)
    told = b""
    if select.select([told_read], [], [], LONGEST_S)[0]:
        with os.fdopen(told_read, "rb") as pipe:
            told = pipe.read()
    else:
        os.kill(child, signal.SIGKILL)
        told = b'{"error": "hangs"}'
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if strace is not None:
        strace.communicate()
    return {"status": status, "calls": {}, "error": "", **json.loads(told or b"{}")}


def _attached(child: int, order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Attach strace to the waiting child; return when it is attached."""
    effect = "signal=SIGKILL" if order["effect"] == "KILL" else f"error={order['effect']}"
    calls = SYSTEM_CALLS[order["call"]]
    strace = subprocess.Popen(["strace", "-f", "-p", str(child), "-e", f"trace={calls}", "-e",
                               f"inject={calls}:{effect}:when={order['when']}"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert strace.stderr is not None
    line = strace.stderr.readline()
    if b"attached" not in line:
        raise RuntimeError(line.decode())
    return strace


def _child(order: dict[str, Any], told: int) -> None:
    told_error = ""
    calls: dict[str, Any] = {name: itertools.count(1) for name in CALLS}
    try:
        if order.get("by") != "strace":
            _intercept(calls, order.get("call", ""), order.get("when", 0), order.get("effect", ""))
        _work(order)
        status = 0
    except Exception as error:
        told_error, status = f"{type(error).__name__}: {error}", 1
    counts = {name: next(count) - 1 for name, count in calls.items()}
    os.write(told, json.dumps({"calls": counts, "error": told_error}).encode())
    os._exit(status)


def _intercept(calls: dict[str, Any], call: str, when: int, effect: str) -> None:
    for kind, names in CALLS.items():
        for name in names:
            setattr(os, name, _counted(getattr(os, name), calls[kind], when if kind == call else 0, effect))


def _counted(really: Callable[..., Any], count: Any, when: int, effect: str) -> Callable[..., Any]:
    def called(*arguments: Any, **keywords: Any) -> Any:
        if next(count) == when:
            if effect == "KILL":
                os.kill(os.getpid(), signal.SIGKILL)
            number = getattr(errno, effect)
            raise OSError(number, os.strerror(number), str(arguments[0]))
        return really(*arguments, **keywords)

    return called


def _work(order: dict[str, Any]) -> None:
    from pipeline.config import IndexConfig
    from pipeline.run import index, ingest
    from pipeline.store import CorpusStore
    from tests.run.small import config

    root = Path(order["root"])
    if order["work"] == "ingest":
        report = ingest([order["data"]], root, config=config(), serial=True)
        if report.exit_code != 0:
            raise RuntimeError("; ".join(one.message for one in report.reports))
    else:
        # every source becomes a segment; segments are joined, because the limit is the number of all vectors
        total = sum(sum(entry.vectors.values()) for entry in CorpusStore.open(root).manifest().sources.values())
        index(root, config=replace(config(), index=IndexConfig(1, total, compact=order["work"] == "compact")))


if __name__ == "__main__":
    import zarr  # noqa: F401 - and what the runs need; imported once, used only by the forked

    import pipeline.search.snapshot
    import pipeline.tasks  # noqa: F401

    serve(_child)
