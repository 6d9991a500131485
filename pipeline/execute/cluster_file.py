"""The file that says which cluster to start: YAML, read as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.support.text import shown


def read_cluster_file(config: RunConfig, known: Mapping[str, type]) -> dict[str, Any]:
    """Read ``config.cluster_config``, a table of the keys ``known`` (name → type).

    Raises
    ------
    ConfigError
        There is no such file, it is no YAML, or has another key or another kind of value.
    """
    tables = load_yaml(config)
    table = tables[0] if len(tables) == 1 else None
    path = shown(config.cluster_config)
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: expected one table, as in cluster/{config.cluster}.yaml")
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}; known: {', '.join(known)}")
        if not isinstance(value, known[key]):
            raise ConfigError(f"{path}: {key} = {value!r} is not of type {known[key].__name__}")
    return dict(table)


def load_yaml(config: RunConfig) -> list[Any]:
    """Return the documents of ``config.cluster_config``; :class:`ConfigError` where there are none."""
    import yaml

    if not config.cluster_config:
        raise ConfigError(f"--cluster {config.cluster} needs --cluster-config FILE; begin with a copy of "
                          f"cluster/{config.cluster}.yaml")
    path = Path(config.cluster_config)
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown(path)}: not valid YAML ({' '.join(str(error).split())})") from error
    return documents
