"""Read the YAML file that describes the cluster to start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.support.text import shown


def read_cluster_file(config: RunConfig, known: Mapping[str, type]) -> dict[str, Any]:
    """Read the table in the file ``config.cluster_config``.

    Parameters
    ----------
    config : RunConfig
    known : mapping
        Allowed key → type of its value.

    Returns
    -------
    dict
        Key → value.

    Raises
    ------
    ConfigError
        The file is missing or not valid YAML, has an unknown key, or has a value of the wrong type.
    """
    tables = load_yaml(config)
    table = tables[0] if len(tables) == 1 else None
    path = shown(config.cluster_config)
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: expected one table with keys and values, as in cluster/{config.cluster}.yaml")
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}; known: {', '.join(known)}")
        if not isinstance(value, known[key]):
            raise ConfigError(f"{path}: {key} = {value!r} is not of type {known[key].__name__}")
    return dict(table)


def load_yaml(config: RunConfig) -> list[Any]:
    """Return the YAML documents of the file ``config.cluster_config``.

    Raises
    ------
    ConfigError
        No file is named, it cannot be read, or it is not valid YAML.
    """
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
