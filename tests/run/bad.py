"""Bad files of every kind, and good files that look bad."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.errors import Reason
from pipeline.filterbank import write_filterbank
from pipeline.filterbank.sigproc_header import build_header
from tests.run.small import COARSE, N_COARSE, header, noisy_power, write_scan


def corrupt(path: Path) -> None:
    """Damage the frame of one compressed chunk."""
    with h5py.File(path, "r") as file:
        info = file["data"].id.get_chunk_info_by_coord((3, 0, 0))
    with open(path, "r+b") as raw:
        raw.seek(info.byte_offset)
        raw.write(b"\xff" * 16)


def patch_keyword(path: Path, keyword: str, value: bytes) -> None:
    """Overwrite a keyword's value in a sigproc header."""
    raw = bytearray(path.read_bytes())
    at = raw.index(keyword.encode()) + len(keyword)
    raw[at : at + len(value)] = value
    path.write_bytes(raw)


def rename_keyword(path: Path, keyword: str, other: str) -> None:
    path.write_bytes(path.read_bytes().replace(keyword.encode(), other.encode(), 1))


def set_attribute(path: Path, name: str, value: Any) -> None:
    with h5py.File(path, "r+") as file:
        if value is None:
            del file["data"].attrs[name]
        else:
            file["data"].attrs[name] = value


def bad_archive(data: Path) -> dict[str, Reason]:
    """Write a file for each kind of bad input, in each format that can have it; return file → expected reason."""
    data.mkdir()
    expected: dict[str, Reason] = {}
    numbers = iter(range(100, 200))

    def fil(name: str, reason: Reason, **changes: Any) -> Path:
        expected[f"{name}.fil"] = reason
        return write_scan(data / f"{name}.fil", next(numbers), **changes)

    def h5(name: str, reason: Reason, **changes: Any) -> Path:
        expected[f"{name}.h5"] = reason
        return write_scan(data / f"{name}.h5", next(numbers), **changes)

    for suffix in ("fil", "h5"):
        (data / f"empty.{suffix}").write_bytes(b"")
        expected[f"empty.{suffix}"] = Reason.EMPTY
        (data / f"notes.{suffix}").write_text("this is no filterbank\n" * 1000)
        expected[f"notes.{suffix}"] = Reason.NOT_FILTERBANK
    with h5py.File(data / "other.h5", "w") as file:
        file["table"] = np.arange(5)
    expected["other.h5"] = Reason.NOT_FILTERBANK

    size = 4 * N_COARSE * COARSE * 16
    path = fil("header-only", Reason.NO_DATA)
    os.truncate(path, path.stat().st_size - size)
    with h5py.File(h5("header-only", Reason.NO_DATA), "r+") as file:
        attributes = dict(file["data"].attrs)
        del file["data"]
        row = (1, N_COARSE * COARSE)
        file.create_dataset("data", (0, *row), "f4", maxshape=(None, *row)).attrs.update(attributes)

    patch_keyword(fil("huge", Reason.HEADER_INCONSISTENT), "nchans", (2**30).to_bytes(4, "little"))
    set_attribute(h5("huge", Reason.HEADER_INCONSISTENT), "nchans", 2**30)
    path = fil("truncated", Reason.TRUNCATED)
    os.truncate(path, path.stat().st_size - size // 3)
    path = h5("truncated", Reason.TRUNCATED)
    os.truncate(path, path.stat().st_size // 2)

    os.truncate(fil("cut-header", Reason.BAD_HEADER), 100)
    rename_keyword(fil("lacking", Reason.BAD_HEADER), "tstart", "period")
    rename_keyword(fil("endless", Reason.BAD_HEADER), "HEADER_END", "HEADER_FND")
    set_attribute(h5("lacking", Reason.BAD_HEADER), "fch1", None)
    axes = (("foff-zero", "foff", 0.0), ("foff-nan", "foff", np.nan), ("tsamp-negative", "tsamp", -1.0))
    for name, keyword, value in axes:
        patch_keyword(fil(name, Reason.BAD_AXIS), keyword, np.float64(value).tobytes())
        set_attribute(h5(name, Reason.BAD_AXIS), keyword, value)
    patch_keyword(fil("nbits", Reason.UNSUPPORTED_NBITS), "nbits", (12).to_bytes(4, "little"))
    with h5py.File(h5("nbits", Reason.UNSUPPORTED_NBITS), "r+") as file:
        attributes = dict(file["data"].attrs)
        del file["data"]
        data_set = file.create_dataset("data", data=np.ones((16, 1, N_COARSE * COARSE), "c8"))
        data_set.attrs.update(attributes | {"nbits": 64})
    for make in (fil, h5):
        make("short", Reason.TOO_FEW_SAMPLES, nsamples=15)
        make("narrow", Reason.TOO_FEW_CHANNELS, nchans=200)
    corrupt(h5("corrupt", Reason.CORRUPT_CHUNK))
    (data / "dangling.fil").symlink_to("nowhere.fil")
    (data / "loop.h5").symlink_to("loop.h5")
    expected |= {"dangling.fil": Reason.BAD_LINK, "loop.h5": Reason.BAD_LINK}
    (data / "up").symlink_to(data)
    expected["up"] = Reason.BAD_LINK
    outside = write_scan(data.parent / "outside.h5", next(numbers))
    with h5py.File(data / "external.h5", "w") as file:
        file["data"] = h5py.ExternalLink(str(outside), "/data")
        file.attrs["CLASS"] = "FILTERBANK"
    expected["external.h5"] = Reason.REFUSED_LINK
    return expected


def good_but_odd(data: Path) -> set[str]:
    """Write unusual files that must be ingested without an error; return their names."""
    like = header(90)
    power = noisy_power(90)
    power[:, :300], power[2, 5000:6000], power[4, 7000:8000], power[:, 9000:9100], power[7] = 0, np.nan, np.inf, -3, 5e8
    names = {"dead pixels.h5", "dead pixels.fil", "zwei Wörter ☆\nund Zeile.h5", os.fsdecode(b"latin-\xe9.fil"),
             "CAPITALS.FIL", "eight-bit.fil", "rising.h5", "two-products.h5", "good.hdf5",
             "four-bit.fil", "misspelt.fil", "no-target.h5"}
    write_filterbank(data / "dead pixels.h5", power, like)
    write_filterbank(data / "dead pixels.fil", power[:, ::-1], header(91))
    write_scan(data / "zwei Wörter ☆\nund Zeile.h5", 92)
    write_scan(data / os.fsdecode(b"latin-\xe9.fil"), 93)
    write_scan(data / "CAPITALS.FIL", 94)
    write_filterbank(data / "eight-bit.fil", noisy_power(95) / 1e8, header(95, nbits=8))
    write_scan(data / "rising.h5", 96, foff_mhz=-header().foff_mhz)
    write_scan(data / "good.hdf5", 97)
    four_bits = np.clip(np.rint(noisy_power(98) / 3e8), 0, 15).astype(np.uint8)[:, ::-1]
    head = build_header(header(88, nbits=4))
    (data / "four-bit.fil").write_bytes(head + (four_bits[:, ::2] | four_bits[:, 1::2] << 4).tobytes())
    rename_keyword(write_scan(data / "misspelt.fil", 89), "source_name", "source_nama")
    set_attribute(write_scan(data / "no-target.h5", 87), "source_name", np.arange(9))
    path = write_scan(data / "two-products.h5", 98)
    with h5py.File(path, "r+") as file:
        samples, attributes = file["data"][:], dict(file["data"].attrs)
        del file["data"]
        both = file.create_dataset("data", data=np.concatenate([samples, 0 * samples], axis=1))
        both.attrs.update(attributes | {"nifs": 2})
    return names
