"""The id of a scan: found from the header and a few samples of a file, never from its name."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.model import SECONDS_PER_DAY, Header

PROBE_CHANNELS = 64
MAX_TARGET_CHARACTERS = 40
DIGEST_CHARACTERS = 10

Read = Callable[[int, int, int, int], NDArray[np.float32]]


def scan_id(header: Header, read: Read) -> str:
    """Return the id of a scan: ``<telescope>_<MJD>_<UT second>_<target>_<digest>``.

    The digest covers the header and 64 channels at the bottom, middle and top of the first and the last spectrum. So
    a copy of a file, the same samples in the other format, and the mirrored file all have one id. Parts of a band have
    different ids.

    Parameters
    ----------
    header : Header
        Header of the file.
    read : callable
        Reads a range of spectra and ascending channels, like :meth:`Filterbank.read`.
    """
    facts = _facts(header)
    telescope, day, second, target, *_ = facts
    digest = hashlib.sha256(repr(facts).encode())
    width = min(PROBE_CHANNELS, header.nchans)
    for spectrum in (0, header.nsamples - 1):
        for channel in (0, (header.nchans - width) // 2, header.nchans - width):
            digest.update(read(spectrum, spectrum + 1, channel, channel + width).astype("<f4").tobytes())
    name = re.sub(r"[^A-Za-z0-9.+-]+", "-", target)[:MAX_TARGET_CHARACTERS].strip("-.") or "unknown"
    return f"{telescope}_{day}_{second}_{name}_{digest.hexdigest()[:DIGEST_CHARACTERS]}"


def scan_key(header: Header) -> Hashable:
    """Return what the headers of a scan and of its beginning have in common: all facts but the number of spectra."""
    return _facts(replace(header, nsamples=0))


def _facts(header: Header) -> tuple[str, int, int, str, int, int, int, str, int, str]:
    """Return the values of a header that the id depends on; the first four are also its readable part."""
    # Round to the nearest second: an MJD in 64 bits is exact to a microsecond, and may lie just below a second.
    day, second = divmod(round(header.tstart_mjd * SECONDS_PER_DAY), int(SECONDS_PER_DAY))
    return (header.telescope, day, second, header.source_name.strip(), _hertz(header.f_min_mhz),
            _hertz(header.f_max_mhz), header.nchans, f"{header.channel_width_mhz:.6g}", header.nsamples,
            f"{header.tsamp_s:.6g}")


def _hertz(f_mhz: float) -> int:
    """Return whole hertz. Band edges are often multiples of half a hertz; adding a quarter avoids a tie."""
    return math.floor(f_mhz * 1e6 + 0.25)
