"""Make a checked :class:`~pipeline.model.Header` from the keywords of either format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import Reason
from pipeline.filterbank.access import refusal
from pipeline.model import Header

REQUIRED = ("fch1", "foff", "nchans", "nifs", "nbits", "tsamp", "tstart")
OPTIONAL = ("source_name", "telescope_id", "machine_id", "src_raj", "src_dej", "rawdatafile")
MAX_MJD = 1e6
MIN_MHZ, MAX_MHZ = 1e-12, 1e12
"""From a microhertz to an exahertz. A header with a number outside is damaged; sums with it may not be finite."""
MIN_TSAMP_S, MAX_TSAMP_S = 1e-12, 1e9
"""Limits of the duration of one spectrum."""


def header_from_keywords(keywords: Mapping[str, Any], nsamples: int, path: Path) -> Header:
    """Check keywords and give them units.

    Parameters
    ----------
    keywords : mapping
        sigproc name → number or text (bytes or str). Angles are in hours and degrees.
    nsamples : int
        Number of spectra.
    path : Path
        The file, for error messages.

    Raises
    ------
    SourceError
        BAD_HEADER: a keyword is missing or of the wrong type; the message names it. HEADER_INCONSISTENT: a count is
        impossible. BAD_AXIS: the frequency or time axis is impossible.
    """
    for name in REQUIRED:
        if name not in keywords:
            raise refusal(Reason.BAD_HEADER, path, f"the header lacks the keyword {name}")
    header = Header(
        fch1_mhz=_real(keywords, "fch1", path),
        foff_mhz=_real(keywords, "foff", path),
        nchans=_integer(keywords, "nchans", path),
        nifs=_integer(keywords, "nifs", path),
        nbits=_integer(keywords, "nbits", path),
        tsamp_s=_real(keywords, "tsamp", path),
        nsamples=nsamples,
        tstart_mjd=_real(keywords, "tstart", path),
        source_name=_text(keywords, "source_name", path),
        telescope_id=_integer(keywords, "telescope_id", path),
        machine_id=_integer(keywords, "machine_id", path),
        ra_hours=_finite(keywords, "src_raj", path),
        dec_deg=_finite(keywords, "src_dej", path),
        rawdatafile=_text(keywords, "rawdatafile", path),
    )
    _require_axes(header, path)
    return header


def require_spectra(header: Header, integrations: int, path: str | Path) -> None:
    """Raise TOO_FEW_SAMPLES if the file has fewer spectra than one window needs."""
    if header.nsamples < integrations:
        raise refusal(Reason.TOO_FEW_SAMPLES, path,
                      f"holds {header.nsamples} spectra, fewer than the {integrations} of one window")


def _require_axes(header: Header, path: Path) -> None:
    for name, count in (("nchans", header.nchans), ("nifs", header.nifs)):
        if count < 1:
            raise refusal(Reason.HEADER_INCONSISTENT, path, f"{name} is {count}, must be at least 1")
    for name, value, fits in (
        ("fch1", header.fch1_mhz, abs(header.fch1_mhz) < MAX_MHZ),
        ("foff", header.foff_mhz, MIN_MHZ < abs(header.foff_mhz) < MAX_MHZ / header.nchans),
        ("tsamp", header.tsamp_s, MIN_TSAMP_S < header.tsamp_s < MAX_TSAMP_S),
        ("tstart", header.tstart_mjd, 0 <= header.tstart_mjd < MAX_MJD),
    ):
        if not fits:
            raise refusal(Reason.BAD_AXIS, path, f"{name} is {value}, which gives no usable axis")


def _real(keywords: Mapping[str, Any], name: str, path: Path) -> float:
    """Return a number; 0 if the keyword is absent. (The caller has checked that required keywords exist.)"""
    value = np.asarray(keywords.get(name, 0))
    if value.size != 1 or value.dtype.kind not in "iuf":
        raise refusal(Reason.BAD_HEADER, path, f"keyword {name} is {keywords[name]!r}, not a number")
    return float(value.reshape(-1)[0])


def _finite(keywords: Mapping[str, Any], name: str, path: Path) -> float:
    value = _real(keywords, name, path)
    if not math.isfinite(value):
        raise refusal(Reason.BAD_HEADER, path, f"keyword {name} is {value}")
    return value


def _integer(keywords: Mapping[str, Any], name: str, path: Path) -> int:
    value = _real(keywords, name, path)
    if not value.is_integer():
        raise refusal(Reason.BAD_HEADER, path, f"keyword {name} is {value}, not a whole number")
    return int(value)


def _text(keywords: Mapping[str, Any], name: str, path: Path) -> str:
    value = keywords.get(name, "")
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")  # h5py returns bytes that are not UTF-8 in this form
    if not isinstance(value, bytes):
        raise refusal(Reason.BAD_HEADER, path, f"keyword {name} is {value!r}, not text")
    return value.rstrip(b"\0").decode("utf-8", "backslashreplace")
