"""Headers, sources, windows and reports.

They are immutable, have units in their names, and touch no disk. Channel numbers are *ascending*: channel 0 has the
lowest frequency, whatever the sign of ``foff`` in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Literal

from pipeline.errors import Reason
from pipeline.support.records import Bounds, ByteCount, Count, Days, Integer, Mhz, Seconds, WindowCount

SECONDS_PER_DAY = 86_400.0
MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
"""Time at which the modified Julian date is 0."""
MAX_DIMENSION = 1 << 16
"""Largest number of components of a vector."""
TELESCOPES = {4: "PKS", 6: "GBT", 9: "ATA"}
"""sigproc number → short name of the telescope. Source ids begin with it."""


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a filterbank file: the sigproc keywords, with units in the names."""

    fch1_mhz: Mhz
    """Centre frequency of the first channel *in the file*."""
    foff_mhz: Mhz
    """Channel spacing. Negative if the frequencies in the file descend."""
    nchans: Count
    nifs: Count
    """Number of polarisations. The first is total power."""
    nbits: Count
    """Bits per stored sample."""
    tsamp_s: Seconds
    nsamples: Count
    """Number of spectra."""
    tstart_mjd: Days
    """Start of the first spectrum, UTC."""
    source_name: str = ""
    telescope_id: Integer = 0
    """sigproc number of the telescope, see :data:`TELESCOPES`."""
    machine_id: Integer = 0
    ra_hours: float = 0.0
    dec_deg: float = 0.0
    rawdatafile: str = ""
    nfpc: int = 0
    """Number of fine channels per coarse channel, as the file says; 0 if it does not say it."""

    @property
    def telescope(self) -> str:
        """Short name of the telescope, such as ``GBT``; ``T<number>`` if :data:`TELESCOPES` has none."""
        return TELESCOPES.get(self.telescope_id, f"T{self.telescope_id}")

    @property
    def channel_width_mhz(self) -> float:
        """Width of a channel, ``|foff|``."""
        return abs(self.foff_mhz)

    @property
    def f_min_mhz(self) -> float:
        """Lower *edge* of the lowest channel."""
        lowest = self.fch1_mhz if self.foff_mhz > 0 else self.fch1_mhz + (self.nchans - 1) * self.foff_mhz
        return lowest - self.channel_width_mhz / 2

    @property
    def f_max_mhz(self) -> float:
        """Upper edge of the highest channel."""
        return self.f_min_mhz + self.nchans * self.channel_width_mhz

    @property
    def duration_s(self) -> float:
        """Duration of the observation in seconds."""
        return self.nsamples * self.tsamp_s

    def channel_edge_mhz(self, channel: float) -> float:
        """Return the lower edge of an ascending channel. ``nchans`` gives the upper edge of the band."""
        return self.f_min_mhz + channel * self.channel_width_mhz

    def channel_at(self, f_mhz: float) -> float:
        """Return the fractional channel with the lower edge ``f_mhz``, the inverse of :meth:`channel_edge_mhz`."""
        return (f_mhz - self.f_min_mhz) / self.channel_width_mhz

    def mjd_at(self, t_s: float) -> float:
        """Return the UTC, as MJD, of ``t_s`` seconds after the start of the first spectrum."""
        return self.tstart_mjd + t_s / SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """Shape and spacing of windows. Channels and spectra are exact units; MHz and seconds are not."""

    channels: int = 256
    """Fine channels per window."""
    step: int = 256
    """Fine channels from one window to the next, within a coarse channel."""
    integrations: int = 16
    """Spectra per window. Spectra are cut into blocks of this number, side by side."""
    cover: bool = False
    """Whether a last, overlapping window and time block cover the remainders of coarse channels and spectra."""

    def __post_init__(self) -> None:
        for name in ("channels", "step", "integrations"):
            if getattr(self, name) < 1:
                raise ValueError(f"grid {name} must be at least 1, got {getattr(self, name)}")


CoarseOrigin = Literal["flag", "header", "product", "dc-spikes", "whole-band"]


@dataclass(frozen=True, slots=True)
class CoarseLayout:
    """Position of the coarse channels. Few headers give it; ``origin`` says how it was found."""

    width: Count
    """Fine channels per coarse channel."""
    origin: CoarseOrigin
    offset: Count = 0
    """First ascending channel of a whole coarse channel (0 ≤ offset < width). The channels before it, and the rest at
    the top of the band, are incomplete coarse channels."""

    @property
    def has_dc_spike(self) -> bool:
        """True if these are real coarse channels, which have the DC bin of an FFT in the middle."""
        return self.origin != "whole-band"


@dataclass(frozen=True, slots=True)
class Source:
    """One scan of the sky. It is identified by the observation, not by its path: a .fil and its .h5 are one source."""

    id: str
    """``GBT_57436_51432_HIP77257_<digest>``: telescope, MJD, UT second, target, digest of band and samples."""
    header: Header
    coarse: CoarseLayout
    path: str
    """Path of the file that is read."""
    size_bytes: ByteCount
    mtime_ns: Integer


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one source, in all units. It is computed from its number, and not stored."""

    source_id: str
    number: int
    """Time block × windows per block + position in the block, counted from low frequency."""
    channel_start: int
    """First ascending fine channel."""
    channel_stop: int
    spectrum_start: int
    spectrum_stop: int
    f_start_mhz: float
    """Lower edge of the first channel."""
    f_stop_mhz: float
    """Upper edge of the last channel."""
    t_start_s: float
    """Seconds since the start of the first spectrum of the file."""
    t_stop_s: float
    mjd: float
    """Start of the first spectrum of the window, UTC."""


Precision = Literal["float32", "bfloat16", "float16"]
"""Number format that a network computes in. Its weights are float32 in any case."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Identity of an encoder. Encoders with equal specs make equal vectors, within ``tolerance``."""

    name: str
    version: Count
    dimension: Annotated[int, Bounds(1, MAX_DIMENSION)]
    input: str
    """Format and shape of the input, such as ``cutout-v1 16x256``."""
    weights_sha256: str = ""
    """Digest of the weights; empty for encoders without weights."""
    precision: str = "float32"
    metric: str = "cosine"
    tolerance: float = 1e-4
    """Largest difference of a component between batch sizes and machines."""

    @property
    def key(self) -> str:
        """Name of the folder of this encoder's vectors: name, version, digest of the weights, and precision."""
        tail = f"-{self.weights_sha256[:8]}" if self.weights_sha256 else ""
        return f"{self.name}-v{self.version}{tail}" + ("" if self.precision == "float32" else f"-{self.precision}")


Status = Literal["done", "skipped", "failed", "busy"]
ViewCounts = tuple[str, WindowCount, WindowCount, WindowCount]
"""Name of an averaged view, and how many of its windows were searched, kept, and left out because they are masked."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that a source, or a part of one, took in each step. All its tasks are summed."""

    read_s: Seconds = 0.0
    scan_s: Seconds = 0.0
    embed_s: Seconds = 0.0
    write_s: Seconds = 0.0

    def __add__(self, other: Timing) -> Timing:
        return Timing(self.read_s + other.read_s, self.scan_s + other.scan_s, self.embed_s + other.embed_s,
                      self.write_s + other.write_s)


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Result for one file."""

    path: str
    status: Status
    source_id: str = ""
    reason: Reason | None = None
    message: str = ""
    windows_seen: WindowCount = 0
    """Windows that were searched, kept or not: the exposure."""
    windows_kept: WindowCount = 0
    windows_masked: WindowCount = 0
    """Windows that were left out because most of their pixels are masked."""
    windows_embedded: WindowCount = 0
    """Windows whose vectors this run made."""
    bytes_decoded: ByteCount = 0
    timing: Timing = field(default_factory=Timing)
    also_at: tuple[str, ...] = ()
    """Other paths that hold the same scan."""
    remarks: tuple[str, ...] = ()
    """What is odd about the header. The file could still be read."""
    views: tuple[ViewCounts, ...] = ()
    """Windows of each averaged view, which the other counts do not include."""
    replaces: tuple[str, ...] = ()
    """Ids of the sources that are the beginning of this scan, and whose place it takes."""
