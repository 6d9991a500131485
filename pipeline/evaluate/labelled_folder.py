"""Folders of real windows with labels, such as those that a person has sorted by eye.

A folder holds ``power_ascending.npy``, (n, 16, 256) power of mean 1 where there is no signal, in ascending frequency,
and one file ``labels*.json``: ``{"kinds": {name: [window, …]}, "noise": [window, …]}``. Windows that it does not name
have no label. A kind named ``A+B`` is kind A with something else in the window.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.simulate import FINE_GRID, KINDS, NOISE

POWER = "power_ascending.npy"
LABELS = "labels*.json"


@dataclass(frozen=True, slots=True)
class LabelledFolder:
    """Real windows, and the numbers of those of each kind."""

    power: NDArray[np.floating]
    """(n, 16, 256), ascending frequency."""
    kinds: Mapping[str, tuple[int, ...]]
    noise: tuple[int, ...] = ()
    fill_rows: frozenset[str] = frozenset(kind.label or kind.name for kind in KINDS.values() if kind.fills_rows)
    """Kinds that fill whole rows. The file of labels may list them as ``fill_rows``. Default: those of
    :data:`~pipeline.simulate.KINDS` that do."""

    def labelled(self) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
        """Return the numbers (n,) of the windows that have a label, and their labels (n,).

        A kind named ``A+B`` counts as A. Windows of noise are labelled :data:`~pipeline.simulate.NOISE`.
        """
        labels = {NOISE: self.noise, **self.kinds}
        named = [(number, name.partition("+")[0]) for name, numbers in labels.items() for number in numbers]
        numbers, names = zip(*sorted(named), strict=True) if named else ((), ())
        return np.array(numbers, np.int64), np.array(names, np.str_)

    def windows(self, kind: str, count: int) -> NDArray[np.float32]:
        """Return at most ``count`` windows of a kind, spread evenly over all of them; none if it has none."""
        numbers = self.kinds.get(kind, ())
        chosen = [numbers[len(numbers) * i // count] for i in range(count)] if len(numbers) >= count else list(numbers)
        return np.asarray(self.power[chosen], np.float32)


def read_labelled_folder(folder: Path) -> LabelledFolder:
    """Read a folder of labelled windows. The windows stay on disk until they are used.

    Raises
    ------
    ConfigError
        A file is missing, cannot be read, or holds something else.
    """
    labels = sorted(folder.glob(LABELS))
    if not (folder / POWER).is_file() or len(labels) != 1:
        raise ConfigError(f"{folder}: must hold {POWER} and one file {LABELS}, but holds {len(labels)} such files and "
                          f"{'a' if (folder / POWER).is_file() else 'no'} {POWER}; name another folder")
    try:
        power = np.load(folder / POWER, mmap_mode="r", allow_pickle=False)
        read = json.loads(labels[0].read_text(encoding="utf-8"))
        kinds = {str(name): _numbers(numbers) for name, numbers in read["kinds"].items()}
        noise = _numbers(read.get("noise", []))
        listed = {"fill_rows": frozenset(map(str, read["fill_rows"]))} if "fill_rows" in read else {}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{folder}: {POWER} or {labels[0].name} cannot be read ({error})") from error
    shape = (FINE_GRID.integrations, FINE_GRID.channels)
    if power.ndim != 3 or power.shape[1:] != shape or not np.issubdtype(power.dtype, np.floating):
        raise ConfigError(f"{folder / POWER}: holds {power.dtype} of shape {power.shape}; expected float numbers of "
                          f"shape (n, {shape[0]}, {shape[1]})")
    wrong = [number for numbers in (*kinds.values(), noise) for number in numbers if not 0 <= number < len(power)]
    if wrong:
        raise ConfigError(f"{labels[0]}: names window {wrong[0]}, but {POWER} has windows 0 to {len(power) - 1}")
    counts = Counter(number for numbers in (*kinds.values(), noise) for number in numbers)
    if twice := [number for number, count in counts.items() if count > 1]:
        raise ConfigError(f"{labels[0]}: names window {twice[0]} {counts[twice[0]]} times; a window has one label")
    return LabelledFolder(power, kinds, noise, **listed)


def _numbers(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
