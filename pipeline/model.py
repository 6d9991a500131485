"""The nouns of the pipeline: frozen, unit-named, free of behaviour that touches a disk.

Channel numbers are *ascending*: channel 0 is the lowest frequency, whatever the sign of ``foff`` in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from pipeline.errors import Reason

SECONDS_PER_DAY = 86_400.0
TELESCOPES = {4: "PKS", 6: "GBT", 9: "ATA"}
"""sigproc number → short name of a telescope, as source ids begin."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a filterbank file says of itself (sigproc keywords, with units in the names)."""

    fch1_mhz: float
    """Centre frequency of the first channel *in the file*."""
    foff_mhz: float
    """Channel spacing; negative where the file runs from high to low frequency."""
    nchans: int
    nifs: int
    """Polarisation products; the first is total power."""
    nbits: int
    """Bits a stored sample."""
    tsamp_s: float
    nsamples: int
    """Number of spectra."""
    tstart_mjd: float
    """UTC start of the first spectrum."""
    source_name: str = ""
    telescope_id: int = 0
    """sigproc number of the telescope, see :data:`TELESCOPES`."""
    machine_id: int = 0
    ra_hours: float = 0.0
    dec_deg: float = 0.0
    rawdatafile: str = ""

    @property
    def telescope(self) -> str:
        """Short name of the telescope, such as ``GBT``; ``T<number>`` where it has none in :data:`TELESCOPES`."""
        return TELESCOPES.get(self.telescope_id, f"T{self.telescope_id}")

    @property
    def channel_width_mhz(self) -> float:
        """``|foff|``."""
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
        """Length of the observation."""
        return self.nsamples * self.tsamp_s

    def channel_edge_mhz(self, channel: float) -> float:
        """Lower edge of ascending ``channel``; ``nchans`` gives the upper edge of the band."""
        return self.f_min_mhz + channel * self.channel_width_mhz

    def channel_at(self, f_mhz: float) -> float:
        """Ascending channel number, fractional, whose lower edge lies at ``f_mhz`` (inverse of the above)."""
        return (f_mhz - self.f_min_mhz) / self.channel_width_mhz

    def mjd_at(self, t_s: float) -> float:
        """UTC as MJD, ``t_s`` seconds after the first spectrum."""
        return self.tstart_mjd + t_s / SECONDS_PER_DAY

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Header from :meth:`to_json`'s dictionary."""
        return cls(**record)


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """Shape and spacing of windows, in channels and spectra: never in rounded MHz."""

    channels: int = 256
    """Fine channels a window."""
    step: int = 256
    """Fine channels from one window to the next, within a coarse channel."""
    integrations: int = 16
    """Spectra a window; spectra are cut in blocks of this many, without overlap."""

    def __post_init__(self) -> None:
        for name in ("channels", "step", "integrations"):
            if getattr(self, name) < 1:
                raise ValueError(f"grid {name} must be at least 1, got {getattr(self, name)}")


CoarseOrigin = Literal["flag", "product", "dc-spikes", "whole-band"]


@dataclass(frozen=True, slots=True)
class CoarseLayout:
    """Where the coarse channels lie. The header does not say; ``origin`` records how it was found out."""

    width: int
    """Fine channels a coarse channel."""
    origin: CoarseOrigin
    offset: int = 0
    """Ascending channel at which a whole coarse channel begins (0 ≤ offset < width); what lies before it is a
    shorter piece of one, as is the rest at the top of the band."""

    @property
    def has_dc_spike(self) -> bool:
        """True where the pieces are true coarse channels, with an FFT's DC bin in the middle."""
        return self.origin != "whole-band"


@dataclass(frozen=True, slots=True)
class Source:
    """One scan of the sky. Identity is the observation, never the path: a .fil and its .h5 are one source."""

    id: str
    """``GBT_57436_51432_HIP77257_<digest>``: telescope, MJD, UT second, target, digest of band and samples."""
    header: Header
    coarse: CoarseLayout
    path: str
    """The file it was (or will be) read from."""
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one source, in every unit a person may ask for. Derived from its number, never stored."""

    source_id: str
    number: int
    """time block × windows a block + position counted from low frequency."""
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
    """Seconds after the first spectrum of the file."""
    t_stop_s: float
    mjd: float
    """UTC of the window's first spectrum."""


Precision = Literal["float32", "bfloat16", "float16"]
"""What a network computes with; its variables are float32 in any case."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Identity of an encoder: equal specs give equal vectors within ``tolerance``."""

    name: str
    version: int
    dimension: int
    input: str
    """What it takes, e.g. ``cutout-v1 16x256``."""
    weights_sha256: str = ""
    """Empty for encoders without weights."""
    precision: str = "float32"
    metric: str = "cosine"
    tolerance: float = 1e-4
    """Largest difference a component may have between batch sizes and machines."""

    @property
    def key(self) -> str:
        """Folder name of this encoder's vectors: name, version and, with weights, their digest."""
        tail = f"-{self.weights_sha256[:8]}" if self.weights_sha256 else ""
        reduced = "" if self.precision == "float32" else f"-{self.precision}"
        return f"{self.name}-v{self.version}{tail}{reduced}"


Status = Literal["done", "skipped", "failed", "busy"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a source (or a part of one) spent at each step, summed over its tasks."""

    read_s: float = 0.0
    scan_s: float = 0.0
    embed_s: float = 0.0
    write_s: float = 0.0

    def __add__(self, other: Timing) -> Timing:
        return Timing(
            self.read_s + other.read_s,
            self.scan_s + other.scan_s,
            self.embed_s + other.embed_s,
            self.write_s + other.write_s,
        )


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What became of one file."""

    path: str
    status: Status
    source_id: str = ""
    reason: Reason | None = None
    message: str = ""
    windows_seen: int = 0
    """Windows searched, kept or not: the exposure."""
    windows_kept: int = 0
    windows_masked: int = 0
    """Windows left out because most of their pixels are dead."""
    windows_embedded: int = 0
    """Windows of which this run made vectors."""
    channels_skipped: int = 0
    """Fine channels in no window: the remainder of each coarse channel, and gaps of a step over the width."""
    bytes_decoded: int = 0
    timing: Timing = field(default_factory=Timing)
    also_at: tuple[str, ...] = ()
    """Other paths that hold the same scan."""


@dataclass(frozen=True, slots=True)
class Match:
    """How a hit's window lies over the query's where the two have most in common."""

    correlation: float
    """From 0, nothing in common, to 1."""
    shift_hz: float
    """The pattern lies so much higher in its window than the query's in its own."""
    shift_s: float
    """And so much later."""
    extra_drift_hz_per_s: float
    """It drifts by so much more; 0 unless asked for."""
    mirrored: bool
    """It resembles the query with frequency reversed; False unless asked for."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: a window that looks like the query."""

    rank: int
    score: float
    """Cosine similarity of the vectors, 1 = same direction."""
    window: Window
    source_id: str
    file: str
    target: str
    telescope_id: int
    snr: float
    """The gate's best statistic, in sigmas of the radiometer noise."""
    merged: tuple[int, ...] = ()
    """Numbers of other windows of the same source, overlapping or touching, merged into this hit."""
    match: Match | None = None
    """Of a search that compared hits again, pixel by pixel."""
    nearness: float | None = None
    """Of a search in which it counts: how near the query's frequency the window is, from −1 to 1."""
    query_window: Window | None = None
    """The window of the query that it resembles most, by which it has its score; None where the query is an array."""

    def to_json(self) -> dict[str, Any]:
        """Flat record, as ``search --json`` prints it."""
        window, match, query = self.window, self.match, self.query_window
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "source": self.source_id,
            "file": self.file,
            "target": self.target,
            "window": window.number,
            "f_start_mhz": round(window.f_start_mhz, 9),
            "f_stop_mhz": round(window.f_stop_mhz, 9),
            "t_start_s": round(window.t_start_s, 6),
            "t_stop_s": round(window.t_stop_s, 6),
            "mjd": round(window.mjd, 9),
            "snr": round(self.snr, 2),
            "merged": list(self.merged),
            "correlation": match and round(match.correlation, 6),
            "shift_hz": match and round(match.shift_hz, 3),
            "shift_s": match and round(match.shift_s, 3),
            "extra_drift_hz_per_s": match and round(match.extra_drift_hz_per_s, 6),
            "mirrored": match and match.mirrored,
            "nearness": None if self.nearness is None else round(self.nearness, 6),
            "query_f_start_mhz": query and round(query.f_start_mhz, 9),
            "query_f_stop_mhz": query and round(query.f_stop_mhz, 9),
            "query_t_start_s": query and round(query.t_start_s, 6),
            "query_t_stop_s": query and round(query.t_stop_s, 6),
        }
