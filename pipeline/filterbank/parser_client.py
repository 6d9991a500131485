"""Asks the process that parses files (:mod:`pipeline.filterbank.parser_process`), and starts it.

Each process that reads HDF5 has one of its own, from the first question on until it ends, however it ends: the other
sees its socket close. What was told of the last files is kept as long as these are unchanged.
"""

from __future__ import annotations

import atexit
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import Reason, SourceError
from pipeline.filterbank.access import refusal
from pipeline.filterbank.facts import Facts, identity_of, unpacked

MOST_BYTES = 1 << 16
"""Of a message."""
START = "import sys; sys.path[:] = {path!r}; from pipeline.filterbank.parser_process import main; main()"
PACKAGES = str(Path(__file__).resolve().parents[2])
"""Where this package lies: an installation for developers has it in no folder that Python searches."""
MOST_KEPT = 8
"""Files whose facts are kept ..."""
MOST_ROWS = 1 << 21
"""... unless they have more chunks than these: 64 MB."""
SETTLED_NS = 2 * 10**9
"""A file that was changed less long ago may be changed once more without a sign."""


ENDING_S = 5.0


class ParserLost(RuntimeError):
    """The process ended before it answered."""


class _Parser:
    """One such process."""

    def __init__(self) -> None:
        self._asks, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # without site: its folders are among these already
        words = [sys.executable, "-I", "-S", "-c", START.format(path=[PACKAGES, *sys.path]), str(answers.fileno())]
        with answers:
            self.process = subprocess.Popen(
                words, pass_fds=[answers.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # forks have one thread
            )

    def ask(self, question: bytes) -> tuple[dict[str, Any], int]:
        """Return the outcome and the descriptor of the memory that holds the answer."""
        try:
            self._asks.sendall(question)
            said, descriptors, _, _ = socket.recv_fds(self._asks, MOST_BYTES, 1)
        except OSError as error:
            raise ParserLost(str(error)) from error
        if not said or not descriptors:
            raise ParserLost("it ended")
        return json.loads(said), descriptors[0]

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self._asks.close()
        try:
            self.process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def forget(self) -> None:
        """Leave the process to the one that this process was forked from."""
        self._asks.close()
        self.process.returncode = 0  # nothing to wait for


class _Client:
    """The parser of this process, and what it has told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parser: _Parser | None = None
        self._kept: OrderedDict[tuple[str, ...], Facts] = OrderedDict()

    def start(self) -> None:
        """Start the parser unless it runs: it is ready some tenths of a second later."""
        with self._lock:
            self._parser = self._parser or _Parser()

    def stop(self) -> None:
        """End the parser."""
        with self._lock:
            if self._parser is not None:
                self._parser.close()
            self._parser = None

    def renew(self) -> None:
        """Begin anew in a process that was forked."""
        if self._parser is not None:
            self._parser.forget()
        self.__init__()  # type: ignore[misc]

    def ask(self, path: Path, what: str, more_bytes: int = 0, **details: Any) -> int:
        """Return the descriptor of the memory that holds the answer to a question about a file.

        Raises
        ------
        SourceError
            As the parser says; BAD_HEADER where it crashes; CRASHED where it cannot be asked.
        """
        asked = {"path": str(path), "folder": _folder(), "what": what, "more_bytes": more_bytes, **details}
        question = json.dumps(asked).encode()
        said, memory = self._asked(path, question)
        if not said:
            return memory
        os.close(memory)
        if "signal" in said:
            raise _crash(int(said["signal"]), path, what)
        raise SourceError(Reason(said["reason"]), str(said["message"]))

    def _asked(self, path: Path, question: bytes) -> tuple[dict[str, Any], int]:
        with self._lock:
            for is_last in (False, True):  # one that has idled ends, so the first may just be ending
                self._parser = self._parser or _Parser()
                try:
                    return self._parser.ask(question)
                except BaseException as error:  # an answer that nobody waited for must not be taken for the next one
                    self._parser.close()
                    self._parser = None
                    if not isinstance(error, ParserLost):
                        raise
                    if is_last:
                        raise refusal(Reason.CRASHED, path, f"the process that parses HDF5 files does not answer "
                                      f"({error}); see whether {sys.executable} can start, and try again") from error
        raise AssertionError("unreachable")

    def describe(self, path: Path, root: Path) -> Facts:
        """Return all that reading a file takes; raises as :meth:`ask` does."""
        key = _folder(), str(path), str(root)
        with self._lock:
            known = self._kept.get(key)
        if known is not None and _is_unchanged(known):
            return known
        began = time.time_ns()
        try:
            facts = unpacked(contents(self.ask(path, "describe", root=str(root))), root, path)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise refusal(Reason.BAD_HEADER, path, f"HDF5 tells of it what cannot be ({error}); fetch the file "
                          "again") from error
        if max(max(identity[3:]) for identity in facts.files.values()) < began - SETTLED_NS:
            self._keep(key, facts)
        return facts

    def _keep(self, key: tuple[str, ...], facts: Facts) -> None:
        with self._lock:
            self._kept[key] = facts
            self._kept.move_to_end(key)
            rows = sum(len(one.table) for kept in self._kept.values() for one in kept.datasets)
            while len(self._kept) > 1 and (len(self._kept) > MOST_KEPT or rows > MOST_ROWS):
                _, gone = self._kept.popitem(last=False)
                rows -= sum(len(one.table) for one in gone.datasets)


def contents(memory: int) -> bytes:
    """Return all that lies in the memory of a descriptor, and close that."""
    with open(memory, "rb") as file:
        return file.read()


def mapped(memory: int) -> mmap.mmap:
    """Return the memory of a descriptor, and close that."""
    try:
        return mmap.mmap(memory, 0, prot=mmap.PROT_READ)
    finally:
        os.close(memory)


def _folder() -> str:
    """Folder that relative paths start from."""
    try:
        return os.getcwd()
    except OSError:  # it was removed: no relative path leads anywhere
        return "/"


def _is_unchanged(facts: Facts) -> bool:
    try:
        return all(identity_of(os.stat(path)) == identity for path, identity in facts.files.items())
    except OSError:
        return False


def _crash(number: int, path: Path, what: str) -> SourceError:
    """Return the error of a file at which the process that met it has ended, by a signal or, negative, a status."""
    if number == signal.SIGKILL:  # nothing that a file holds sends it
        return refusal(Reason.CRASHED, path, "the process that parsed it was killed, perhaps because the machine had "
                       "no memory left; try again")
    reason = Reason.CORRUPT_CHUNK if what == "decode" else Reason.BAD_HEADER
    if number == signal.SIGXCPU:
        return refusal(reason, path, "HDF5 does not come to an end with it; it is damaged: fetch the file again")
    name = signal.Signals(number).name if number in set(signal.Signals) else f"status {-number}"
    return refusal(reason, path, f"HDF5 crashes on it ({name}); it is damaged: fetch the file again")


_client = _Client()
start: Callable[[], None] = _client.start
stop: Callable[[], None] = _client.stop
ask = _client.ask
describe = _client.describe
atexit.register(stop)
os.register_at_fork(after_in_child=_client.renew)
