"""Make a checked :class:`~pipeline.model.Header` from the keywords of either format.

The axes and the shape decide whether a file can be read. Labels, such as its target, do not: a label that cannot be
used is left out, and a remark says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import Reason
from pipeline.filterbank.access import refusal
from pipeline.model import Header
from pipeline.support.text import shown

REQUIRED = ("fch1", "foff", "nchans", "nifs", "nbits", "tsamp", "tstart")
LABELS = ("source_name", "telescope_id", "machine_id", "src_raj", "src_dej", "rawdatafile", "nfpc")
MAX_MJD = 1e6
MIN_MHZ, MAX_MHZ = 1e-12, 1e12
"""From a microhertz to an exahertz. A header with a number outside is damaged, and sums with it may be infinite."""
MAX_OBSERVED_MHZ = 5e6
"""5 THz, above the bands of all radio telescopes. A frequency above it is probably in hertz instead of megahertz."""
MIN_TSAMP_S, MAX_TSAMP_S = 1e-12, 1e9
"""Limits of the duration of one spectrum."""
MAX_INTEGER = 2**31
"""Limit of labels that are numbers: sigproc stores them in 32 bits. The ids of sources contain some of them."""
MAX_SHOWN_CHARACTERS = 60
SEXAGESIMAL = re.compile(r"([+-]?)(\d+)[:hd ]\s*(\d+)[:m' ]\s*(\d+(?:\.\d*)?)[s\"]?")

Remarks = dict[str, str]
"""What a user should know of a file that can still be read: subject, such as a keyword → a sentence."""
_T = TypeVar("_T")


def header_from_keywords(keywords: Mapping[str, Any], nsamples: int, path: Path) -> tuple[Header, Remarks]:
    """Check keywords and give them units.

    Parameters
    ----------
    keywords : mapping
        sigproc name → number or text (bytes or str), or an array of one of them. Angles are in hours and degrees.
    nsamples : int
        Number of spectra.
    path : Path
        The file, for error messages.

    Returns
    -------
    Header, dict
        The header, and remarks on labels that cannot be used and on doubtful values.

    Raises
    ------
    SourceError
        BAD_HEADER: a keyword is missing or of the wrong type; the message names it. HEADER_INCONSISTENT: a count is
        impossible. BAD_AXIS: the frequency or time axis is impossible.
    """
    for name in REQUIRED:
        if name not in keywords:
            raise refusal(Reason.BAD_HEADER, path, f"the header lacks the keyword {name}; add it, or fetch the "
                          "file again")
    labels = _Labels(keywords)
    header = Header(
        fch1_mhz=_real(keywords, "fch1", path),
        foff_mhz=_real(keywords, "foff", path),
        nchans=_integer(keywords, "nchans", path),
        nifs=_integer(keywords, "nifs", path),
        nbits=_integer(keywords, "nbits", path),
        tsamp_s=_real(keywords, "tsamp", path),
        nsamples=nsamples,
        tstart_mjd=_real(keywords, "tstart", path),
        source_name=labels.get("source_name", text_of, ""),
        telescope_id=labels.get("telescope_id", _whole_of, 0),
        machine_id=labels.get("machine_id", _whole_of, 0),
        ra_hours=labels.get("src_raj", _angle_of, 0.0),
        dec_deg=labels.get("src_dej", _angle_of, 0.0),
        rawdatafile=labels.get("rawdatafile", text_of, ""),
        nfpc=labels.get("nfpc", _whole_of, 0),
    )
    _require_axes(header, path)
    return header, labels.remarks | _doubts(header)


def require_spectra(header: Header, integrations: int, path: str | Path) -> None:
    """Raise TOO_FEW_SAMPLES if the file has fewer spectra than one window needs."""
    if header.nsamples < integrations:
        raise refusal(Reason.TOO_FEW_SAMPLES, path,
                      f"holds {header.nsamples} spectra, fewer than the {integrations} of one window; use a corpus "
                      "of fewer integrations")


def _require_axes(header: Header, path: Path) -> None:
    for name, count in (("nchans", header.nchans), ("nifs", header.nifs)):
        if count < 1:
            raise refusal(Reason.HEADER_INCONSISTENT, path, f"{name} is {count}, and must be at least 1; correct the "
                          "header")
    for name, value, fits in (
        ("fch1", header.fch1_mhz, abs(header.fch1_mhz) < MAX_MHZ),
        ("foff", header.foff_mhz, MIN_MHZ < abs(header.foff_mhz) < MAX_MHZ / header.nchans),
        ("tsamp", header.tsamp_s, MIN_TSAMP_S < header.tsamp_s < MAX_TSAMP_S),
        ("tstart", header.tstart_mjd, 0 <= header.tstart_mjd < MAX_MJD),
    ):
        if not fits:
            raise refusal(Reason.BAD_AXIS, path, f"{name} is {value}, which gives no usable axis; correct the header")


def may_be_observed(header: Header) -> bool:
    """Return False if no radio telescope observes at these frequencies, which are then probably in hertz."""
    return header.f_max_mhz <= MAX_OBSERVED_MHZ


def _doubts(header: Header) -> Remarks:
    """Return remarks on values that are possible but improbable."""
    if may_be_observed(header):
        return {}
    return {"fch1": f"fch1 is {header.fch1_mhz:.9g} MHz, and no radio telescope observes there: if fch1 and foff "
                    f"({header.foff_mhz:.9g}) are in hertz, divide both by 1,000,000 in the file and ingest it again, "
                    "because all its frequencies and drift rates are wrong"}


class _Labels:
    """Labels of a file, and remarks on those that cannot be used."""

    def __init__(self, keywords: Mapping[str, Any]) -> None:
        self._keywords = keywords
        self.remarks: Remarks = {}

    def get(self, name: str, convert: Callable[[Any], _T], default: _T) -> _T:
        """Convert and return a label. Return ``default`` if the label is absent or cannot be converted."""
        if name not in self._keywords:
            return default
        value = self._keywords[name]
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError) as error:
            self.remarks[name] = f"the keyword {name} is left out, because {_told(value)} is {error}"
            return default


def _told(value: Any) -> str:
    """Return the value of a keyword for a message."""
    return shown(repr(value))[:MAX_SHOWN_CHARACTERS]


def text_of(value: Any) -> str:
    """Return a label as text. Several texts are joined; numbers become digits.

    Raises
    ------
    TypeError
        The value is neither text nor a number.
    """
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")  # h5py returns bytes that are not UTF-8 in this form
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("utf-8", "backslashreplace")
    if isinstance(value, np.ndarray) and value.dtype.kind in "OSU" and value.size:
        parts = [text_of(part) for part in value.reshape(-1).tolist()]
        return ("" if all(len(part) <= 1 for part in parts) else " ").join(parts)
    try:
        return f"{_number_of(value):.17g}"
    except TypeError:
        raise TypeError("neither text nor a number") from None


def _number_of(value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise TypeError("not a number")
    return float(array.reshape(-1)[0])


def _finite_of(value: Any) -> float:
    number = _number_of(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _whole_of(value: Any) -> int:
    number = _finite_of(value)
    if not number.is_integer() or abs(number) > MAX_INTEGER:
        raise ValueError("not a whole number of 32 bits")
    return int(number)


def _angle_of(value: Any) -> float:
    """Return an angle in hours or degrees. It is a number, or a text such as ``-12:03:49.7``."""
    if not isinstance(value, str | bytes) and np.asarray(value).dtype.kind not in "OSU":
        return _finite_of(value)
    found = SEXAGESIMAL.fullmatch(text_of(value).strip())
    if not found:
        raise ValueError("no angle")
    whole, minutes, seconds = (float(part) for part in found.groups()[1:])
    return math.copysign(whole + minutes / 60 + seconds / 3600, -1.0 if found[1] == "-" else 1.0)


def _real(keywords: Mapping[str, Any], name: str, path: Path) -> float:
    """Return the number of a required keyword."""
    try:
        return _number_of(keywords[name])
    except TypeError as error:
        raise refusal(Reason.BAD_HEADER, path, f"the keyword {name} is {_told(keywords[name])}, which is {error}; "
                      "correct the header") from None


def _integer(keywords: Mapping[str, Any], name: str, path: Path) -> int:
    value = _real(keywords, name, path)
    if not value.is_integer():
        raise refusal(Reason.BAD_HEADER, path, f"the keyword {name} is {value}, which is not a whole number; correct "
                      "the header")
    return int(value)
