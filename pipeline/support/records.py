"""Dataclasses from plain values, as JSON and TOML files hold them. The only importer of msgspec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

_T = TypeVar("_T")

# Importing msgspec takes 0.05 s. Only the functions below import it, so that `lookalike --help` does not load it.


def record_of(kind: type[_T], value: object) -> _T:
    """Make a value of a type from plain values: dictionaries, lists, texts and numbers.

    Whole numbers are accepted for floats, and lists for tuples. Nothing else is converted: ``"1"`` and ``1.0`` are no
    integers, and ``1`` is no boolean.

    Parameters
    ----------
    kind : type
        A dataclass, or a type that contains dataclasses, such as ``list[Box]``.
    value : object
        The plain value.

    Raises
    ------
    ValueError
        A value has the wrong type, a key is missing, or a key is unknown. The message says where.
    """
    import msgspec

    try:
        made = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    for inner, part in _records(kind, value):
        _refuse_unknown_keys(inner, part)
    return made


def value_of(kind: Any, value: object, *, is_text: bool = False) -> Any:
    """Return a single value as the type ``kind``, such as ``int | None``, or raise ``ValueError``.

    ``is_text`` also reads numbers and booleans from a text, as environment variables hold them.
    """
    import msgspec

    try:
        return msgspec.convert(value, kind, strict=not is_text)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _refuse_unknown_keys(kind: type, record: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for a key that is no field of a dataclass. msgspec would ignore it."""
    names, parts = _plan(kind)
    if not record.keys() <= names:
        raise ValueError(f"{kind.__name__} has no {min(record.keys() - names)!r}")
    for name, part_kind in parts:
        if name in record:
            for inner, part in _records(part_kind, record[name]):
                _refuse_unknown_keys(inner, part)


@cache
def _plan(kind: type) -> tuple[frozenset[str], tuple[tuple[str, Any], ...]]:
    """Return the names of a dataclass's fields, and name and type of the fields that hold dataclasses."""
    hints = get_type_hints(kind)
    names = frozenset(field.name for field in fields(kind))
    return names, tuple((name, hints[name]) for name in sorted(names) if _holds_records(hints[name]))


@cache
def _holds_records(kind: Any) -> bool:
    return is_dataclass(kind) or any(_holds_records(part) for part in get_args(kind))


def _records(kind: Any, value: Any) -> Iterable[tuple[Any, Mapping[str, Any]]]:
    """Yield type and plain value of the dataclasses in a value: itself, or the items of a list or mapping."""
    if is_dataclass(kind):
        return ((kind, value),)
    parts = [part for part in get_args(kind) if is_dataclass(part)]
    if not parts or value is None:
        return ()
    if get_origin(kind) in (Union, UnionType):
        return ((parts[0], value),)
    return ((parts[0], item) for item in (value.values() if isinstance(value, Mapping) else value))
