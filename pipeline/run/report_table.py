"""Stores the reports of many sources in a third of the memory that report objects would take."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import astuple, fields

import numpy as np

from pipeline.model import SourceReport, Timing

_NAMES = [field.name for field in fields(SourceReport) if field.name != "timing"]
_ROW = np.dtype([(field.name, np.int64 if field.type == "int" else object) for field in fields(SourceReport)
                 if field.name != "timing"] + [(field.name, np.float64) for field in fields(Timing)])


class Reports(Collection[SourceReport]):
    """Reports in order of arrival, stored as rows of a table. Iteration makes the report objects again."""

    def __init__(self, room: int) -> None:
        """Reserve memory for ``room`` reports at once, so that a run takes its memory when it begins."""
        self._rows = np.zeros(room, _ROW)
        self._count = 0

    def append(self, report: SourceReport) -> None:
        """Add a report."""
        self._rows[self._count] = (*(getattr(report, name) for name in _NAMES), *astuple(report.timing))
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[SourceReport]:
        for row in self._rows[:self._count]:
            values = row.item()
            timing = Timing(*values[len(_NAMES):])
            yield SourceReport(**dict(zip(_NAMES, values, strict=False)), timing=timing)

    def __contains__(self, report: object) -> bool:
        return any(one == report for one in self)
