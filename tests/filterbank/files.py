"""Small filterbank files for tests, and blimpy as oracle. Where it matters, the code under test does not write them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank
from pipeline.model import Header

REAL = Path(os.environ.get("LOOKALIKE_REAL_DATA", Path(__file__).parents[3] / "shared/data/real"))

GBT = Header(fch1_mhz=8421.386717353016, foff_mhz=-2.7939677238464355e-06, nchans=100, nifs=1, nbits=32,
             tsamp_s=18.253611007999982, nsamples=18, tstart_mjd=57650.782094907408, source_name="VOYAGER 1",
             telescope_id=6, machine_id=20, ra_hours=17.173075, dec_deg=-12.0638, rawdatafile="guppi_0002.raw")


def power_of(header: Header, seed: int = 1) -> np.ndarray:
    """Draw noise at a level that 8 bits can hold. The values are integers if the header says so."""
    power = np.random.default_rng(seed).uniform(0, 255, (header.nsamples, header.nchans)).astype(np.float32)
    return power if header.nbits == 32 else np.rint(power)


def attributes(header: Header = GBT, **changes: Any) -> dict[str, Any]:
    """Return HDF5 attributes as blimpy writes them. ``name=None`` leaves an attribute out."""
    known = {"fch1": header.fch1_mhz, "foff": header.foff_mhz, "nchans": header.nchans, "nifs": header.nifs,
             "nbits": header.nbits, "tsamp": header.tsamp_s, "tstart": header.tstart_mjd,
             "source_name": header.source_name, "telescope_id": header.telescope_id,
             "machine_id": header.machine_id, "src_raj": header.ra_hours, "src_dej": header.dec_deg}
    return {name: value for name, value in {**known, **changes}.items() if value is not None}


def write_h5(path: Path, stored: np.ndarray, attrs: dict[str, Any], *, chunks: Any = True, filters: Any = "bitshuffle",
             root: dict[str, Any] | None = None, **creation: Any) -> Path:
    """Write a dataset ``data`` (time, feed, frequency in file order) with h5py only."""
    options: dict[str, Any] = {"chunks": chunks}
    if filters == "bitshuffle":
        options["compression"] = hdf5plugin.Bitshuffle(nelems=0, cname="lz4")
    elif filters is not None:
        options |= filters
    with h5py.File(os.fsencode(path), "w", **creation) as file:
        file.attrs.update({"CLASS": "FILTERBANK", "VERSION": "1.0"} if root is None else root)
        file.create_dataset("data", data=stored, **options)
        file["data"].attrs.update(attrs)
    return path


def in_file_order(power: np.ndarray, header: Header) -> np.ndarray:
    """Turn (spectra, ascending channels) into the array (time, feed, frequency) that a file holds."""
    return power[:, np.newaxis, :: 1 if header.foff_mhz > 0 else -1]


def read_all(path: Path, **options: Any) -> np.ndarray:
    with open_filterbank(path, **options) as filterbank:
        return filterbank.read(0, filterbank.header.nsamples, 0, filterbank.header.nchans)


def refused(path: Path, reason: Reason, match: str | None = None, **options: Any) -> None:
    """Assert that the file is refused for this reason, and that the message names it."""
    with pytest.raises(SourceError, match=match) as caught:
        open_filterbank(path, **options)
    assert caught.value.reason is reason
    assert path.name in caught.value.message


def blimpy_waterfall(path: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from blimpy import Waterfall
        return Waterfall(str(path), **options)


def blimpy_power(path: Path, product: int = 0, **options: Any) -> np.ndarray:
    """Return what blimpy reads, as float32 (spectra, ascending channels)."""
    waterfall = blimpy_waterfall(path, **options)
    power = waterfall.data[:, product].astype(np.float32)
    return power if waterfall.header["foff"] > 0 else power[:, ::-1]


def real_file(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"the pieces of real data are not at {REAL} (LOOKALIKE_REAL_DATA names another place)")
    return path
