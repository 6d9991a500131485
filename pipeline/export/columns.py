"""Columns of a table of hits: their names, units, kinds and meanings, for formats that carry these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["whole", "real", "yes_no", "text"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A cell without a value is None, or an empty text."""

    kind: Kind
    ucd: str
    """Meaning of the column in the controlled vocabulary of the Virtual Observatory (UCD1+)."""
    description: str
    unit: str = ""
    """Unit as VOUnits spells it; empty for a number without one."""


def _text(ucd: str, description: str) -> Column:
    return Column("text", ucd, description)


def _real(ucd: str, description: str, unit: str = "") -> Column:
    return Column("real", ucd, description, unit)


COLUMNS: Mapping[str, Column] = {
    "rank": Column("whole", "meta.record", "Place among the hits; 1 is the best"),
    "score": _real("stat.correlation", "Cosine similarity of the vectors of query and hit"),
    "source": _text("meta.id;obs", "Id of the scan, with its averaged view"),
    "file": _text("meta.id;meta.file", "Path of the file"),
    "target": _text("meta.id;src", "Observed target"),
    "window": Column("whole", "meta.id.part", "Number of the window in its scan"),
    "view": _text("meta.code", "Averaged view; empty for the file as it is"),
    "f_start_mhz": _real("em.freq;stat.min", "Lower edge of the window", "MHz"),
    "f_stop_mhz": _real("em.freq;stat.max", "Upper edge of the window", "MHz"),
    "t_start_s": _real("time.start;obs.exposure", "Begin of the window, since the begin of the file", "s"),
    "t_stop_s": _real("time.end;obs.exposure", "End of the window, since the begin of the file", "s"),
    "mjd": _real("time.start", "Begin of the window, UTC", "d"),
    "snr": _real("stat.snr", "Largest box sum of the window, in standard deviations of its noise"),
    "merged": _text("meta.id.assoc", "Numbers of other windows of the same hit"),
    "correlation": _real("stat.correlation", "Correlation of the pixels of query and hit where they match best"),
    "shift_hz": _real("em.freq;arith.diff", "Position in the hit minus position in the query", "Hz"),
    "shift_s": _real("time;arith.diff", "Position in the hit minus position in the query", "s"),
    "extra_drift_hz_per_s": _real("arith.rate;em.freq", "Drift rate of the hit minus that of the query", "Hz/s"),
    "mirrored": Column("yes_no", "meta.code", "Whether the hit resembles the query with frequency reversed"),
    "reranked": _real("stat.correlation", "Weighted mean of score and correlation, by which hits are ordered"),
    "expanded": _real("stat.correlation", "Cosine with the expanded query"),
    "nearness": _real("stat.value", "Nearness to the frequency of the query, from -1 to 1"),
    "expected": _real("meta.number;stat.mean", "Unrelated windows that score so well by chance"),
    "expected_low": _real("stat.value;stat.min", "Lower end of the interval of 95 % of expected"),
    "expected_high": _real("stat.value;stat.max", "Upper end of the interval of 95 % of expected"),
    "extrapolated": Column("yes_no", "meta.code.qual", "Whether expected is extrapolated"),
    "p": _real("stat.probability", "Probability that an unrelated window scores so well"),
    "q": _real("stat.probability", "False discovery rate of this hit and all better ones"),
    "query_f_start_mhz": _real("em.freq;stat.min", "Lower edge of the window of the query", "MHz"),
    "query_f_stop_mhz": _real("em.freq;stat.max", "Upper edge of the window of the query", "MHz"),
    "query_t_start_s": _real("time.start", "Begin of the window of the query, since the begin of its file", "s"),
    "query_t_stop_s": _real("time.end", "End of the window of the query, since the begin of its file", "s"),
    "also_at": _text("meta.id;meta.file", "Other paths of the same pixels"),
    "copies": _text("meta.id.assoc", "Windows of other scans that hold the same pixels"),
    "known": _text("meta.note", "Known interference at these frequencies"),
    "family": _text("meta.id.assoc", "Family that its window belongs to"),
    "family_name": _text("meta.note", "The user's name of that family"),
    "labels": _text("meta.note", "Labels that the user gave to its windows"),
    "not_searched": _text("meta.note", "What was not searched in or beside the window"),
    "on_off": _text("meta.code.qual", "Whether the signal is also at other pointings"),
    "in_off": _text("meta.id.assoc", "Windows at other pointings that look like the hit"),
    "on_off_reason": _text("meta.note", "Why ON and OFF cannot be told apart"),
    "on_snr": _real("stat.snr", "SNR of the signal in its own scan, measured in the file"),
    "off_power": _text("meta.note", "SNR in each OFF scan, with its limit of 95 %, measured in the files"),
}
"""Name → what the column holds, in the order of the table."""
