"""Arrays, signals and plain values of a request in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from pipeline.errors import ParameterError, parameter
from pipeline.search.from_power import array_of

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,), "int": (int,), "float": (int, float), "str": (str,), "None": (type(None),),
    "Sequence[str]": (list, tuple)}


def is_of_type(value: Any, annotation: str) -> bool:
    """Tell whether a JSON value is of an annotated type, such as ``int | None``. A bool is no number."""
    types = tuple(kind for name in annotation.split(" | ") for kind in _JSON_TYPES.get(name, ()))
    return isinstance(value, types) and (not isinstance(value, bool) or bool in types)


def array_to_json(array: Any) -> Any:
    """Return an array, or a ``Waterfall`` in ascending frequency, as nested lists; numbers without a value are None."""
    values = np.ma.filled(np.ma.asarray(array_of(array), np.float64), np.nan)
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def array_from_json(name: str, rows: Any) -> Any:
    """Return nested lists as an array of float64, null being NaN; raise :class:`ParameterError` if they are none."""
    try:
        return np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"{parameter(name)} must be a list of rows of numbers, all of one length") from None


def signal_to_json(signal: Any) -> Any:
    """Return what differs from the default in a signal, or in a part of it. A mapping stays as it is."""
    if not is_dataclass(signal):
        return signal
    record = {}
    for field in fields(signal):
        value = getattr(signal, field.name)
        if value != field.default and not (isinstance(value, float) and math.isinf(value)):
            record[field.name] = list(value) if isinstance(value, tuple) else signal_to_json(value)
    return record
