"""Dataclasses from plain values, as JSON and TOML files hold them. The only importer of msgspec.

A file may come from a stranger, and a digest that fits proves nothing. So values have types and bounds. Every
fault of a value is a ``ValueError``, and so are nesting that is too deep and numbers that are too large.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pipeline.support.clock import EARLIEST_S, LATEST_S

_T = TypeVar("_T")

# Importing msgspec takes 0.05 s. Only the functions below import it, so that `lookalike --help` does not load it.


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a value that is read: ``Annotated[int, Bounds(0, 9)]``. The constructor of a dataclass ignores them."""

    ge: float
    """Smallest value."""
    le: float
    """Largest value."""


Count = Annotated[int, Bounds(0, 2**40)]
"""Number of channels, spectra, files or tries."""
RowCount = Annotated[int, Bounds(0, 2**31 - 1)]
"""Number of rows of an array. Segments count rows in 32 bits."""
WindowCount = Annotated[int, Bounds(0, 2**62)]
"""Number of windows. Window numbers have 64 bits."""
ByteCount = Annotated[int, Bounds(0, 2**62)]
Integer = Annotated[int, Bounds(-(2**63), 2**63 - 1)]
"""Whole number of 64 bits."""
Mhz = Annotated[float, Bounds(-1e12, 1e12)]
"""Frequency in MHz; neither infinite nor NaN."""
Seconds = Annotated[float, Bounds(-1e15, 1e15)]
"""Duration or time in seconds; neither infinite nor NaN."""
UnixSeconds = Annotated[float, Bounds(EARLIEST_S, LATEST_S)]
"""Time in Unix seconds, of a year that dates can have."""
Days = Annotated[float, Bounds(-1e9, 1e9)]
"""Time in days, such as an MJD; neither infinite nor NaN."""


def json_of(content: str | bytes) -> Any:
    """Return the value of a JSON text. Raise ``ValueError`` if it is none, or is nested too deeply."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def record_of(kind: type[_T], value: object, *, has_more: bool = False) -> _T:
    """Make a value of a type from plain values: dictionaries, lists, texts and numbers.

    Whole numbers are accepted for floats, and lists for tuples. Nothing else is converted: ``"1"`` and ``1.0`` are no
    integers, and ``1`` is no boolean.

    Parameters
    ----------
    kind : type
        A dataclass, or a type that contains dataclasses, such as ``list[Box]``.
    value : object
        The plain value.
    has_more : bool
        Ignore unknown keys.

    Raises
    ------
    ValueError
        A value has the wrong type or is out of bounds, a key is missing, or a key is unknown. The message says where.
    """
    made = cast(_T, value_of(kind, value))
    if not has_more:
        for inner, part in _records(kind, value):
            _refuse_unknown_keys(inner, part)
    return made


def value_of(kind: Any, value: object, *, is_text: bool = False) -> Any:
    """Return a single value as the type ``kind``, such as ``int | None``, or raise ``ValueError``.

    With ``is_text``, numbers and booleans are also read from a text, as environment variables hold them.
    """
    import msgspec

    try:
        return msgspec.convert(value, _with_bounds(kind), strict=not is_text)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error


@cache
def _with_bounds(kind: Any) -> Any:
    """Return a type with :class:`Bounds` in msgspec's own form. The annotations of dataclasses are replaced."""
    import msgspec

    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind, include_extras=True)
        kind.__annotations__ = {name: _with_bounds(hint) for name, hint in hints.items()}
        return kind
    if get_origin(kind) is Annotated:
        inner, *details = get_args(kind)
        found = [detail for detail in details if isinstance(detail, Bounds)]
        return Annotated[_with_bounds(inner), msgspec.Meta(ge=found[0].ge, le=found[0].le)] if found else kind
    parts = get_args(kind)
    if not parts or get_origin(kind) is Literal:
        return kind
    bounded = tuple(part if part is Ellipsis else _with_bounds(part) for part in parts)
    if get_origin(kind) in (Union, UnionType):
        return Union[bounded]  # noqa: UP007
    return cast(Any, get_origin(kind))[bounded]


def _refuse_unknown_keys(kind: type, record: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for a key that is no field of a dataclass. msgspec would ignore it."""
    names, parts = _plan(kind)
    if not record.keys() <= names:
        raise ValueError(f"{kind.__name__} has no {min(record.keys() - names)!r}; it has {', '.join(sorted(names))}")
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
