"""What people send to search for. It stays in memory, and is forgotten."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.hit_tables import HitRow, HitTable
from pipeline.web.problems import Problem

MAX_KEPT_BYTES = 1 << 27
"""Largest size of all things of one kind together."""
LIFE_S = 3600.0
"""Time after which a thing that nobody used is forgotten, in seconds. Arrays of kept results stay with these."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SentPicture:
    """A picture that was sent."""

    name: str
    content: bytes
    drawn: bytes
    """PNG of what was read from it, beside the picture; empty if nothing was."""


class LastSent(Generic[_T]):
    """The last things of one kind that were sent, by id. Threads may share it.

    Parameters
    ----------
    what : str
        Noun for such a thing, for messages.
    is_used : callable, optional
        Tells of an id whether something else still needs the thing. Then it is not forgotten for its age.
    """

    def __init__(self, what: str, is_used: Callable[[str], bool] = lambda kept_id: False) -> None:
        self._what = what
        self._is_used = is_used
        self._kept: OrderedDict[str, tuple[_T, int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, kept_id: object) -> bool:
        return kept_id in self._kept

    def put(self, kept_id: str, thing: _T, size: int, *, replaces: bool = True) -> str:
        """Keep a thing of ``size`` bytes; return its id. The oldest ones make room for it.

        Without ``replaces``, a thing that is kept under this id stays, with what was found for it.
        """
        self.forget_old()
        with self._lock:
            if not replaces and kept_id in self._kept:
                thing = self._kept[kept_id][0]
            self._kept[kept_id] = thing, size, time.monotonic()
            self._kept.move_to_end(kept_id)
            while len(self._kept) > 1 and sum(one[1] for one in self._kept.values()) > MAX_KEPT_BYTES:
                self._kept.popitem(last=False)
        return kept_id

    def get(self, kept_id: str) -> _T:
        """Return a thing; raise :class:`Problem` if it is not kept any more."""
        self.forget_old()
        with self._lock:
            if kept_id in self._kept:
                self._kept.move_to_end(kept_id)
                return self._kept[kept_id][0]
        raise Problem(404, "no_such_upload", f"the {self._what} that this is about is not kept any more",
                      "send the file again")

    def forget_old(self) -> None:
        """Delete what was sent more than an hour ago and is not used."""
        with self._lock:
            now_s = time.monotonic()
            old = [one for one, (_, _, sent_s) in self._kept.items() if now_s - sent_s > LIFE_S]
            for kept_id in old:
                if not self._is_used(kept_id):
                    del self._kept[kept_id]

    def forget(self, kept_id: str) -> None:
        """Delete a thing, if it is kept."""
        with self._lock:
            self._kept.pop(kept_id, None)


@dataclass(frozen=True, slots=True)
class SentHitTable:
    """A hit table that was sent, and what was found for its rows so far."""

    table: HitTable
    name: str
    """Name of its file."""
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Number of a row → its answer, with the columns of :data:`pipeline.search.ROW_COLUMNS`."""


class Uploads(LastSent[NDArray[np.float64]]):
    """The last arrays that were sent. They are forgotten with the searches that use them, or after an hour without."""

    def __init__(self, is_used: Callable[[str], bool] = lambda kept_id: False) -> None:
        super().__init__("array", is_used)
        self._rows: dict[str, HitRow] = {}

    def add(self, power: NDArray[np.float64], row: HitRow | None = None) -> str:
        """Keep an array (spectra, channels); return its id. ``row`` is the row of a hit table that has these pixels."""
        of = "" if row is None else f"{row.f_mhz} {row.drift_hz_per_s} {row.scan}"
        upload_id = hashlib.sha256(f"{power.shape} {of}".encode() + power.tobytes()).hexdigest()[:20]
        self.put(upload_id, power, power.nbytes)
        self._rows = {one: kept for one, kept in self._rows.copy().items() if one in self}
        if row is not None and row.pixels is not None:  # its pixels are kept once
            self._rows[upload_id] = replace(row, pixels=replace(row.pixels, power=np.empty((0, 0), np.float32)))
        return upload_id

    def row_of(self, upload_id: str) -> HitRow | None:
        """Return the row of a hit table whose pixels an array has; its pixels are left out. None for other arrays."""
        return self._rows.get(upload_id)
