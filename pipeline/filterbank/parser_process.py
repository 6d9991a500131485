"""The process that parses HDF5 files. It waits for questions, and forks a new process for each.

So each file is parsed in a process that has seen no other file. A crash ends only that process, whose memory and time
are limited, and no damage reaches the next file. The answer lies in shared memory, which is passed as a descriptor.
Question and outcome are one message each, on a socket. Neither side unpickles anything.
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

MAX_MESSAGE_BYTES = 1 << 16
MAX_MEMORY_BYTES = 512 << 20
"""Limit of the address space. Python and its libraries take a quarter of it. More is allowed for decoding."""
MAX_CPU_S = 60
"""Limit of processor time in seconds. A list of a million chunks takes two seconds."""
MAX_DECODING_S = 600
"""Limit of processor time in seconds while samples are decoded."""
IDLE_S = 60.0
"""Seconds without a question after which the process ends. The next question starts another one."""
FAILED = 1


def main() -> None:
    """Answer the questions from the socket whose descriptor is the last argument, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the asking process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=int(sys.argv[-1])) as asker:
        while select.select([asker], [], [], IDLE_S)[0]:
            question = asker.recv(MAX_MESSAGE_BYTES)
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
        said = os.pread(outcome, MAX_MESSAGE_BYTES, 0) if status == 0 else json.dumps({"signal": -status}).encode()
        socket.send_fds(asker, [said], [memory])
    finally:
        os.close(memory)
        os.close(outcome)


def _ended(process: int, asker: socket.socket) -> int:
    """Wait for a forked process and return its exit status. Kill it if the asking process is gone."""
    ending = os.pidfd_open(process)
    try:
        # the asking process sends nothing while it waits; the socket becomes readable only if it is gone
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
        _limit(asked["more_bytes"], MAX_DECODING_S if asked["more_bytes"] else MAX_CPU_S)
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
        fault = refusal(Reason.BAD_HEADER, path, "it needs more memory than any undamaged file; fetch the file again")
        return {"reason": fault.reason, "message": fault.message}
    return {}


def _limit(more_bytes: int, cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES + more_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # the first limit sends SIGXCPU, which names the cause
