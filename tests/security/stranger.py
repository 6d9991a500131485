"""Another user of this machine, who tries to run code in other people's Dask clusters.

``python -m tests.security.stranger FOLDER PORT…`` tries every attack on every port, and prints the results as JSON. An
attack that succeeds makes a file in FOLDER, named after the port and the attack. Only the victim can write to FOLDER,
so a file proves that code ran as the victim.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from distributed import Client
from distributed.comm import connect
from distributed.protocol import pickle
from distributed.security import Security

from pipeline.execute.security import own_security

NOBODY = 65534
PATIENCE_S = 4.0

Way = Callable[[int, Path], Awaitable[str]]


def become_another_user() -> bool:
    """Give up the rights of root, if this process has them."""
    if os.getuid():
        return False
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    return True


def trusting(stranger: Security | None) -> ssl.SSLContext:
    """Return a TLS context that accepts any certificate of the other side, and shows the stranger's own or none."""
    context = ssl.create_default_context() if stranger is None else \
        stranger.get_connection_args("client")["ssl_context"]
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def asking(operation: str, scheme: str, context: ssl.SSLContext | None) -> Way:
    """Ask a server of Dask to call a function: workers and nannies by ``run``, schedulers by ``run_function``."""

    async def way(port: int, marker: Path) -> str:
        message = {"op": operation, "function": pickle.dumps(Path.touch), "args": pickle.dumps((marker,)), "kwargs": {},
                   "reply": True}
        comm = await connect(f"{scheme}://127.0.0.1:{port}", timeout=PATIENCE_S, ssl_context=context,
                             require_encryption=False)
        try:
            await comm.write(message)
            return str(await comm.read())
        finally:
            comm.abort()

    return way


def submitting(scheme: str, security: Security) -> Way:
    """Submit a task, as a user of the scheduler does."""

    async def way(port: int, marker: Path) -> str:
        async with Client(f"{scheme}://127.0.0.1:{port}", security=security, timeout=PATIENCE_S, asynchronous=True,
                          set_as_default=False) as client:
            return str(await client.submit(Path.touch, marker, pure=False))

    return way


async def asking_by_http(port: int, _: Path) -> str:
    """Ask for a page without TLS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        return (await reader.read(5)).decode(errors="replace")
    finally:
        writer.close()


def ways() -> dict[str, Way]:
    """Return all attacks by name."""
    own = own_security()
    contexts = {"tcp": None, "tls without a certificate": trusting(None), "tls with another one": trusting(own)}
    asked = {f"{operation} over {name}": asking(operation, name[:3], context)
             for operation in ("run", "run_function") for name, context in contexts.items()}
    return {**asked, "submit over tcp": submitting("tcp", Security(require_encryption=False)),
            "submit over tls": submitting("tls", own), "http": asking_by_http}


async def attack(folder: Path, ports: list[int], tried: dict[str, Way]) -> dict[str, str]:
    """Try every attack on every port; return each answer or exception by port and attack."""

    async def one(port: int, name: str) -> str:
        try:
            return await asyncio.wait_for(tried[name](port, folder / f"{port} {name}"), 3 * PATIENCE_S)
        except Exception as error:
            return repr(error)

    named = [(port, name) for port in ports for name in tried]
    answers = await asyncio.gather(*(one(*each) for each in named))
    return {f"{port} {name}": answer for (port, name), answer in zip(named, answers, strict=True)}


if __name__ == "__main__":
    folder, ports = Path(sys.argv[1]), list(map(int, sys.argv[2:]))
    tried = ways()  # needs libraries that another user may not be able to read
    is_another = become_another_user()
    answers = asyncio.run(attack(folder, ports, tried))
    json.dump({"is_another_user": is_another, "answers": answers}, sys.stdout)
