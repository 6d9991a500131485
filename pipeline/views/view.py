"""Views of a scan: the scan averaged over channels and spectra, cut into windows like a source of its own.

A view has the id of its scan with a suffix, such as ``GBT_57436_51432_HIP77257_0123456789+f4``. No id of a scan ends
like this. The plain view is the scan itself, and has no suffix. This is plain arithmetic, without any data.

Averages begin at the lowest channel and at the first spectrum, and never cross the edge of a coarse channel. What is
left at the end is in no averaged pixel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from pipeline.model import CoarseLayout, Header, WindowGrid

FREQUENCY_FACTORS = (1, 4, 16, 64)
"""Channels that a view may average."""
TIME_FACTORS = (1, 4, 16)
"""Spectra that a view may average."""
SEPARATOR = "+"
"""Between the id of a scan and the name of a view."""
_NAME = r"(?=[ft])(?:f(4|16|64))?(?:t(4|16))?"
SUFFIX = rf"\{SEPARATOR}(?:f(?:4|16|64)(?:t(?:4|16))?|t(?:4|16))"
"""Pattern of the end of a view's id."""


@dataclass(frozen=True, slots=True)
class View:
    """How many channels and spectra are averaged."""

    frequency: int = 1
    time: int = 1

    def __post_init__(self) -> None:
        if self.frequency not in FREQUENCY_FACTORS or self.time not in TIME_FACTORS:
            raise ValueError(f"a view averages {_or(FREQUENCY_FACTORS)} channels and {_or(TIME_FACTORS)} spectra, got "
                             f"{self.frequency} and {self.time}")

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the view of a name such as ``f4``, ``t16`` or ``f4t4``; of an empty text, the plain view.

        Raises
        ------
        ValueError
            No view has this name.
        """
        match = re.fullmatch(_NAME, name) if name else None
        if name and match is None:
            raise ValueError(f"{name!r} is no view: give f and t with the numbers of channels and spectra to average "
                             f"({_or(FREQUENCY_FACTORS[1:])}; {_or(TIME_FACTORS[1:])}), such as f4, t16 or f4t4")
        return cls(*(int(digits or 1) for digits in match.groups())) if match else cls()

    @property
    def name(self) -> str:
        """Name, such as ``f4t4``; empty for the plain view."""
        return "".join(f"{letter}{factor}" for letter, factor in (("f", self.frequency), ("t", self.time))
                       if factor > 1)

    @property
    def pixels(self) -> int:
        """Number of pixels of the scan in an averaged pixel."""
        return self.frequency * self.time

    @property
    def order(self) -> tuple[int, int]:
        """Key to sort views by: those with the smallest averaged pixels come first, and the plain view before them."""
        return self.pixels, self.time

    def header_of(self, header: Header) -> Header:
        """Return the header of a scan as this view shows it. Frequencies and times of its pixels are right."""
        f, rest = self.frequency, header.nchans % self.frequency
        # the first channel in the file is at the upper end of the band if foff < 0; averages begin at the lower end
        skipped = rest if header.foff_mhz < 0 else 0
        return replace(
            header,
            fch1_mhz=header.fch1_mhz + (skipped + (f - 1) / 2) * header.foff_mhz,
            foff_mhz=header.foff_mhz * f,
            nchans=header.nchans // f,
            nfpc=header.nfpc // f if header.nfpc % f == 0 else 0,
            tsamp_s=header.tsamp_s * self.time,
            nsamples=header.nsamples // self.time,
        )

    def coarse_of(self, coarse: CoarseLayout) -> CoarseLayout:
        """Return the coarse channels of a scan, counted in channels of this view."""
        return replace(coarse, width=coarse.width // self.frequency, offset=coarse.offset // self.frequency)

    def suits(self, header: Header, coarse: CoarseLayout, grid: WindowGrid) -> bool:
        """Tell whether this view of a scan has windows, and its averages keep to coarse channels and time blocks."""
        is_one_piece = coarse.offset == 0 and coarse.width >= header.nchans
        keeps_to_pieces = is_one_piece or (coarse.width % self.frequency == 0 == coarse.offset % self.frequency)
        return (keeps_to_pieces and grid.integrations % self.time == 0
                and min(coarse.width, header.nchans) // self.frequency >= grid.channels
                and header.nsamples // self.time >= grid.integrations)

    def id_of(self, scan_id: str) -> str:
        """Return the id of this view of a scan."""
        return f"{scan_id}{SEPARATOR}{self.name}" if self.name else scan_id


PLAIN = View()
"""The view that averages nothing: the scan itself."""


@lru_cache(maxsize=4096)
def split_id(source_id: str) -> tuple[str, str]:
    """Return the id of the scan of a source, and the name of the view; the name is empty for the plain view."""
    match = re.search(rf"{SUFFIX}\Z", source_id)
    return (source_id[: match.start()], source_id[match.start() + 1 :]) if match else (source_id, "")


def scan_of(source_id: str) -> str:
    """Return the id of the scan of a source, which may be a view of it."""
    return split_id(source_id)[0]


def view_of(source_id: str) -> str:
    """Return the name of the view that a source is; empty for the plain view."""
    return split_id(source_id)[1]


def shown_view(name: str) -> str:
    """Return the name of a view for people: ``1x`` for the plain one."""
    return name or "1x"


def is_plain(source_id: str) -> bool:
    """Tell whether a source is a scan itself, not an averaged view of one."""
    return not view_of(source_id)


def _or(factors: Sequence[int]) -> str:
    return f"{', '.join(map(str, factors[:-1]))} or {factors[-1]}"
