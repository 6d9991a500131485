"""Hit tables in text, ``.dat``: those of turboSETI, of seticore and of bliss.

Lines that begin with ``#`` say which scan follows. Each row has twelve values. turboSETI and seticore give the
frequency at the first spectrum; their ``freq_start`` and ``freq_end`` bound what the program looked at. bliss gives the
frequency in the middle, and the ends of the signal. Its line of names has only eleven names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from pipeline.hit_tables.rows import (
    BadRowError,
    HitRow,
    HitTable,
    ScanHint,
    UnusableRow,
    duration_in,
    frequency_in,
    lines_of,
    number_in,
    optional_number,
)

COLUMNS = ("Top_Hit_#", "Drift_Rate", "SNR", "Uncorrected_Frequency", "Corrected_Frequency", "Index", "freq_start",
           "freq_end", "SEFD", "SEFD_freq", "Coarse_Channel_Number", "Full_number_of_hits")
NAMES_MARK = "Drift_Rate"
"""A comment line with this name is the line of names."""
MIDDLE_TOLERANCE_MHZ = 5e-6
"""Frequencies have six decimals. Within this tolerance, a frequency is that of the middle."""

_NUMBER = r"\s*([-+0-9.eE]+)"
_FIELDS = {"file_name": re.compile(r"File ID:\s*(.*?)\s*$"), "source_name": re.compile(r"Source:\s*(.*?)\s*$"),
           "mjd": re.compile(r"MJD:" + _NUMBER)}
_OBS_LENGTH = re.compile(r"obs_length:" + _NUMBER)


def is_dat(text: str) -> bool:
    """Tell whether a text is such a table."""
    comments = (line for line in islice(lines_of(text), 50) if line.startswith("#"))
    return any(NAMES_MARK in line or "File ID:" in line for line in comments)


def parse_dat(text: str, name: str) -> HitTable:
    """Read the rows of such a table.

    Parameters
    ----------
    text : str
        Content of the file. Several tables may follow one another.
    name : str
        Path of the file, for messages.
    """
    scan, duration_s, is_bliss, has_bliss = ScanHint(), None, False, False
    rows: list[HitRow] = []
    unusable: list[UnusableRow] = []
    for line in filter(None, map(str.strip, lines_of(text))):
        if line.startswith("#"):
            if "File ID:" in line:
                scan, duration_s = ScanHint(), None  # another table begins
            scan = _scan_of(line, scan)
            if found := _OBS_LENGTH.search(line):
                duration_s = duration_in(found[1])
            if NAMES_MARK in line:
                is_bliss = len(line.lstrip("#").split()) == len(COLUMNS) - 1
            continue
        number = len(rows) + len(unusable) + 1
        try:
            row = _row_of(line.split(), number, scan, duration_s, is_bliss=is_bliss)
        except BadRowError as error:
            unusable.append(UnusableRow(number, str(error)))
        else:
            rows.append(row)
            has_bliss |= is_bliss
    return HitTable(name, "bliss .dat" if has_bliss else "turboSETI or seticore .dat", tuple(rows), tuple(unusable))


def _scan_of(line: str, scan: ScanHint) -> ScanHint:
    for name, pattern in _FIELDS.items():
        found = pattern.search(line)
        if not found:
            continue
        try:
            if name == "mjd":
                mjd = float(found[1])
                scan = replace(scan, mjd=mjd if math.isfinite(mjd) else None)
            elif name == "file_name":
                scan = replace(scan, file_name=found[1].rpartition("/")[2])
            else:
                scan = replace(scan, source_name=found[1])
        except ValueError:  # an MJD that is no number: the scan may still be found by its name
            continue
    return scan


def _row_of(
    values: Sequence[str], number: int, scan: ScanHint, duration_s: float | None, *, is_bliss: bool
) -> HitRow:
    if len(values) != len(COLUMNS):
        raise BadRowError(f"it has {len(values)} values, and a hit has {len(COLUMNS)}")
    row = dict(zip(COLUMNS, values, strict=True))
    f_mhz, drift = frequency_in(row, "Corrected_Frequency"), number_in(row, "Drift_Rate")
    start_mhz, end_mhz = frequency_in(row, "freq_start"), frequency_in(row, "freq_end")
    if is_bliss and abs(f_mhz - (start_mhz + end_mhz) / 2) <= MIDDLE_TOLERANCE_MHZ:
        f_mhz = start_mhz
    return HitRow(number, row["Top_Hit_#"], f_mhz, drift, optional_number(row, "SNR"), scan, duration_s)
