"""The process in which files are parsed: it waits for questions, and forks for each one.

So every file meets a process in which no other file has been: a crash ends that one alone, its memory and its time are
bounded, and nothing that it has damaged is left for the next file. The answer lies in memory that is shared by its
descriptor; the question and the outcome are one message each, on a socket. Nothing is unpickled on either side.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import parser
from pipeline.filterbank.access import access_error, refusal

MOST_BYTES = 1 << 16
"""Of a message."""
MEMORY_BYTES = 512 << 20
"""Of address space, of which Python and its libraries take a quarter. What decoding needs is added."""
CPU_S = 60
"""A list of a million chunks takes two."""
DECODING_S = 600
IDLE_S = 60.0
"""After so long without a question the process ends; the next question starts another."""
FAILED = 1


def main() -> None:
    """Answer the questions that come on the socket whose descriptor is the last word, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is meant for whoever asks
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=int(sys.argv[-1])) as asker:
        while select.select([asker], [], [], IDLE_S)[0]:
            question = asker.recv(MOST_BYTES)
            if not question:
                return
            _answer(asker, question)


def _answer(asker: socket.socket, question: bytes) -> None:
    memory = os.memfd_create("lookalike-parsed")
    outcome = os.memfd_create("lookalike-outcome")
    process = os.fork()
    if not process:
        _work(question, memory, outcome)  # never returns
    try:
        status = _ended(process, asker)
        said = os.pread(outcome, MOST_BYTES, 0) if status == 0 else json.dumps({"signal": -status}).encode()
        socket.send_fds(asker, [said], [memory])
    finally:
        os.close(memory)
        os.close(outcome)


def _ended(process: int, asker: socket.socket) -> int:
    """Wait for a forked process, and end it where nobody waits for it any more; return its exit status."""
    ending = os.pidfd_open(process)
    try:
        # an asker says nothing while it waits, unless it has gone
        ready = select.select([ending, asker.fileno()], [], [])[0]
        if ending not in ready:
            os.kill(process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    finally:
        os.close(ending)


def _work(question: bytes, memory: int, outcome: int) -> None:
    status = FAILED
    try:
        asked = json.loads(question)
        os.chdir(asked["folder"])
        _limit(asked["more_bytes"], DECODING_S if asked["more_bytes"] else CPU_S)
        os.pwrite(outcome, json.dumps(_done(asked, memory)).encode(), 0)
        status = 0
    finally:
        os._exit(status)


def _done(asked: dict[str, Any], memory: int) -> dict[str, str]:
    path = Path(asked["path"])
    try:
        match asked["what"]:
            case "describe":
                parser.describe(path, Path(asked["root"]), memory)
            case "decode":
                start, stop = tuple(asked["start"]), tuple(asked["stop"])
                parser.decode(path, asked["name"], tuple(asked["identity"]), start, stop, memory)
            case "rehearse":
                parser.rehearse(path, asked["first"], asked["end"])
    except SourceError as error:
        return {"reason": error.reason, "message": error.message}
    except OSError as error:
        fault = access_error(error, path)
        return {"reason": fault.reason, "message": fault.message}
    except MemoryError:
        fault = refusal(Reason.BAD_HEADER, path, "it asks for more memory than any sound file takes")
        return {"reason": fault.reason, "message": fault.message}
    return {}


def _limit(more_bytes: int, cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES + more_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # at the first with a signal that tells why
