"""Checks of HDF5 attributes before the HDF5 library converts them, because some damaged types crash it.

A bit of a type says whether a value of variable length is text. If the bit is wrong, the library calls a function that
is not set (HDF5 1.14.6). Keywords are numbers or text, so other types are not read.
"""

from __future__ import annotations

from typing import Any

import h5py
from h5py import h5t

KINDS = frozenset({h5t.INTEGER, h5t.FLOAT, h5t.STRING})
MAX_LABEL_VALUES = 256
"""Largest number of values in a label. Some programs write a text as an array of letters, or a target per beam."""


def attribute(of: h5py.HLObject, name: str, most: int = 1) -> Any:
    """Return the value of an attribute; None if there is none.

    Raises
    ------
    TypeError
        The value is neither a number nor text, or there are more than ``most`` values.
    """
    if name not in of.attrs:
        return None
    found = of.attrs.get_id(name)
    if found.get_type().get_class() not in KINDS:
        raise TypeError(f"{name} is neither a number nor text")
    if found.get_space().get_simple_extent_npoints() > most:
        raise TypeError(f"{name} is an array of the shape {found.shape}")
    return of.attrs[name]
