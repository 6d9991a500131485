"""Hit tables of seticore in Cap'n Proto, ``.hits``. Each hit has the pixels around it, and no name of a file."""

from __future__ import annotations

import math
import struct
from functools import cache
from importlib import import_module, resources
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.hit_tables.rows import (
    BadRowError,
    HitRow,
    HitTable,
    Pixels,
    ScanHint,
    UnusableRow,
    frequency_in,
    number_in,
)

SCHEMA = "seticore_hits.capnp"
MAX_SEGMENTS = 512
"""Largest number of segments of a message, as Cap'n Proto's own readers have it."""
WORD_BYTES = 8


def is_hits(data: bytes) -> bool:
    """Tell whether bytes begin as a sequence of Cap'n Proto messages does: with a table of segments that fit."""
    if len(data) < WORD_BYTES:
        return False
    segments = struct.unpack_from("<I", data)[0] + 1
    if segments > MAX_SEGMENTS or len(data) < 4 * (segments + 1):
        return False
    words = sum(int(count) for count in struct.unpack_from(f"<{segments}I", data, 4))
    return 0 < words * WORD_BYTES <= len(data)


def parse_hits(data: bytes, name: str) -> HitTable:
    """Read the messages of such a table.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        Path of the file, for messages.

    Raises
    ------
    ConfigError
        pycapnp is not installed.
    """
    rows: list[HitRow] = []
    unusable: list[UnusableRow] = []
    # a message cannot be longer than the file, so this limit stops only those that refer to themselves
    messages = _schema().Hit.read_multiple_bytes(data, traversal_limit_in_words=8 * (len(data) // WORD_BYTES + 1))
    while True:
        number = len(rows) + len(unusable) + 1
        try:
            message = next(messages, None)
            if message is None:
                break
            rows.append(_row_of(message, number))
        except BadRowError as error:
            unusable.append(UnusableRow(number, str(error)))
        except Exception as error:  # pycapnp's own: what follows a damaged message cannot be found
            reason = f"the message is damaged, and the file is not read beyond it ({error})"
            unusable.append(UnusableRow(number, reason))
            break
    return HitTable(name, "seticore .hits", tuple(rows), tuple(unusable))


@cache
def _schema() -> Any:
    try:
        capnp = import_module("capnp")
    except ImportError as error:
        raise ConfigError("a .hits file of seticore is read with pycapnp, which is not installed; install it with: pip "
                          "install 'lookalike[hits]'") from error
    with resources.as_file(resources.files("pipeline.hit_tables") / SCHEMA) as path:
        return capnp.load(str(path))


def _row_of(message: Any, number: int) -> HitRow:
    signal, filterbank = message.signal, message.filterbank
    values = {"frequency": str(signal.frequency), "driftRate": str(signal.driftRate), "snr": str(signal.snr)}
    mjd = filterbank.tstart if math.isfinite(filterbank.tstart) and filterbank.tstart else None
    scan = ScanHint("", str(filterbank.sourceName), mjd, filterbank.telescopeId or None)
    pixels = _pixels_of(filterbank)
    duration_s = pixels.tsamp_s * len(pixels.power) if pixels else None
    return HitRow(number, "", frequency_in(values, "frequency"), number_in(values, "driftRate"),
                  number_in(values, "snr"), scan, duration_s, pixels)


def _pixels_of(filterbank: Any) -> Pixels | None:
    spectra, channels, count = filterbank.numTimesteps, filterbank.numChannels, len(filterbank.data)
    if not count:
        return None
    if spectra < 1 or channels < 1 or spectra * channels != count:
        raise BadRowError(f"it has {count} pixels, and says that they are {spectra} spectra of {channels} channels")
    if not (np.isfinite([filterbank.fch1, filterbank.foff, filterbank.tsamp]).all() and filterbank.foff
            and filterbank.tsamp > 0):
        raise BadRowError(f"its axes cannot be used: fch1 {filterbank.fch1:g} MHz, foff {filterbank.foff:g} MHz, tsamp "
                          f"{filterbank.tsamp:g} s")
    power = np.array(filterbank.data, np.float32).reshape(spectra, channels)
    if filterbank.foff < 0:
        power = power[:, ::-1]
    width = abs(filterbank.foff)
    lowest = min(filterbank.fch1, filterbank.fch1 + (channels - 1) * filterbank.foff) - width / 2
    return Pixels(power, lowest, lowest + channels * width, filterbank.tsamp)
