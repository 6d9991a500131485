"""What was measured in source files, kept beside the corpus, so that it is measured once.

Source ids follow from what files hold, so what was measured stays true wherever the files are. The file can be deleted
at any time.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from pathlib import Path
from typing import NamedTuple

from pipeline.support.durable import atomic_file
from pipeline.support.regular_files import read_file

FORMAT = 1
"""Changes when measurements of earlier versions must be made again."""
MAX_ENTRIES = 20_000
"""Largest number of measurements that are kept. The oldest are dropped."""
MAX_BYTES = 1 << 23
"""Largest size of a file that is read."""


class Measured(NamedTuple):
    """Power of the signal of a hit in one other scan."""

    own_snr: float
    """SNR of the hit along its track, in its own scan."""
    snr: float
    """Largest sum where the signal is expected, in standard deviations."""
    threshold: float
    """Sum that noise alone reaches there with a small probability."""
    is_whole: bool
    """True if all places were searched at which the signal may be."""


class PowerStore:
    """Measurements by their names.

    Parameters
    ----------
    path : Path
    entries : dict
        Name → measurement, the oldest first.
    """

    def __init__(self, path: Path, entries: dict[str, Measured]) -> None:
        self.path, self._entries, self._is_changed = path, entries, False

    @classmethod
    def open(cls, root: Path) -> PowerStore:
        """Read the measurements of a corpus.

        A file that others can read or write, or that is damaged, is not used. It is written again.
        """
        path = store_path(root)
        try:
            status = os.lstat(path)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                return cls(path, {})
            record = json.loads(read_file(path, MAX_BYTES))
            made = {str(name): _measured(values) for name, values in record["entries"].items()}
            return cls(path, made if record["format"] == FORMAT else {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(path, {})

    def get(self, name: str) -> Measured | None:
        """Return a measurement; None if it was not made."""
        return self._entries.get(name)

    def put(self, name: str, measured: Measured) -> None:
        """Keep a measurement."""
        self._entries[name] = measured
        self._is_changed = True

    def save(self) -> None:
        """Write new measurements. Where nobody may write beside the corpus, they are forgotten."""
        if not self._is_changed:
            return
        kept = dict(list(self._entries.items())[-MAX_ENTRIES:])
        with contextlib.suppress(OSError), atomic_file(self.path, flush=False) as file:
            os.fchmod(file.fileno(), 0o600)  # before anything is written
            file.write(json.dumps({"format": FORMAT, "entries": kept}).encode())
        self._is_changed = False


def store_path(root: Path) -> Path:
    """Return the path of the measurements for a corpus, which may not exist: ``CORPUS-power.json`` beside it."""
    root = root.absolute()
    return root.with_name(f"{root.name}-power.json")


def _measured(values: object) -> Measured:
    """Check what was read; raise ``ValueError`` if it is no measurement."""
    if not isinstance(values, list) or len(values) != 4 or not isinstance(values[3], bool):
        raise ValueError(values)
    numbers = [float(value) for value in values[:3]]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(values)
    return Measured(numbers[0], numbers[1], numbers[2], values[3])
