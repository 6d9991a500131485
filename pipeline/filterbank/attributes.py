"""Attributes of an HDF5 object, looked at before the HDF5 library converts them: by damage to their types it crashes.

A bit of a type says whether what is of any length is text. With another value there the library calls a function that
is not set (HDF5 1.14.6). Keywords are numbers or text, so of all types none but these is let through.
"""

from __future__ import annotations

from typing import Any

import h5py
from h5py import h5t

KINDS = frozenset({h5t.INTEGER, h5t.FLOAT, h5t.STRING})
MOST_VALUES = 1
"""A keyword has one."""


def attribute(of: h5py.HLObject, name: str) -> Any:
    """Return the value of an attribute, None where there is none.

    Raises
    ------
    TypeError
        It is no single number or text.
    """
    if name not in of.attrs:
        return None
    found = of.attrs.get_id(name)
    if found.get_type().get_class() not in KINDS or found.get_space().get_simple_extent_npoints() > MOST_VALUES:
        raise TypeError(f"attribute {name} is neither one number nor text")
    return of.attrs[name]
