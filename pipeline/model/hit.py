"""A hit of a search, with its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.model.values import Window


@dataclass(frozen=True, slots=True)
class Match:
    """Best alignment of a hit's window with the query's window."""

    correlation: float
    """Correlation at this alignment: from 0, nothing in common, to 1."""
    shift_hz: float
    """Position of the pattern in the hit's window minus its position in the query's window, in hertz."""
    shift_s: float
    """The same difference of positions in time, in seconds."""
    extra_drift_hz_per_s: float
    """Drift rate of the hit's pattern minus that of the query's pattern; 0 unless the search compared drifts."""
    mirrored: bool
    """True if the pattern resembles the query with frequency reversed; False unless the search allowed it."""


@dataclass(frozen=True, slots=True)
class OffPower:
    """Power of the signal of a hit in a scan at another pointing, along the track where it is expected."""

    scan: str
    """Id of the scan."""
    snr: float
    """Largest sum there over a box of the shape in which the gate saw the signal best, in standard deviations of its
    noise. So its uncertainty is 1. Noise alone gives 3 to 5, because it is the largest of many sums."""
    snr_limit: float
    """SNR that the signal may have there, with a confidence of 95 %."""


@dataclass(frozen=True, slots=True)
class OnOff:
    """Whether the signal of a hit is also in scans of its session at another pointing."""

    state: Literal["in OFF", "ON only", "undecided", "no OFF"]
    """*in OFF*: something alike is there. *ON only*: nothing is there, and the hit is strong enough to be seen there.
    *undecided*: it might be hidden. *no OFF*: there is no such scan, or it was not searched at this frequency."""
    off_scans: tuple[str, ...] = ()
    """Ids of the scans at another pointing that were looked at."""
    seen: tuple[str, ...] = ()
    """Windows in them that look like the hit, as ``SOURCE/NUMBER``."""
    snr_limit: float | None = None
    """SNR that the signal may have had in these scans without being kept, with a confidence of 95 %."""
    reason: str = ""
    """Why nothing could be decided, or which files could not be read."""
    power: tuple[OffPower, ...] = ()
    """Power measured in the files of these scans, if the search asked for it."""
    own_snr: float | None = None
    """SNR of the hit along its track, to compare ``power`` with; None where no power was measured."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a search: a window that looks like the query."""

    rank: int
    score: float
    """Cosine similarity of the vectors; 1 is the same direction. If examples refined the search, the query's vector is
    the direction that they give (:mod:`pipeline.search.refined`)."""
    window: Window
    source_id: str
    file: str
    target: str
    telescope_id: int
    snr: float
    """SNR of the window: the gate's largest box sum, in standard deviations of that box's noise."""
    merged: tuple[int, ...] = ()
    """Numbers of other windows of the same source that overlap or touch this one and were merged into it."""
    view: str = ""
    """Name of the averaged view that the window belongs to; empty for the plain one."""
    match: Match | None = None
    """Alignment with the query, if the search compared hits pixel by pixel; else None."""
    reranked: float | None = None
    """Weighted mean of score and correlation, by which hits are ordered, if the search compared them pixel by pixel;
    else None."""
    expanded: float | None = None
    """Cosine with the expanded query, by which hits are ordered, if the search expanded it; else None."""
    nearness: float | None = None
    """Nearness to the query's frequency, from −1 to 1, if the search used it; else None."""
    expected: float | None = None
    """Number of unrelated windows, of all that were searched, that score so well by chance: as well as ``reranked`` if
    ``SearchResult.background.reranked`` is given, else as ``score``. None where nothing can be said about chance;
    ``SearchResult.background.reason`` says why."""
    expected_low: float | None = None
    """Lower end of its interval of 95 %."""
    expected_high: float | None = None
    extrapolated: bool | None = None
    """True if ``expected`` is extrapolated, beyond the best of the simulated signals that it is measured with."""
    p: float | None = None
    """Probability that an unrelated window scores so well: ``expected`` divided by the windows searched."""
    q: float | None = None
    """False discovery rate: at most this share of the hits that are as good as this one is there by chance. None unless
    the search asked for it."""
    query_window: Window | None = None
    """Most similar window of the query, which gives the score; None if the query is an array."""
    also_at: tuple[str, ...] = ()
    """Other paths of the same pixels: copies of the file, and files of ``copies``."""
    copies: tuple[str, ...] = ()
    """Windows of other sources that hold the same pixels, as ``SOURCE/NUMBER``: the best one of each source, such as of
    the file of a single node and of the file spliced of all nodes."""
    known: tuple[str, ...] = ()
    """Names of the bands of known interference that the window touches, the narrowest first
    (:mod:`pipeline.interference`)."""
    family: str = ""
    """Id of the family that its window belongs to, such as ``F12``; empty for none (:mod:`pipeline.families`)."""
    family_name: str = ""
    """The user's name of that family."""
    labels: tuple[str, ...] = ()
    """Texts of the user's labels of the window, or of a window merged into it (:mod:`pipeline.labels`)."""
    not_searched: tuple[str, ...] = ()
    """What was not searched beside the window or in it, in words: pixels in no window, masked windows, and spectra
    whose gain was divided out (:mod:`pipeline.search.not_searched`)."""
    on_off: OnOff | None = None
    """Whether the signal is also where the telescope pointed elsewhere, if the search was asked to say; else None."""

    @property
    def final_score(self) -> float:
        """The score by which hits are ordered, unless nearness in frequency counts."""
        return next((one for one in (self.reranked, self.expanded) if one is not None), self.score)

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Ids of all sources that it was found in."""
        return self.source_id, *(copy.rpartition("/")[0] for copy in self.copies)

    def to_json(self) -> dict[str, Any]:
        """Return the flat record that ``search --json`` prints."""
        window, match, query = self.window, self.match, self.query_window
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "source": self.source_id,
            "file": self.file,
            "target": self.target,
            "window": window.number,
            "view": self.view,
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
            "reranked": None if self.reranked is None else round(self.reranked, 6),
            "expanded": None if self.expanded is None else round(self.expanded, 6),
            "nearness": None if self.nearness is None else round(self.nearness, 6),
            "expected": _four_digits(self.expected),
            "expected_low": _four_digits(self.expected_low),
            "expected_high": _four_digits(self.expected_high),
            "extrapolated": self.extrapolated,
            "p": _four_digits(self.p),
            "q": _four_digits(self.q),
            "query_f_start_mhz": query and round(query.f_start_mhz, 9),
            "query_f_stop_mhz": query and round(query.f_stop_mhz, 9),
            "query_t_start_s": query and round(query.t_start_s, 6),
            "query_t_stop_s": query and round(query.t_stop_s, 6),
            "also_at": list(self.also_at),
            "copies": list(self.copies),
            "known": list(self.known),
            "family": self.family,
            "family_name": self.family_name,
            "labels": list(self.labels),
            "not_searched": list(self.not_searched),
            "on_off": self.on_off and self.on_off.state,
            "in_off": list(self.on_off.seen) if self.on_off else [],
            "on_off_reason": self.on_off.reason if self.on_off else "",
            "on_snr": self.on_off and _two_decimals(self.on_off.own_snr),
            "off_power": [{"scan": one.scan, "snr": round(one.snr, 2), "snr_limit": round(one.snr_limit, 2)}
                          for one in self.on_off.power] if self.on_off else [],
        }


def _two_decimals(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _four_digits(value: float | None) -> float | None:
    """Return a number rounded to four digits, however small it is."""
    return None if value is None else float(f"{value:.4g}")
