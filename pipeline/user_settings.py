"""The user's settings for runs: the table ``[run]`` of their own configuration file, and their environment.

The file is ``$XDG_CONFIG_HOME/lookalike/config.toml``, by default ``~/.config/lookalike/config.toml``. It has one
table, ``[run]``, with the keys of :class:`pipeline.config.RunConfig`. The file decides which cluster a run connects to,
and so which code runs. It is therefore refused if other users can change it.

Each key also has an environment variable: ``LOOKALIKE_RUN_`` and the key in capitals, such as
``LOOKALIKE_RUN_SCHEDULER=tls://head:8786`` or ``LOOKALIKE_RUN_INSECURE=true``. An empty variable sets an empty text:
``LOOKALIKE_RUN_SCHEDULER=`` means no scheduler, even if the file names one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.support.private_paths import exposures, user_configuration
from pipeline.support.records import value_of
from pipeline.support.toml_tables import read_tables

RUN = "run"
"""The only table of the file."""
PREFIX = "LOOKALIKE_RUN_"
PATHS = frozenset({"cluster_config", "tls_ca", "tls_cert", "tls_key"})
"""Keys that name files. In the user's file they may begin with ``~``, and are relative to the folder of the file."""


def user_file() -> Path:
    """Return the path of the user's configuration file, which may not exist."""
    return user_configuration().absolute() / "config.toml"


def of_user_file() -> dict[str, Any]:
    """Read the settings for runs from the user's file. Return an empty dictionary if there is none.

    Raises
    ------
    ConfigError
        The file cannot be read, has another table, or other users can change it.
    """
    path = user_file()
    if not os.path.lexists(path):
        return {}
    if faults := exposures(path):
        raise ConfigError(f"{path}: is not read, because others can change it, and it says where code runs: "
                          f"{', '.join(map(str, faults))}; mend it with: {'; '.join(one.remedy for one in faults)}")
    tables = read_tables(path)
    if unknown := sorted(set(tables) - {RUN}):
        raise ConfigError(f"{path} [{unknown[0]}]: unknown table; known: {RUN}")
    keys = tables.get(RUN, {})
    if not isinstance(keys, Mapping):
        raise ConfigError(f"{path} [{RUN}]: expected a table, got {keys!r}")
    return {key: _from_folder(path.parent, value) if key in PATHS else value for key, value in keys.items()}


def of_environment(types: Mapping[str, str]) -> dict[str, Any]:
    """Read the settings for runs from the environment.

    Parameters
    ----------
    types : mapping
        Key → the type of its value.

    Raises
    ------
    ConfigError
        A variable names no key, or its value is not of the type of the key.
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


def one_place(keys: Any) -> Any:
    """Complete a table ``[run]`` that says where tasks run, so that it overrides all such keys of weaker settings."""
    if not isinstance(keys, Mapping):
        return keys
    implied: dict[str, Any] = {}
    if keys.get("cluster"):
        implied["scheduler"] = ""
    if keys.get("cluster") or keys.get("scheduler"):
        implied["serial"] = False
    return {**implied, **keys}


def _from_folder(folder: Path, value: Any) -> Any:
    return str(folder / os.path.expanduser(value)) if isinstance(value, str) and value else value


def _parsed(kind: str, text: str, name: str) -> Any:
    try:
        return value_of({"bool": bool, "int": int, "float": float}.get(kind, str), text, is_text=True)
    except ValueError:
        wanted = "true or false" if kind == "bool" else f"of type {kind}"
        raise ConfigError(f"{name}={text} in the environment is not {wanted}") from None
