"""What the driver knows of a source between its first task and its last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline import tasks
from pipeline.model import SourceReport
from pipeline.overview import overview_name
from pipeline.store import remove_parts
from pipeline.views import PLAIN


@dataclass(slots=True)
class OpenSource:
    """A source with tasks that have been submitted."""

    work: tasks.Work
    left: int = 0
    """Tasks of its current step that have not ended."""
    in_flight: int = 0
    """Tasks that have been submitted and have not ended."""
    slices: Sequence[tasks.Piece] = ()
    """Rows of each embed task, of the source and of its views; empty until the number of windows is known."""
    is_whole: bool = False
    """True if one task embeds all slices and commits the vectors."""
    fault: str = ""
    """Why no window of a part could be searched, if there is such a part."""
    report: SourceReport = field(init=False)
    is_over: bool = False

    def __post_init__(self) -> None:
        self.report = self.work.new_report()

    def rows_of(self, part_no: int) -> int:
        """Return the number of windows of a part that is to be embedded."""
        pieces = self.slices if self.is_whole else self.slices[part_no : part_no + 1]
        return sum(stop - start for start, stop in (piece.rows for piece in pieces))

    def remove_parts(self) -> None:
        """Delete what its tasks have left in the staging folder."""
        for view in (PLAIN, *self.work.views):
            remove_parts(self.work.staging, view.id_of(self.work.source.id))
        remove_parts(self.work.staging, overview_name(self.work.source.id))
