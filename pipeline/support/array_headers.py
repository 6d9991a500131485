"""Headers of ``.npy`` files, which numpy evaluates as Python, in processes with several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_ONE_AT_A_TIME = threading.Lock()
_TRIES = 5


def evaluated(read: Callable[[], Result]) -> Result:
    """Call a function that lets numpy evaluate the header of an array; return its result.

    While CPython makes a syntax tree, it counts the depth in a state that all threads share. If two threads parse at
    the same time, one of them may get ``SystemError: AST constructor recursion depth mismatch`` (seen in 3.11.7). So
    one header is evaluated at a time, and once more if code elsewhere has parsed meanwhile.

    Parameters
    ----------
    read : callable
        It is called again after such an error, so it must begin at the start of the file each time.

    Raises
    ------
    SystemError
        Five calls failed.
    Exception
        Whatever else ``read`` raises.
    """
    with _ONE_AT_A_TIME:
        for _ in range(_TRIES - 1):
            try:
                return read()
            except SystemError:
                continue
        return read()
