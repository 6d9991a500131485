"""Arrays that are dear to make, kept while there is room for them. The one used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray


class KeptArrays:
    """Arrays of codes by key. Threads may share it, and never make the same array at the same time.

    Parameters
    ----------
    max_bytes : int
        Largest size of all arrays together. The last one that was made stays, however large it is.
    """

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self._kept: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Return the array of a key. If it is not kept, make it."""
        with self._lock:
            if (found := self._found(key)) is not None:
                return found
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if (found := self._found(key)) is not None:
                    return found
            made = make()
            with self._lock:
                self._making.pop(key, None)
                self._kept[key] = made
                while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > self._room:
                    self._kept.popitem(last=False)
        return made

    def _found(self, key: Hashable) -> NDArray[np.uint8] | None:
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]
