"""Where the cells of an overview are: levels, rows and columns. This is plain arithmetic, without any data.

A cell of level 0 has 256 neighbouring channels; a cell of each further level has four cells of the level before. Cells
are counted from low frequency, and the last one of a level may have fewer channels. All levels have the same rows. A
row is one spectrum, or several if a file has more than 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pipeline.model import Header

CELL_CHANNELS = 256
"""Channels in a cell of level 0."""
FACTOR = 4
"""Cells of a level in one cell of the next level."""
MAX_ROWS = 64
"""Maximum number of rows."""
LEAST_COLUMNS = 64
"""A level of so few columns, or fewer, is the last."""
SUFFIX = "+overview"
"""End of the name of an overview. No id of a scan or of an averaged view ends like this."""


def overview_name(scan_id: str) -> str:
    """Return the name of the overview of a scan."""
    return f"{scan_id}{SUFFIX}"


def scan_of_overview(name: str) -> str:
    """Return the id of the scan that an overview shows; an empty text if no overview has this name."""
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else ""


@dataclass(frozen=True, slots=True)
class OverviewLayout:
    """Levels, rows and columns of the overview of one scan."""

    nchans: int
    nsamples: int

    @classmethod
    def of(cls, header: Header) -> Self:
        """Return the layout for a scan."""
        return cls(header.nchans, header.nsamples)

    @property
    def spectra_per_row(self) -> int:
        """Spectra in a row. The last row may have fewer."""
        return max(1, -(-self.nsamples // MAX_ROWS))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return -(-self.nsamples // self.spectra_per_row)

    @property
    def levels(self) -> int:
        """Number of levels."""
        count = 1
        while self.columns(count - 1) > LEAST_COLUMNS:
            count += 1
        return count

    def channels(self, level: int) -> int:
        """Return the number of channels in a cell of a level."""
        return CELL_CHANNELS * int(FACTOR**level)

    def columns(self, level: int) -> int:
        """Return the number of columns of a level."""
        return -(-self.nchans // self.channels(level))

    def first(self, level: int) -> int:
        """Return the number of columns of all levels before this one. They are stored one level after another."""
        return sum(map(self.columns, range(level)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the codes of all levels: columns, 2 (maximum and mean), rows."""
        return self.first(self.levels), 2, self.rows

    def level_for(self, channels: float, width: int) -> int:
        """Return the coarsest level with at least ``width`` columns in a number of channels; 0 if there is none."""
        return max(level for level in range(self.levels)
                   if level == 0 or channels >= width * self.channels(level))
