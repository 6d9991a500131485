"""Start the process that parses HDF5 files (:mod:`pipeline.filterbank.parser_process`), and ask it questions.

Each process that reads HDF5 has its own parser. It starts with the first question. It ends when this process ends in
any way, because its socket closes. The facts about the last files are kept as long as these files are unchanged.
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

MAX_MESSAGE_BYTES = 1 << 16
START = "import sys; sys.path[:] = {path!r}; from pipeline.filterbank.parser_process import main; main()"
PACKAGES = str(Path(__file__).resolve().parents[2])
"""Folder that contains this package. It is not in ``sys.path`` if the installation is editable."""
MAX_KEPT_FILES = 8
"""Largest number of files whose facts are kept."""
MAX_KEPT_ROWS = 1 << 21
"""Largest number of chunks in all facts that are kept: 64 MB."""
SETTLED_NS = 2 * 10**9
"""Facts are kept only of files unchanged for this time. A second change within it may not show in the time stamps."""


MAX_ENDING_S = 5.0


class ParserLost(RuntimeError):
    """The process ended before it answered."""


class _Parser:
    """A running parser."""

    def __init__(self) -> None:
        self._asks, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -S: the folders that ``site`` would add are in sys.path already
        words = [sys.executable, "-I", "-S", "-c", START.format(path=[PACKAGES, *sys.path]), str(answers.fileno())]
        with answers:
            self.process = subprocess.Popen(
                words, pass_fds=[answers.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # a fork keeps one thread only
            )

    def ask(self, question: bytes) -> tuple[dict[str, Any], int]:
        """Return the outcome and the descriptor of the memory that holds the answer."""
        try:
            self._asks.sendall(question)
            said, descriptors, _, _ = socket.recv_fds(self._asks, MAX_MESSAGE_BYTES, 1)
        except OSError as error:
            raise ParserLost(str(error)) from error
        if not said or not descriptors:
            raise ParserLost("it ended")
        return json.loads(said), descriptors[0]

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self._asks.close()
        try:
            self.process.wait(MAX_ENDING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def forget(self) -> None:
        """Leave the parser to the parent process, from which this process was forked."""
        self._asks.close()
        self.process.returncode = 0  # this process has no parser to wait for


class _Client:
    """The parser of this process, and the facts that are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parser: _Parser | None = None
        self._kept: OrderedDict[tuple[str, ...], Facts] = OrderedDict()

    def start(self) -> None:
        """Start the parser if it is not running. It is ready some tenths of a second later."""
        with self._lock:
            self._parser = self._parser or _Parser()

    def stop(self) -> None:
        """End the parser."""
        with self._lock:
            if self._parser is not None:
                self._parser.close()
            self._parser = None

    def renew(self) -> None:
        """Reset this object in a forked process."""
        if self._parser is not None:
            self._parser.forget()
        self.__init__()  # type: ignore[misc]

    def ask(self, path: Path, what: str, more_bytes: int = 0, **details: Any) -> int:
        """Ask a question about a file. Return the descriptor of the memory that holds the answer.

        Raises
        ------
        SourceError
            The error that the parser found; BAD_HEADER if it crashed; CRASHED if it cannot be asked.
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
            for is_last in (False, True):  # an idle parser ends by itself, perhaps right now: then try once more
                self._parser = self._parser or _Parser()
                try:
                    return self._parser.ask(question)
                except BaseException as error:  # a late answer must not be taken for the answer to the next question
                    self._parser.close()
                    self._parser = None
                    if not isinstance(error, ParserLost):
                        raise
                    if is_last:
                        raise refusal(Reason.CRASHED, path, f"the process that parses HDF5 files does not answer "
                                      f"({error}); see whether {sys.executable} can start, and try again") from error
        raise AssertionError("unreachable")

    def describe(self, path: Path, root: Path) -> Facts:
        """Return the facts that are needed to read a file. Errors are those of :meth:`ask`."""
        key = _folder(), str(path), str(root)
        with self._lock:
            known = self._kept.get(key)
        if known is not None and _is_unchanged(known):
            return known
        began = time.time_ns()
        try:
            facts = unpacked(contents(self.ask(path, "describe", root=str(root))), root, path)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise refusal(Reason.BAD_HEADER, path, f"HDF5 reports impossible facts about it ({error}); fetch the file "
                          "again") from error
        if max(max(identity[3:]) for identity in facts.files.values()) < began - SETTLED_NS:
            self._keep(key, facts)
        return facts

    def _keep(self, key: tuple[str, ...], facts: Facts) -> None:
        with self._lock:
            self._kept[key] = facts
            self._kept.move_to_end(key)
            rows = sum(len(one.table) for kept in self._kept.values() for one in kept.datasets)
            while len(self._kept) > 1 and (len(self._kept) > MAX_KEPT_FILES or rows > MAX_KEPT_ROWS):
                _, gone = self._kept.popitem(last=False)
                rows -= sum(len(one.table) for one in gone.datasets)


def contents(memory: int) -> bytes:
    """Return the content of the memory behind a descriptor, and close the descriptor."""
    with open(memory, "rb") as file:
        return file.read()


def mapped(memory: int) -> mmap.mmap:
    """Map the memory behind a descriptor, and close the descriptor."""
    try:
        return mmap.mmap(memory, 0, prot=mmap.PROT_READ)
    finally:
        os.close(memory)


def _folder() -> str:
    """Return the working folder."""
    try:
        return os.getcwd()
    except OSError:  # the folder was removed, so no relative path can be opened
        return "/"


def _is_unchanged(facts: Facts) -> bool:
    try:
        return all(identity_of(os.stat(path)) == identity for path, identity in facts.files.items())
    except OSError:
        return False


def _crash(number: int, path: Path, what: str) -> SourceError:
    """Return the error for a file on which its parsing process ended. ``number``: a signal, or minus an exit status."""
    if number == signal.SIGKILL:  # the content of a file cannot cause this
        return refusal(Reason.CRASHED, path, "the process that parsed it was killed, perhaps because the machine had "
                       "no memory left; try again")
    reason = Reason.CORRUPT_CHUNK if what == "decode" else Reason.BAD_HEADER
    if number == signal.SIGXCPU:
        return refusal(reason, path, "HDF5 does not finish reading it; it is damaged: fetch the file again")
    name = signal.Signals(number).name if number in set(signal.Signals) else f"status {-number}"
    return refusal(reason, path, f"HDF5 crashes on it ({name}); it is damaged: fetch the file again")


_client = _Client()
start: Callable[[], None] = _client.start
stop: Callable[[], None] = _client.stop
ask = _client.ask
describe = _client.describe
atexit.register(stop)
os.register_at_fork(after_in_child=_client.renew)
