"""A process that holds a lease: how it is described in the file of the lease, and whether it still runs."""

from __future__ import annotations

import os
import socket
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.support.records import json_of
from pipeline.support.text import shown

MAX_COMMAND_CHARACTERS = 200
MAX_PID = 2**31 - 1


def signature() -> dict[str, Any]:
    """Return the description of this process, for the file of its lease."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "command": command[:MAX_COMMAND_CHARACTERS], "place": place(),
            "started": (_stat(os.getpid()) or ("", ""))[1]}


def record_of_holder(content: bytes) -> dict[str, Any]:
    """Read a description. It has only values that make sense; it is empty if a power cut has destroyed it."""
    try:
        record = json_of(content)
    except ValueError:
        return {}
    return {} if not isinstance(record, dict) else {
        key: value for key, value in record.items()
        if (type(value) is int and 0 < value <= MAX_PID if key == "pid" else isinstance(value, str))}


def in_words(record: dict[str, Any]) -> str:
    """Return a description in words."""
    if not {"pid", "host", "since"} <= record.keys():
        return "another process"
    command = f" ({shown(record['command'])})" if record.get("command") else ""
    return shown(f"process {record['pid']} on {record['host']} since {record['since']}") + command


@cache
def place() -> str:
    """Return a name of the place where process numbers are unique: this boot of this machine and this container."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # a system without /proc
        return socket.gethostname()


def is_alive(pid: int, started: str) -> bool:
    """Return True if a process of this place that began at ``started`` still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # the process exists, and belongs to another user
    seen = _stat(pid)
    return seen is None or (seen[0] not in "ZX" and seen[1] == started)


def _stat(pid: int) -> tuple[str, str] | None:
    """Return state and start of a process, in ticks since boot; None if the system does not show them."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]
