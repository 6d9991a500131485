"""Columns of tables: their names, units, kinds and meanings, for formats that carry these."""

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


def _whole(ucd: str, description: str) -> Column:
    return Column("whole", ucd, description)


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
"""Columns of hits: name → what the column holds, in the order of the table."""

SCAN_COLUMNS: Mapping[str, Column] = {
    "id": _text("meta.id;obs", "Id of the scan"),
    "file": COLUMNS["file"],
    "target": COLUMNS["target"],
    "telescope": _text("instr.tel", "Telescope"),
    "mjd": _real("time.start", "Begin of the first spectrum, UTC", "d"),
    "f_start_mhz": _real("em.freq;stat.min", "Lower edge of the lowest channel", "MHz"),
    "f_stop_mhz": _real("em.freq;stat.max", "Upper edge of the highest channel", "MHz"),
    "channels": _whole("meta.number;spect.line", "Channels of the file"),
    "channel_width_hz": _real("spect.resolution", "Width of a channel", "Hz"),
    "spectra": _whole("meta.number", "Spectra of the file"),
    "tsamp_s": _real("time.interval", "Time from one spectrum to the next", "s"),
    "windows": _whole("meta.number", "Windows that were searched for signals"),
    "kept": _whole("meta.number", "Windows that were kept"),
    "views": _text("meta.code", "Averaged views of the scan"),
    "overview": Column("yes_no", "meta.code", "Whether the corpus has an overview of the scan"),
}
"""Columns of scans."""

WINDOW_COLUMNS: Mapping[str, Column] = {
    **{name: COLUMNS[name] for name in ("source", "window", "view")},
    "channel_start": _whole("meta.number", "First channel of the scan, from low frequency"),
    "channel_stop": _whole("meta.number", "Channel after the last one"),
    **{name: COLUMNS[name] for name in ("f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s", "snr")},
}
"""Columns of kept windows."""

FAMILY_COLUMNS: Mapping[str, Column] = {
    "id": _text("meta.id", "Id of the family"),
    "name": _text("meta.note", "The user's name of the family"),
    "label": _text("meta.note", "The user's label of the family"),
    "windows": _whole("meta.number", "Windows of the family"),
    "scans": _whole("meta.number", "Scans in which it was seen"),
    "targets": _text("meta.id;src", "Targets in whose scans it was seen, the most frequent first"),
    "first_seen": _text("time.epoch", "Begin of its first window, UTC"),
    "last_seen": _text("time.epoch", "Begin of its last window, UTC"),
    "first_seen_mjd": _real("time.epoch;stat.min", "Begin of its first window, UTC", "d"),
    "last_seen_mjd": _real("time.epoch;stat.max", "Begin of its last window, UTC", "d"),
    "f_start_mhz": _real("em.freq;stat.min", "Lower edge of its lowest window", "MHz"),
    "f_stop_mhz": _real("em.freq;stat.max", "Upper edge of its highest window", "MHz"),
    "view": COLUMNS["view"],
    "exemplar": _text("meta.id.part", "The window that is most like its mean"),
    "generation": _whole("meta.version", "Generation of the corpus in which it was found first"),
    "found": _text("time.creation", "Time at which it was found, UTC"),
}
"""Columns of families."""

ROW_COLUMNS: Mapping[str, Column] = {
    "row": _whole("meta.record", "Number of the row in its table"),
    "name": _text("meta.id", "Name of the row's signal"),
    "f_mhz": _real("em.freq", "Frequency of the row's signal at its begin", "MHz"),
    "drift_hz_per_s": _real("arith.rate;em.freq", "Drift rate of the row's signal", "Hz/s"),
    "snr": _real("stat.snr", "SNR that the table gives"),
    "scan": _text("meta.id;obs", "Scan of the row"),
    "look_alikes": _whole("meta.number", "Hits that are more than chance"),
    "plausible": _whole("meta.number", "Hits that may be more than chance"),
    "of_hits": _whole("meta.number", "Hits"),
    "best_score": _real("stat.correlation", "Score of the best hit"),
    "best_expected": _real("meta.number;stat.mean", "Unrelated windows that score as well as the best hit by chance"),
    "best_f_start_mhz": _real("em.freq;stat.min", "Lower edge of the best hit", "MHz"),
    "best_mjd": _real("time.start", "Begin of the best hit, UTC", "d"),
    "best_target": _text("meta.id;src", "Target of the best hit"),
    "best_window": _text("meta.id.part", "The best hit"),
    "best_file": _text("meta.id;meta.file", "File of the best hit"),
    "family": _text("meta.id.assoc", "Family of the best convincing look-alike"),
    "family_name": _text("meta.note", "The user's name of that family"),
    "own_windows": _whole("meta.number", "Windows of the row's own signal, which are left out"),
    "known": _text("meta.note", "Known interference at these frequencies"),
    "on_off": _text("meta.code.qual", "Whether the signal of the row is also at other pointings"),
    "hits_on_off": _text("meta.note", "Number of hits by their state of ON/OFF"),
    "by": _text("meta.code", "Whether the row was searched for by its file, or by the pixels of the table"),
    "note": _text("meta.note", "What one should know about the answer"),
    "reason": _text("meta.note", "Why the row was not searched for"),
}
"""Columns of the rows of a hit table, with what was found for each."""

NIGHT_COLUMNS: Mapping[str, Column] = {
    "name": _text("meta.id", "Name of the night"),
    "headline": _text("meta.note", "Outcome in a few words"),
    "began": _text("time.start", "Begin, UTC"),
    "ended": _text("time.end", "End, UTC"),
    "exit_code": _whole("meta.code.status", "Exit code; 0 if nothing went wrong"),
}
"""Columns of nightly runs."""
