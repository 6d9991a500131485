"""Sends hits to the programs of a SAMP hub, such as TOPCAT and Aladin, that run on this machine."""

from __future__ import annotations

import threading
import warnings
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline import __version__
from pipeline.errors import ConfigError
from pipeline.export.table import table_of_hits
from pipeline.export.votable import votable_of
from pipeline.model import Result
from pipeline.support.text import shown

LOAD_TABLE = "table.load.votable"
"""Type of the message that hands over a table."""
ANSWER_S = 30
"""Maximum time in seconds that a program has to read the table."""


def send_by_samp(result: Result) -> list[str]:
    """Send the hits as a VOTable to each program of the running hub that loads tables.

    The table lies in a file that only this user can read. It is deleted when all programs have answered.

    Returns
    -------
    list of str
        Names of the programs that have loaded the table.

    Raises
    ------
    ConfigError
        pyvo is not installed, no hub runs, no program of it loads tables, or none of them could load this one.
    """
    try:
        samp = import_module("pyvo.samp")
    except ImportError as error:
        raise ConfigError("SAMP needs pyvo 1.9 or later, which is not installed; install it with: pip install pyvo"
                          ) from error
    client = samp.SAMPIntegratedClient(name="Lookalike", metadata={
        "samp.description.text": "Finds look-alikes of radio signals", "lookalike.version": __version__})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a hub that has ended and left its file behind
            client.connect()
    except Exception as error:  # of the hub's file, of the connection, or of the hub itself: pyvo has many kinds
        raise ConfigError(f"no SAMP hub can be reached ({shown(str(error))}); start TOPCAT or another hub first"
                          ) from error
    try:
        return _send(client, result)
    finally:
        client.disconnect()


def _send(client: Any, result: Result) -> list[str]:
    programs = {one: client.get_metadata(one).get("samp.name", one)
                for one in client.get_subscribed_clients(LOAD_TABLE)}
    if not programs:
        raise ConfigError("no program of the SAMP hub loads tables; start one, such as TOPCAT, and connect it")
    with TemporaryDirectory(prefix="lookalike-") as folder:
        table = Path(folder) / "hits.vot"
        table.write_bytes(votable_of(table_of_hits(result)))
        message = {"samp.mtype": LOAD_TABLE, "samp.params": {
            "url": table.as_uri(), "name": shown(f"Look-alikes of {result.description}"), "table-id": "lookalike"}}
        answers: dict[str, str] = {}
        threads = [threading.Thread(target=_ask, args=(client, one, message, answers)) for one in programs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    loaded = [programs[one] for one, problem in answers.items() if not problem]
    if not loaded:
        problems = "; ".join(f"{programs[one]}: {problem}" for one, problem in answers.items())
        raise ConfigError(f"no program has loaded the table ({shown(problems)}); save it with --out hits.vot instead")
    return sorted(loaded)


def _ask(client: Any, program: str, message: dict[str, Any], answers: dict[str, str]) -> None:
    """Hand the table to one program, and note its problem; an empty text if it has loaded the table."""
    try:
        answer = client.call_and_wait(program, message, str(ANSWER_S))
    except Exception as error:  # a time limit, a program that has ended, a hub that has ended
        answers[program] = str(error) or type(error).__name__
        return
    status = answer.get("samp.status")
    answers[program] = "" if status in ("samp.ok", "samp.warning") else str(
        answer.get("samp.error", {}).get("samp.errortxt", status))
