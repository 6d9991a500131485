"""Which scan of the sky a file holds, told from its header and a few samples, never from its name."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.model import SECONDS_PER_DAY, Header

PROBE_CHANNELS = 64
LONGEST_TARGET = 40
DIGEST_CHARACTERS = 10

Read = Callable[[int, int, int, int], NDArray[np.float32]]


def scan_id(header: Header, read: Read) -> str:
    """Name a scan ``<telescope>_<MJD>_<UT second>_<target>_<digest>``.

    ``read`` takes spectra and ascending channels, as :meth:`Filterbank.read` does. The digest is over the
    header and over 64 channels at the bottom, middle and top of the first and last spectrum: copies, the
    other format and the mirrored file are one scan; the parts of a band are not.
    """
    # The nearest second: an MJD in 64 bits is good to a microsecond, flooring would name the second before
    day, second = divmod(round(header.tstart_mjd * SECONDS_PER_DAY), int(SECONDS_PER_DAY))
    telescope = header.telescope
    target = header.source_name.strip()
    facts = (telescope, day, second, target, _hertz(header.f_min_mhz), _hertz(header.f_max_mhz),
             header.nchans, f"{header.channel_width_mhz:.6g}", header.nsamples, f"{header.tsamp_s:.6g}")
    digest = hashlib.sha256(repr(facts).encode())
    width = min(PROBE_CHANNELS, header.nchans)
    for spectrum in (0, header.nsamples - 1):
        for channel in (0, (header.nchans - width) // 2, header.nchans - width):
            digest.update(read(spectrum, spectrum + 1, channel, channel + width).astype("<f4").tobytes())
    name = re.sub(r"[^A-Za-z0-9.+-]+", "-", target)[:LONGEST_TARGET].strip("-.") or "unknown"
    return f"{telescope}_{day}_{second}_{name}_{digest.hexdigest()[:DIGEST_CHARACTERS]}"


def _hertz(f_mhz: float) -> int:
    """Whole hertz. Band edges are often multiples of half a hertz: the quarter keeps them off it."""
    return math.floor(f_mhz * 1e6 + 0.25)
