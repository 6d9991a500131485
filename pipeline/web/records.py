"""The records of the API. Frequencies are in MHz; channels are counted from low frequency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A scan of the corpus."""

    id: str
    file: str
    """Name of the file that was read."""
    target: str
    telescope: str
    mjd: float
    """Start of the first spectrum, UTC."""
    f_start_mhz: float
    """Lower edge of the lowest channel."""
    f_stop_mhz: float
    channels: int
    channel_width_hz: float
    spectra: int
    tsamp_s: float
    windows: int
    """Windows that were searched for signals, kept or not."""
    kept: int
    """Windows that were kept."""
    views: list[str]
    """Averaged views of the scan."""
    overview: bool
    """True if the corpus has an overview of the scan."""
    file_there: bool
    """True if a file of the scan is there."""


@dataclass(frozen=True, slots=True)
class SourcePage:
    """Some of the scans."""

    sources: list[SourceRecord]
    next: str | None
    """The ``cursor`` that asks for what follows; None at the end."""
    total: int
    """Number of scans that ``q`` leaves."""


class LevelRecord(BaseModel):
    """One level of the tiles of a scan."""

    model_config = ConfigDict(extra="forbid")
    level: int
    """Number of the level; negative levels are read from the file."""
    channels_per_cell: int
    spectra_per_row: int
    columns: int
    rows: int
    columns_per_tile: int
    row_spectra: list[int]
    """Spectra that a row may have, the most first: what ``spectra`` of a tile may be. An overview has one choice."""
    rows_per_block: int
    """Rows of a block: tiles of fewer spectra in a row are cut in time, too."""
    from_: Literal["overview", "file"] = Field(alias="from")


@dataclass(frozen=True, slots=True)
class ScaleRecord:
    """What a code of 8 bits means. Code 255 is masked."""

    db: list[float | None]
    """Power over the mean of the noise in decibels, for each code from 0 to 255. None: masked, or no power."""
    sigma: list[float | None]
    """Power over the mean of the noise, minus 1, in standard deviations of one pixel of noise."""
    low_db: float
    """Decibels of the lowest code that has any."""
    high_db: float
    """Decibels of code 254."""
    noise_spectra: float
    """N: the standard deviation of one pixel of noise is its mean divided by the root of N."""


NO_SCALE = ScaleRecord([], [], 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class SourceDetail(SourceRecord):
    """A scan, and how its tiles are cut."""

    levels: list[LevelRecord] = field(default_factory=list)
    """Levels of the tiles, finest first."""
    session: list[str] = field(default_factory=list)
    """Ids of the scans of its session, by time. A scan in no session stands alone."""
    pointings: list[str] = field(default_factory=list)
    """Name of the pointing of each of them."""
    scale: ScaleRecord = NO_SCALE
    """What a code of a tile means."""
    files: list[str] = field(default_factory=list)
    """Names of all files of the scan, without their folders."""


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """A kept window."""

    window: int
    """Number in its source: ``SOURCE/window`` names it, where SOURCE is the id of ``source``."""
    source: str
    """Id of the scan, or of the averaged view of it, that the window belongs to."""
    view: str
    """Name of the averaged view; empty for the plain one."""
    channel_start: int
    """First channel of the scan, whatever the view."""
    channel_stop: int
    f_start_mhz: float
    f_stop_mhz: float
    t_start_s: float
    t_stop_s: float
    snr: float


@dataclass(frozen=True, slots=True)
class WindowPage:
    """Kept windows in a range of frequency, by ascending frequency."""

    windows: list[WindowRecord]
    more: bool
    """True if there are more than ``limit``. Then those of the highest SNR are given."""


@dataclass(frozen=True, slots=True)
class WindowFacts(WindowRecord):
    """A stored window, and where it was seen."""

    mjd: float = 0.0
    target: str = ""
    file: str = ""
    spectra: int = 0
    """Rows of its codes."""
    channels: int = 0
    """Columns of its codes; a pixel of an averaged view covers several channels."""
    known: list[str] = field(default_factory=list)
    """Bands of known interference that it touches."""


@dataclass(frozen=True, slots=True)
class WindowDetail(WindowFacts):
    """A stored window, and what its codes mean."""

    scale: ScaleRecord = NO_SCALE
    """What a code of ``.bin`` means."""


@dataclass(frozen=True, slots=True)
class WindowPixels(WindowFacts):
    """A stored window with its pixels."""

    noise_spectra: float = 1.0
    """N: the standard deviation of one pixel of noise is its mean divided by the root of N."""
    codes: str = ""
    """Its codes, as in ``.bin``: spectra × channels bytes, row by row, in base 64."""


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Several stored windows with their pixels."""

    windows: list[WindowPixels]
    """In the order in which they were asked for."""
    missing: list[str]
    """Names that are those of no kept window."""
    damaged: list[str]
    """Names of kept windows whose pixels cannot be read. The log of the server says why."""


@dataclass(frozen=True, slots=True)
class BandRecord:
    """A band in which interference is known."""

    name: str
    kind: str
    f_start_mhz: float
    f_stop_mhz: float
    telescope: str
    source: str
    note: str


@dataclass(frozen=True, slots=True)
class KnownBands:
    """Bands of known interference, by ascending frequency."""

    bands: list[BandRecord]
