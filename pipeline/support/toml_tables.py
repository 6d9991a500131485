"""Reads tables of a TOML file into dataclasses. Error messages name the file and the key."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pipeline.errors import ConfigError
from pipeline.support.records import value_of
from pipeline.support.user_files import read_user_file


def read_tables(path: Path) -> dict[str, Any]:
    """Read a TOML file. A file that does not exist gives an empty dictionary.

    Raises
    ------
    ConfigError
        The file cannot be read or is not valid TOML.
    """
    return tables_of(path, read_toml(path))


def read_toml(path: Path) -> str:
    """Read the text of a TOML file. A file that does not exist gives an empty text.

    Raises
    ------
    ConfigError
        The file cannot be read, or is not UTF-8.
    """
    try:
        return (read_user_file(path) or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from error


def tables_of(path: Path, text: str) -> dict[str, Any]:
    """Parse the text of a TOML file. ``path`` is for the :class:`ConfigError` that an invalid text raises."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, a number with too many digits, or nested too deeply
        raise ConfigError(f"{path}: not valid TOML ({error})") from error


def laid_over(default: Any, keys: Any, origin: str) -> Any:
    """Return a copy of the dataclass ``default`` with the values of a TOML table.

    Parameters
    ----------
    default : dataclass instance
        Provides the fields that the table lacks.
    keys : mapping
        The table. Any other type is an error.
    origin : str
        Where the table is, for error messages.

    Raises
    ------
    ConfigError
        A key is unknown, or a value has the wrong type or is not allowed.
    """
    if not isinstance(keys, Mapping):
        raise ConfigError(f"{origin}: expected a table, got {keys!r}")
    types, kinds = types_of(default), get_type_hints(type(default))
    values = {}
    for key, value in keys.items():
        if key not in types:
            raise ConfigError(f"{origin}: unknown key {key!r}; known: {', '.join(types)}")
        values[key] = _value(kinds[key], types[key], value, f"{origin} {key}")
    try:
        return replace(default, **values)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None


def types_of(default: Any) -> dict[str, str]:
    """Return the type of each field of a dataclass, as written in its annotation."""
    return {field.name: str(field.type) for field in fields(default)}


def as_toml(key: str, value: Any) -> str:
    """Return the TOML line that sets ``key`` to ``value``."""
    # JSON and TOML write numbers, booleans and strings alike, except for the DEL character
    return f"{key} = " + json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(kind: Any, annotation: str, value: Any, origin: str) -> Any:
    """Check that a TOML value has the type of its field, and return it.

    Whole numbers are accepted for float fields and converted, so that 1400 and 1400.0 are the same setting. Booleans
    are not accepted as numbers. The dataclass checks which texts a field allows.
    """
    kind = str if get_origin(kind) is Literal else kind
    is_number = type(value) in (int, float) and float in (kind, *get_args(kind))
    if is_number and not abs(value) < 1e300:  # rejects NaN, infinities and integers beyond float's range
        raise ConfigError(f"{origin} = {value!r} is not a finite number")
    try:
        return value_of(kind, value)
    except ValueError:
        raise ConfigError(f"{origin} = {value!r} is not of type {annotation}") from None
