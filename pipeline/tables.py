"""Tables of a TOML file, laid over dataclasses: every mistake is named with where it was found."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError


def read_tables(path: Path) -> dict[str, Any]:
    """Read a TOML file; one that is not there is empty.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # TOML, UTF-8, or a number of too many digits
        raise ConfigError(f"{path}: not valid TOML ({error})") from error


def laid_over(default: Any, keys: Any, origin: str) -> Any:
    """Lay ``keys`` over the dataclass ``default``, rejecting unknown names, wrong types and impossible values."""
    if not isinstance(keys, Mapping):
        raise ConfigError(f"{origin}: expected a table, got {keys!r}")
    types = types_of(default)
    values = {}
    for key, value in keys.items():
        if key not in types:
            raise ConfigError(f"{origin}: unknown key {key!r}; known: {', '.join(types)}")
        values[key] = _value(types[key], value, f"{origin} {key}")
    try:
        return replace(default, **values)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None


def types_of(default: Any) -> dict[str, str]:
    """Name the type of each field of a dataclass."""
    return {field.name: str(field.type) for field in fields(default)}


def as_toml(key: str, value: Any) -> str:
    """Write the line of a key."""
    # JSON spells numbers and booleans as TOML does, and strings but for DEL
    return f"{key} = " + json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(annotation: str, value: Any, origin: str) -> Any:
    """Return a TOML value as the type of its field; a whole number is a fine float, a bool is no number."""
    kinds: tuple[type, ...] = {"int": (int,), "float": (int, float), "bool": (bool,)}.get(
        annotation.removesuffix(" | None"), (str,))
    if type(value) not in kinds:
        raise ConfigError(f"{origin} = {value!r} is not of type {annotation}")
    if float in kinds and not abs(value) < 1e300:  # not NaN, not infinite, and no whole number beyond every float
        raise ConfigError(f"{origin} = {value!r} is not a finite number")
    return float(value) if float in kinds else value  # 1400 and 1400.0 are one identity
