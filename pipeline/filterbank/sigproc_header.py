"""The header of sigproc files (``.fil``): keywords, each with its length before it and its value after it.

sigproc, its descendants (PRESTO, sigpyproc, your, dspsr, blimpy) and telescopes write the keywords below. Others are
stepped over, see :func:`parse_header`.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.filterbank.access import refusal
from pipeline.model import Header
from pipeline.support.text import counted, listed, shown

INTEGERS = frozenset({
    "telescope_id", "machine_id", "data_type", "barycentric", "pulsarcentric", "nbits", "nsamples", "nchans", "nifs",
    "nbeams", "ibeam", "nbins", "nfpc", "hdrlen", "orig_hdrlen", "new_hdrlen", "sampsize",
})
REALS = frozenset({
    "az_start", "za_start", "tstart", "tsamp", "fch1", "foff", "refdm", "period", "accel", "flux", "pb", "ecc", "asini",
    "bandwidth", "fbottom", "ftop",
})
ANGLES = frozenset({"src_raj", "src_dej"})
"""Stored as the digits of hhmmss.s and ddmmss.s."""
TEXTS = frozenset({"rawdatafile", "source_name", "obs_date", "obs_time"})
BYTES = frozenset({"signed"})
MARKS = frozenset({"FREQUENCY_START", "FREQUENCY_END"})
"""They have no value."""
MACHINE_DEPENDENT = frozenset({"npuls"})
"""A C ``long``: 4 or 8 bytes, as on the machine that wrote the file. They are not needed, and are stepped over."""
CHANNEL = "fchannel"
"""Centre frequency of one channel, in a table between the marks."""
TABLE = "frequency_table"
"""Name under which :func:`parse_header` returns the table of frequencies."""

KNOWN = INTEGERS | REALS | ANGLES | TEXTS | BYTES | MARKS | {CHANNEL, "HEADER_END"}

MAX_KEYWORD_BYTES = 80
MAX_HEADER_BYTES = 1 << 20
MAX_TABLE_BYTES = 1 << 26
"""Largest header with a table of frequencies: 3.3 million channels."""
MAX_SPACING_ERROR = 0.01
"""Largest deviation of a frequency in the table from even spacing, in channels. Rounding to decimals causes less."""
MAGIC = b"\x0c\x00\x00\x00HEADER_START"
PLAIN_KEYWORD = re.compile(rb"[A-Za-z][A-Za-z0-9_.:-]*")
WORD = re.compile(rb"(?=([\x01-\x50])\0\0\0([A-Za-z][A-Za-z0-9_.:-]*))", re.DOTALL)
"""Finds, anywhere in a value, a length that is followed by letters, as a stored keyword begins."""
MAX_EXAMINED_BYTES = 4096
"""Longest value that is searched for keywords. A longer one is taken only if no other length fits."""
_ENTRY = np.dtype([("name", f"S{4 + len(CHANNEL)}"), ("mhz", "<f8")])
_ENTRY_NAME = struct.pack("<i", len(CHANNEL)) + CHANNEL.encode()


@dataclass(slots=True)
class ParsedHeader:
    """The header of a file."""

    keywords: dict[str, Any] = field(default_factory=dict)
    """Keyword → value. Angles are in hours and degrees."""
    data_start: int = 0
    """First byte of the samples."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Keywords that were stepped over → bytes of their values."""
    hidden: set[str] = field(default_factory=set)
    """Known keywords that seem to be within these values. They are not read."""

    @property
    def remarks(self) -> dict[str, str]:
        """What a user should know of this header: a subject, and a sentence about it."""
        if not self.unknown:
            return {}
        names = listed(f"{shown(name)} ({counted(size, 'byte')})" for name, size in self.unknown.items())
        hidden = f"; with them {listed(sorted(self.hidden))}, which may be lost" if self.hidden else ""
        return {"unknown keywords": f"unknown keywords of its header are stepped over: {names}{hidden}"}


def parse_header(head: bytes, path: Path) -> ParsedHeader:
    """Parse the keywords at the beginning of a file.

    The header does not say how long a value is, so a program must know each keyword. An unknown one is stepped over if
    possible: its value is taken to be an integer (4 bytes), a real number (8 bytes), a text with its length, a single
    byte, or nothing. They are tried in this order. The first one after which a known keyword begins is taken. (A
    keyword is stored as its length and then its letters.) If there is none, it is the first one after which any word
    begins that is stored in this form. Values that contain such words come last. Numbers and texts do not look like
    such words, so this is not ambiguous in practice. What was stepped over is reported, and so are known keywords in
    it.

    Raises
    ------
    SourceError
        NOT_FILTERBANK if no header begins here. BAD_HEADER names a keyword that cannot be stepped over, or says where
        the header is cut off. UNSUPPORTED_AXIS if a table of frequencies is not evenly spaced.
    """
    if not head.startswith(MAGIC):
        if MAGIC.startswith(head):
            raise refusal(Reason.BAD_HEADER, path, "cut off within HEADER_START; fetch the file again")
        raise refusal(Reason.NOT_FILTERBANK, path, "begins neither as HDF5 nor with HEADER_START")
    parsed = ParsedHeader()
    last, at = "HEADER_START", len(MAGIC)
    try:
        while True:
            keyword, value_at = _take_text(head, at, MAX_KEYWORD_BYTES)
            if keyword == "HEADER_END":
                break
            if keyword == CHANNEL:
                at = _take_table(head, at, parsed)
            elif keyword in KNOWN:
                at = _take_value(head, value_at, keyword, parsed)
            else:
                size = _size_of_unknown(head, value_at)
                if size is None:
                    raise refusal(Reason.BAD_HEADER, path, f"unknown keyword {keyword!r} after {last}, and no keyword "
                                  "follows it, so the length of its value is unknown; fetch the file again")
                if keyword not in MACHINE_DEPENDENT:
                    parsed.unknown[keyword] = size
                    parsed.hidden |= _words_in(head[value_at : value_at + size]) & KNOWN
                at = value_at + size
            last = keyword
    except struct.error:
        raise refusal(Reason.BAD_HEADER, path, f"the header is cut off or damaged after {last}; fetch the file "
                      "again") from None
    parsed.data_start = value_at
    if TABLE in parsed.keywords:
        parsed.keywords |= _axis_of(parsed.keywords, path)
    return parsed


def _take_value(head: bytes, at: int, keyword: str, parsed: ParsedHeader) -> int:
    """Store the value of a known keyword. Return the position behind it."""
    if keyword in TEXTS:
        parsed.keywords[keyword], at = _take_text(head, at, len(head))
    elif keyword not in MARKS:
        form = "<i" if keyword in INTEGERS else "<b" if keyword in BYTES else "<d"
        (value,) = struct.unpack_from(form, head, at)
        parsed.keywords[keyword] = unpack_angle(value) if keyword in ANGLES else value
        at += struct.calcsize(form)
    return at


def _size_of_unknown(head: bytes, at: int) -> int | None:
    """Return the number of bytes of the value of an unknown keyword; None if no keyword follows it."""
    text_bytes = 4 + int.from_bytes(head[at : at + 4], "little")
    following: dict[int, str] = {}
    for size in (4, 8, text_bytes, 1, 0):
        with contextlib.suppress(struct.error):
            word, _ = _take_bytes(head, at + size, MAX_KEYWORD_BYTES)
            if PLAIN_KEYWORD.fullmatch(word):
                following[size] = word.decode()

    def rank(size: int) -> tuple[bool, bool]:
        is_one_value = size <= MAX_EXAMINED_BYTES and not _words_in(head[at : at + size])
        return not is_one_value, following[size] not in KNOWN

    return min(following, key=rank, default=None)


def _words_in(value: bytes) -> set[str]:
    """Return the words with their lengths within a value. A text with its length is no such word itself."""
    found = WORD.finditer(value, 1)
    return {word[2][: word[1][0]].decode() for word in found if len(word[2]) >= word[1][0]}


def _take_table(head: bytes, at: int, parsed: ParsedHeader) -> int:
    """Add the frequencies that follow one another from the keyword ``fchannel`` on. Return the position behind them."""
    most = (len(head) - at) // _ENTRY.itemsize
    if most == 0:
        raise struct.error("cut off within a frequency")
    entries = np.frombuffer(head, _ENTRY, most, at)
    others = np.flatnonzero(entries["name"] != _ENTRY_NAME)
    count = int(others[0]) if len(others) else most  # at least 1: the caller has read the first name
    known = parsed.keywords.get(TABLE, np.empty(0))
    parsed.keywords[TABLE] = np.concatenate([known, entries["mhz"][:count]])
    return at + count * _ENTRY.itemsize


def _axis_of(keywords: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return ``fch1``, ``foff`` and ``nchans`` as a table of frequencies gives them. They replace these keywords.

    Raises
    ------
    SourceError
        UNSUPPORTED_AXIS if the channels are not evenly spaced. HEADER_INCONSISTENT if ``nchans`` is not the length
        of the table.
    """
    table: NDArray[np.float64] = keywords[TABLE]
    nchans = keywords.get("nchans", len(table))
    if nchans != len(table):
        raise refusal(Reason.HEADER_INCONSISTENT, path, f"its table of frequencies has {len(table)} channels, and "
                      f"nchans is {nchans}; correct nchans, or fetch the file again")
    if len(table) == 1:
        return {"fch1": float(table[0]), "foff": keywords.get("foff", 0.0), "nchans": 1}
    with np.errstate(all="ignore"):  # if a frequency is not finite, the comparison is false
        foff = float(table[-1] - table[0]) / (len(table) - 1)
        error = np.abs(table - (table[0] + foff * np.arange(len(table))))
        is_even = bool(np.all(error <= MAX_SPACING_ERROR * abs(foff)))
    if not is_even:
        raise refusal(Reason.UNSUPPORTED_AXIS, path, f"the {len(table)} channels in its table of frequencies are not "
                      "evenly spaced, and windows need even spacing; resample it, or cut it into evenly spaced parts")
    return {"fch1": float(table[0]), "foff": foff, "nchans": len(table)}


def build_header(header: Header) -> bytes:
    """Return the bytes of a header, the inverse of :func:`parse_header`."""
    parts = [MAGIC]
    for keyword, value in keywords_of(header).items():
        parts.append(_pack_text(keyword))
        if isinstance(value, str):
            parts.append(_pack_text(value))
        elif keyword in INTEGERS:
            parts.append(struct.pack("<i", value))
        else:
            parts.append(struct.pack("<d", pack_angle(value) if keyword in ANGLES else value))
    parts.append(_pack_text("HEADER_END"))
    return b"".join(parts)


def keywords_of(header: Header) -> dict[str, int | float | str]:
    """Return the values of a header under the names of sigproc and HDF5 files. Angles are in hours and degrees."""
    known: dict[str, int | float | str] = {
        "machine_id": header.machine_id,
        "telescope_id": header.telescope_id,
        "src_raj": header.ra_hours,
        "src_dej": header.dec_deg,
        "az_start": 0.0,
        "za_start": 0.0,
        "data_type": 1,
        "fch1": header.fch1_mhz,
        "foff": header.foff_mhz,
        "nchans": header.nchans,
        "nbits": header.nbits,
        "nsamples": header.nsamples,
        "tstart": header.tstart_mjd,
        "tsamp": header.tsamp_s,
        "nifs": header.nifs,
        "source_name": header.source_name,
        "rawdatafile": header.rawdatafile,
    }
    return known | ({"nfpc": header.nfpc} if header.nfpc else {})


def unpack_angle(packed: float) -> float:
    """Convert the digits ddmmss.s (hhmmss.s) to degrees (hours)."""
    whole, seconds = divmod(abs(packed), 100.0)
    degrees, minutes = divmod(whole, 100.0)
    return float(np.copysign(degrees + minutes / 60 + seconds / 3600, packed))


def pack_angle(angle: float) -> float:
    """Convert degrees (hours) to the digits ddmmss.s (hhmmss.s), rounded to a ten-millionth of a second."""
    minutes, seconds = divmod(round(abs(angle) * 3600, 7), 60.0)
    degrees, minutes = divmod(minutes, 60.0)
    return float(np.copysign(degrees * 10_000 + minutes * 100 + seconds, angle))


def _pack_text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack("<i", len(encoded)) + encoded


def _take_text(head: bytes, at: int, longest: int) -> tuple[str, int]:
    text, at = _take_bytes(head, at, longest)
    return text.decode("utf-8", "backslashreplace"), at


def _take_bytes(head: bytes, at: int, longest: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<I", head, at)
    at += 4
    if length > longest or at + length > len(head):
        raise struct.error("text runs past the end")
    return head[at : at + length], at + length
