"""Which files a night looks at: new and changed ones that lie still, and of those that failed, what is due."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.model import SourceReport
from pipeline.run.plan import may_heal, split_known
from pipeline.support.text import shown

DAY_S = 86_400.0
EARLY = 0.5
"""Days by which a night may begin earlier than the last did."""


def next_try_s(entry: FileEntry, tries: int) -> float | None:
    """Return from when on a file that failed is to be tried again, in Unix seconds; None for not before it changes.

    It rests 1, 2, 4, 8 … nights after its 1st, 2nd, 3rd, 4th … try; after so many ``tries`` it is in quarantine.
    """
    if not may_heal(entry) or entry.tries >= tries:
        return None
    return entry.tried_s + (2.0 ** (entry.tries - 1) - EARLY) * DAY_S


@dataclass(slots=True)
class Choice:
    """What one night looks at. :meth:`split` is what :func:`pipeline.run.ingest` asks."""

    now_s: float
    min_age_s: float
    """Only files that have lain still for so long."""
    tries: int
    retry: bool = False
    """Try all that failed, whether it is due or not."""
    taken: set[str] = field(default_factory=set)
    """Paths that are looked at."""
    left: list[SourceReport] = field(default_factory=list)
    """Files that are left for the next night."""

    def split(
        self, found: Sequence[FoundFile], stats: Iterable[tuple[int, int] | None], manifest: Manifest
    ) -> tuple[list[FoundFile], list[SourceReport]]:
        """Separate the files to read from the others, as :func:`pipeline.run.plan.split_known` does.

        A file has lain still when neither its content nor its place has changed of late (by mtime and ctime: a copy may
        be given the time of its original), and not since it was found.
        """
        before = dict(zip((file.path for file in found), stats, strict=True))
        unknown, known = split_known(found, before.values(), manifest, self._is_due)
        chosen = []
        for file in unknown:
            still_s = self._still_for_s(file, before[file.path])
            if still_s >= self.min_age_s:
                chosen.append(file)
            else:
                changed = f"changed {max(0.0, still_s):.0f} s ago"
                self.left.append(SourceReport(str(file.path), "busy", reason=Reason.BUSY,
                                              message=f"{shown(file.path)}: {changed}; left for the next night"))
        self.taken.update(str(file.path) for file in chosen)
        return chosen, [*known, *self.left]

    def _still_for_s(self, file: FoundFile, before: tuple[int, int] | None) -> float:
        try:
            stat = os.stat(file.path)
        except OSError:
            return float("inf")  # gone: it is looked at, and reported so
        if before != (stat.st_size, stat.st_mtime_ns):
            return 0.0
        return self.now_s - max(stat.st_mtime, stat.st_ctime)

    def _is_due(self, entry: FileEntry) -> bool:
        if self.retry:
            return entry.is_wrong
        at_s = next_try_s(entry, self.tries)
        return at_s is not None and self.now_s >= at_s
