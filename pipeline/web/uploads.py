"""Arrays that people send to search for. They stay in memory, and are forgotten with the searches that use them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.web.problems import Problem

MAX_KEPT_BYTES = 1 << 27
"""Largest size of all arrays together."""


class Uploads:
    """The last arrays that were sent. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, power: NDArray[np.float64]) -> str:
        """Keep an array (spectra, channels); return its id. The oldest ones make room for it."""
        upload_id = hashlib.sha256(repr(power.shape).encode() + power.tobytes()).hexdigest()[:20]
        with self._lock:
            self._kept[upload_id] = power
            self._kept.move_to_end(upload_id)
            while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > MAX_KEPT_BYTES:
                self._kept.popitem(last=False)
        return upload_id

    def get(self, upload_id: str) -> NDArray[np.float64]:
        """Return an array; raise :class:`Problem` if it is not kept any more."""
        with self._lock:
            if upload_id in self._kept:
                self._kept.move_to_end(upload_id)
                return self._kept[upload_id]
        raise Problem(404, "no_such_upload", "the file that this search is for is not kept any more",
                      "send the file again")

    def forget(self, upload_id: str) -> None:
        """Delete an array, if it is kept."""
        with self._lock:
            self._kept.pop(upload_id, None)
