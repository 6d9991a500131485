"""Filterbank files with random damage, and what the reader says about them: ``python -m tests.cluster.mutations``.

The arguments are ``FOLDER FIRST STOP``. For each number from FIRST to STOP, one damaged file is made and read. A number
always gives the same file. A line of JSON is written before each file is read, and one after it. So the parent process
knows at which file this process died or hung.

The expected result does not come from the reader. It must refuse a file that is cut off or has an impossible keyword,
and a file that zlib cannot decode or HDF5 itself cannot read. If only samples were altered, the reader must return the
altered samples. If one chunk was damaged, it must return all other chunks unchanged.
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import Buffer, open_filterbank
from pipeline.filterbank.sigproc_header import build_header
from tests.filterbank.files import GBT, attributes, in_file_order, power_of, write_h5

CHUNKS = (6, 1, 37)
PACKED_CHANNELS = 104
"""Channels of files whose samples are packed: each spectrum fills whole bytes."""
PIECE = 29
"""Channels that are decoded at once; not a divisor of a chunk's width."""
MEMORY_BYTES = 8 << 30
"""Limit of memory. A reader that trusts a damaged length exceeds it."""
MOST_SPECTRA = 64
"""Maximum number of spectra to read, because damage can make a file seem longer."""
IMPOSSIBLE: dict[str, tuple[float, ...]] = {
    "nchans": (0, -1, 2**30, 7), "nifs": (0, -3, 2**20), "nbits": (0, -8, 7, 128),
    "foff": (0.0, float("nan"), float("inf")), "fch1": (float("nan"), float("-inf")),
    "tsamp": (0.0, -1.0, float("nan"), float("inf")), "tstart": (float("nan"), -1.0, 1e9),
}
"""Keyword → values with which no file can be read."""

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Base:
    """An undamaged file."""

    name: str
    raw: bytes
    data: tuple[tuple[int, int], ...]
    """First byte and last byte + 1 of the samples, for each chunk."""
    corners: tuple[tuple[int, int], ...] = ()
    """First spectrum and first channel of each chunk."""
    sample: str = "<f4"
    packed_bits: int = 0
    """Bits of a sample of which a byte holds several; 0 where samples fill bytes."""

    @property
    def is_sigproc(self) -> bool:
        return self.name.endswith(".fil")


@dataclass(frozen=True)
class Damaged:
    """A damaged file, what was done to it, and what the reader must do."""

    base: Base
    how: str
    raw: bytes
    is_hopeless: bool = False
    """True if the reader must refuse the file."""
    chunk: int | None = None
    """Index of the altered chunk, if only one was altered."""


def bases(folder: Path) -> list[Base]:
    """Make files of both formats, with several ways of storing HDF5 data."""
    stored = in_file_order(power_of(GBT), GBT)
    found = []
    for bits, kind in ((8, "<u1"), (16, "<u2"), (32, "<f4")):
        head = build_header(replace(GBT, nbits=bits))
        payload = stored.astype(kind).tobytes()
        found.append(Base(f"{bits}.fil", head + payload, ((len(head), len(head) + len(payload)),), ((0, 0),),
                          kind))
    for bits in (1, 2, 4):
        head = build_header(replace(GBT, nbits=bits, nchans=PACKED_CHANNELS))
        payload = random.Random(bits).randbytes(GBT.nsamples * PACKED_CHANNELS * bits // 8)
        found.append(Base(f"{bits}.fil", head + payload, ((len(head), len(head) + len(payload)),), ((0, 0),),
                          packed_bits=bits))
    head = _head_with_table()
    found.append(Base("table.fil", head + stored.tobytes(), ((len(head), len(head) + stored.nbytes),), ((0, 0),)))
    ways: dict[str, dict[str, Any]] = {
        "lz4": {"chunks": CHUNKS}, "whole": {"chunks": None, "filters": None},
        "gzip": {"chunks": CHUNKS, "filters": {"compression": "gzip"}},
        "zstd": {"chunks": CHUNKS, "filters": {"compression": hdf5plugin.Bitshuffle(cname="zstd")}},
        "latest": {"chunks": CHUNKS, "libver": "latest"},  # headers with checksums, attributes in a heap of their own
        "behind": {"chunks": CHUNKS, "userblock_size": 512},
    }
    for name, options in ways.items():
        path = write_h5(folder / f"base-{name}.h5", stored, attributes(), **options)
        with h5py.File(path) as file:
            data = file["data"]
            if data.chunks is None:
                start = data.id.get_offset()
                where, corners = [(start, start + stored.nbytes)], [(0, 0)]
            else:
                infos = [data.id.get_chunk_info(i) for i in range(data.id.get_num_chunks())]
                where = [(info.byte_offset, info.byte_offset + info.size) for info in infos]
                corners = [(info.chunk_offset[0], info.chunk_offset[2]) for info in infos]
        found.append(Base(f"{name}.h5", path.read_bytes(), tuple(where), tuple(corners)))
    for name, write in (("compact.h5", _write_compact), ("virtual.h5", _write_virtual)):
        raw = write(folder / f"base-{name}", stored).read_bytes()
        start = raw.index(stored.tobytes())
        found.append(Base(name, raw, ((start, start + stored.nbytes),), ((0, 0),)))
    return found


def _head_with_table() -> bytes:
    """A header with a table of frequencies, and a keyword that nobody knows."""
    names = {name: struct.pack("<i", len(name)) + name.encode()
             for name in ("FREQUENCY_START", "fchannel", "FREQUENCY_END", "colour", "HEADER_END")}
    table = b"".join(names["fchannel"] + struct.pack("<d", 1500 - 0.25 * i) for i in range(GBT.nchans))
    more = names["colour"] + struct.pack("<d", 3.0) + names["FREQUENCY_START"] + table + names["FREQUENCY_END"]
    end = names["HEADER_END"]
    return build_header(replace(GBT, fch1_mhz=0.0, foff_mhz=0.0)).removesuffix(end) + more + end


def _write_compact(path: Path, stored: Pixels) -> Path:
    """Write a dataset whose samples are stored in its header."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        space = h5py.h5s.create_simple(stored.shape)
        dataset = h5py.h5d.create(file.id, b"data", h5py.h5t.IEEE_F32LE, space, creation)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(stored))
        file["data"].attrs.update(attributes())
    return path


def _write_virtual(path: Path, stored: Pixels) -> Path:
    """Write a virtual dataset that consists of many parts of another dataset in the same file."""
    layout, source = h5py.VirtualLayout(stored.shape, stored.dtype), h5py.VirtualSource(".", "x", stored.shape)
    for first in range(0, stored.shape[2], 4):
        layout[:, :, first : first + 4] = source[:, :, first : first + 4]
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file["x"] = stored
        file.create_virtual_dataset("data", layout)
        file["data"].attrs.update(attributes())
    return path


def damage(base: Base, chance: random.Random, folder: Path) -> Damaged:
    """Damage a file in one of many ways."""
    how = chance.choice((_cut, _keyword, _headers, _headers, _headers, _chunk, _chunk, _anywhere))
    return how(base, chance, folder)


def _cut(base: Base, chance: random.Random, folder: Path) -> Damaged:
    return Damaged(base, "cut", base.raw[: chance.randrange(len(base.raw))], is_hopeless=True)


def _keyword(base: Base, chance: random.Random, folder: Path) -> Damaged:
    names = set(IMPOSSIBLE) - ({"fch1", "foff"} if base.name == "table.fil" else set())  # the table tells them
    name = chance.choice(sorted(names))
    value = chance.choice(IMPOSSIBLE[name])
    how = f"{name} = {value}"
    if base.is_sigproc:
        packed = struct.pack("<i", int(value)) if name in ("nchans", "nifs", "nbits") else struct.pack("<d", value)
        at = base.raw.index(name.encode()) + len(name)
        return Damaged(base, how, base.raw[:at] + packed + base.raw[at + len(packed) :], is_hopeless=True)
    path = folder / "keyword.h5"
    path.write_bytes(base.raw)
    with h5py.File(path, "r+") as file:
        file["data"].attrs[name] = value
    return Damaged(base, how, path.read_bytes(), is_hopeless=True)


def _headers(base: Base, chance: random.Random, folder: Path) -> Damaged:
    """Alter bytes that are not samples."""
    inside = [False] * len(base.raw)
    for start, stop in base.data:
        inside[start:stop] = [True] * (stop - start)
    places = [at for at, is_data in enumerate(inside) if not is_data]
    return Damaged(base, "header", _altered(base.raw, lambda: chance.choice(places), chance))


def _chunk(base: Base, chance: random.Random, folder: Path) -> Damaged:
    """Alter the samples of one chunk: in half of the cases only its first bytes."""
    number = chance.randrange(len(base.data))
    start, stop = base.data[number]
    some = chance.choice((min(stop, start + 24), stop))
    raw = bytearray(base.raw)
    altered = _altered(base.raw, lambda: chance.randrange(start, some), chance)
    raw[start:stop] = altered[start:stop]  # bytes after the chunk stay as they were
    is_hopeless = False
    if base.name == "gzip.h5":
        try:
            is_hopeless = len(zlib.decompress(bytes(raw[start:stop]))) != 4 * CHUNKS[0] * CHUNKS[2]
        except zlib.error:
            is_hopeless = True
    return Damaged(base, f"chunk {number}", bytes(raw), is_hopeless, number)


def _anywhere(base: Base, chance: random.Random, folder: Path) -> Damaged:
    """Insert, delete or repeat bytes anywhere, which displaces all bytes after them."""
    at, length = chance.randrange(len(base.raw)), chance.choice((1, 4, 8, 512))
    pieces = {"inserted": chance.randbytes(length) + base.raw[at:], "deleted": base.raw[at + length :],
              "repeated": base.raw[max(0, at - length) :]}
    how = chance.choice(sorted(pieces))
    return Damaged(base, how, base.raw[:at] + pieces[how])


def _altered(raw: bytes, place: Callable[[], int], chance: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = place()
        if chance.random() < 0.5:
            changed[at] ^= 1 << chance.randrange(8)
        else:
            value = chance.choice((b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff" * 8, bytes(8),
                                   struct.pack("<d", float("nan")), struct.pack("<d", float("inf")),
                                   chance.randbytes(chance.randrange(1, 16))))
            changed[at : at + len(value)] = value
    return bytes(changed[: len(raw)])


def read(path: Path) -> Pixels:
    """Read a file as runs do: its identity, then its samples, first in blocks of spectra, then fetched in pieces."""
    with open_filterbank(path) as filterbank:
        filterbank.source_id()
        header = filterbank.header
        spectra = min(header.nsamples, MOST_SPECTRA)
        blocks, pieces = [np.empty((0, header.nchans), np.float32)], [np.empty((spectra, 0), np.float32)]
        for first in range(0, spectra, 6):
            blocks.append(filterbank.read(first, min(first + 6, spectra), 0, header.nchans))
        power = np.concatenate(blocks)
        fetched = filterbank.fetch(0, spectra, 0, header.nchans, Buffer())
        for first in range(0, header.nchans, PIECE):
            pieces.append(fetched.read(0, spectra, first, min(first + PIECE, header.nchans)))
        if not np.array_equal(power, np.concatenate(pieces, axis=1), equal_nan=True):
            raise AssertionError("other numbers in pieces")
        return power if header.foff_mhz > 0 else power[:, ::-1]


def verdict(damaged: Damaged, path: Path) -> dict[str, str]:
    """Read a damaged file. Return the reader's reason, and what is wrong with its answer. Each may be empty."""
    path.write_bytes(damaged.raw)
    try:
        power = read(path)
    except SourceError as error:
        wrong = "" if str(path) in error.message else f"{error.message} names no file"
        if error.reason is Reason.PERMISSION:
            wrong = f"damage is taken for a fault of the disk: {error.message}"
        return {"reason": str(error.reason), "wrong": wrong}
    if damaged.is_hopeless:
        return {"reason": "", "wrong": f"{damaged.how} was not noticed"}
    if damaged.chunk is not None:
        return {"reason": "", "wrong": _difference(damaged, damaged.chunk, power)}
    return {"reason": "", "wrong": _missed(damaged.base, path)}


def _difference(damaged: Damaged, chunk: int, power: Pixels) -> str:
    """Say what is wrong with the pixels of a file in which one chunk was altered; empty if nothing is."""
    base = damaged.base
    if base.is_sigproc or base.name in ("whole.h5", "compact.h5", "virtual.h5"):
        start, stop = base.data[0]
        raw = damaged.raw[start:stop]
        if base.packed_bits:
            bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little").reshape(-1, base.packed_bits)
            expected = (bits @ (1 << np.arange(base.packed_bits))).astype(np.float32).reshape(power.shape)
        else:
            expected = np.frombuffer(raw, base.sample).astype(np.float32).reshape(power.shape)
        return "" if np.array_equal(expected, power, equal_nan=True) else "other numbers than stored"
    expected, others = in_file_order(power_of(GBT), GBT)[:, 0], np.ones(power.shape, bool)
    spectrum, channel = base.corners[chunk]
    others[spectrum : spectrum + CHUNKS[0], channel : channel + CHUNKS[2]] = False
    return "" if np.array_equal(expected[others], power[others]) else "other chunks have changed"


def _missed(base: Base, path: Path) -> str:
    """Say if HDF5 cannot read a file that the reader read. Bitshuffle files are left out: HDF5 may crash on them."""
    if base.name not in ("gzip.h5", "whole.h5"):
        return ""
    try:
        with h5py.File(path) as file:
            file["data"][...]
    except (MemoryError, np.exceptions.AxisError):
        return ""
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return f"HDF5 cannot read it: {error}"
    return ""


def main() -> None:
    """Make and read the damaged files of a range of numbers."""
    folder, first, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    known = bases(folder)
    for number in range(first, stop):
        chance = random.Random(number)
        damaged = damage(chance.choice(known), chance, folder)
        what = {"number": number, "file": damaged.base.name, "how": damaged.how}
        _say(what)
        path = folder / damaged.base.name
        try:
            said = verdict(damaged, path)
        except BaseException as error:
            said = {"reason": "", "wrong": f"{type(error).__name__}: {error}"}
        _say(what | said)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
