"""What the user says of runs: the table ``[run]`` of their own configuration file, and their environment.

The file is ``$XDG_CONFIG_HOME/lookalike/config.toml``, by default ``~/.config/lookalike/config.toml``. It has one
table, ``[run]``, with the keys of :class:`pipeline.config.RunConfig`. It decides which cluster is connected to, and so
what code runs: it is refused where others can change it.

Each key has a variable in the environment, too: ``LOOKALIKE_RUN_`` and the key in capitals, such as
``LOOKALIKE_RUN_SCHEDULER=tls://head:8786`` or ``LOOKALIKE_RUN_INSECURE=true``. A text that is set to nothing is an
empty text: ``LOOKALIKE_RUN_SCHEDULER=`` means no scheduler, whatever the file says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.private import exposures
from pipeline.tables import read_tables

RUN = "run"
"""The one table of the file."""
PREFIX = "LOOKALIKE_RUN_"
PATHS = frozenset({"cluster_config", "tls_ca", "tls_cert", "tls_key"})
"""Keys that name files: in the user's file they may begin with ``~``, and are relative to its folder."""
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def user_file() -> Path:
    """Return the path of the user's configuration file, whether or not it is there."""
    named = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(named) if os.path.isabs(named) else Path(os.path.expanduser("~/.config"))
    return folder.absolute() / "lookalike" / "config.toml"


def of_user_file() -> dict[str, Any]:
    """Read what the user's file says of runs; nothing where there is none.

    Raises
    ------
    ConfigError
        It cannot be read, has another table, or others can change it.
    """
    path = user_file()
    if not os.path.lexists(path):
        return {}
    if faults := exposures(path):
        raise ConfigError(f"{path}: is not read, for others can change it, and it says where code runs: "
                          f"{', '.join(map(str, faults))}; mend it with: {'; '.join(one.remedy for one in faults)}")
    tables = read_tables(path)
    if unknown := sorted(set(tables) - {RUN}):
        raise ConfigError(f"{path} [{unknown[0]}]: unknown table; known: {RUN}")
    keys = tables.get(RUN, {})
    if not isinstance(keys, Mapping):
        raise ConfigError(f"{path} [{RUN}]: expected a table, got {keys!r}")
    return {key: _from_folder(path.parent, value) if key in PATHS else value for key, value in keys.items()}


def of_environment(types: Mapping[str, str]) -> dict[str, Any]:
    """Read what the environment says of runs.

    Parameters
    ----------
    types : mapping
        Key → the type of its value.

    Raises
    ------
    ConfigError
        A variable names no key, or its value is not of the key's type.
    """
    found = {}
    for name, text in os.environ.items():
        if not name.startswith(PREFIX):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in types:
            raise ConfigError(f"{name} in the environment: unknown key {key!r}; known: {', '.join(types)}")
        value = _parsed(types[key], text, name)
        found[key] = os.path.abspath(value) if key in PATHS and value else value
    return found


def _from_folder(folder: Path, value: Any) -> Any:
    return str(folder / os.path.expanduser(value)) if isinstance(value, str) and value else value


def _parsed(kind: str, text: str, name: str) -> Any:
    try:
        if kind == "bool":
            return _TRUTHS[text.lower()]
        return {"int": int, "float": float}.get(kind, str)(text)
    except (KeyError, ValueError):
        wanted = "true or false" if kind == "bool" else f"of type {kind}"
        raise ConfigError(f"{name}={text} in the environment is not {wanted}") from None
