import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.filterbank import open_filterbank

from .files import (
    GBT,
    attributes,
    blimpy_power,
    blimpy_waterfall,
    in_file_order,
    power_of,
    read_all,
    real_file,
    refused,
    write_h5,
)

STORED = in_file_order(power_of(GBT), GBT)


def test_header_and_values_are_those_of_blimpy_on_real_data():
    path = real_file("voyager1_2020_crop.h5")
    theirs, power = blimpy_waterfall(path).header, blimpy_power(path)
    with open_filterbank(path) as filterbank:
        header = filterbank.header
        np.testing.assert_array_equal(filterbank.read(0, 16, 0, 512), power)
    assert (header.nsamples, header.nchans, header.nbits, header.nifs) == (16, 512, 32, 1)
    assert (header.fch1_mhz, header.foff_mhz, header.tsamp_s, header.tstart_mjd) == (
        theirs["fch1"], theirs["foff"], theirs["tsamp"], theirs["tstart"])
    assert (header.source_name, header.telescope_id, header.machine_id) == ("VOYAGER-1", 6, 20)
    assert header.ra_hours == pytest.approx(theirs["src_raj"].hour, abs=1e-12)
    assert header.dec_deg == pytest.approx(theirs["src_dej"].deg, abs=1e-12)


@pytest.mark.parametrize("chunks", [(1, 1, 100), (1, 1, 16), (18, 1, 7), (5, 1, 33), None])
def test_any_chunk_shape(tmp_path, chunks):
    path = write_h5(tmp_path / "f.h5", STORED, attributes(), chunks=chunks, filters="bitshuffle" if chunks else None)
    np.testing.assert_array_equal(read_all(path), power_of(GBT))
    np.testing.assert_array_equal(read_all(path), blimpy_power(path))
    with open_filterbank(path) as filterbank:
        assert filterbank.chunk_shape == (chunks and (chunks[0], chunks[2]))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "<f4", ">f4", "f8"])
def test_any_sample_type_becomes_float32(tmp_path, dtype):
    values = np.array([[[0, 1, 100, 127]]] if dtype == "i1" else [[[0, 1, 200, 255]]]).astype(dtype)
    path = write_h5(tmp_path / "f.h5", values, attributes(nchans=4, nbits=min(32, 8 * values.itemsize)))
    power = read_all(path)
    assert power.dtype == np.float32
    np.testing.assert_array_equal(power[0, ::-1], values[0, 0].astype(np.float32))
    with open_filterbank(path) as filterbank:
        assert filterbank.header.nbits == 8 * values.itemsize


@pytest.mark.parametrize("polarisation", [0, 1])
def test_several_products_are_told_apart(tmp_path, polarisation):
    both = [power_of(GBT, seed) for seed in (1, 2)]
    path = write_h5(tmp_path / "f.h5", np.concatenate([in_file_order(power, GBT) for power in both], axis=1),
                    attributes(nifs=2), chunks=(2, 2, 33))
    np.testing.assert_array_equal(read_all(path, polarisation=polarisation), both[polarisation])
    np.testing.assert_array_equal(read_all(path, polarisation=polarisation), blimpy_power(path, polarisation))


def test_text_attributes_are_bytes_or_str(tmp_path):
    for name in (b"HIP77257", "HIP77257", np.bytes_(b"HIP77257")):
        path = write_h5(tmp_path / "f.h5", STORED, attributes(source_name=name),
                        root={"CLASS": np.bytes_(b"FILTERBANK")})
        with open_filterbank(path) as filterbank:
            assert filterbank.header.source_name == "HIP77257"


def test_without_the_class_the_header_decides(tmp_path):
    path = write_h5(tmp_path / "f.h5", STORED, attributes(), root={})
    np.testing.assert_array_equal(read_all(path), power_of(GBT))


@pytest.mark.parametrize("setting", ["TRUE", "FALSE", None])
def test_file_locking_need_not_be_set(tmp_path, setting):
    path = write_h5(tmp_path / "f.h5", STORED, attributes())
    environment = {key: value for key, value in os.environ.items() if key != "HDF5_USE_FILE_LOCKING"}
    if setting is not None:
        environment["HDF5_USE_FILE_LOCKING"] = setting
    code = f"from pipeline.filterbank import open_filterbank; print(open_filterbank({str(path)!r}).header.nchans)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "100\n"


class TestBadInput:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "bad.h5"

    def test_zero_bytes(self, path):
        path.touch()
        refused(path, Reason.EMPTY)

    def test_text(self, path):
        path.write_text("These are not the samples you are looking for.\n" * 9)
        refused(path, Reason.NOT_FILTERBANK)

    def test_another_hdf5_product(self, path):
        with h5py.File(path, "w") as file:
            file["visibilities"] = np.ones(3)
        refused(path, Reason.NOT_FILTERBANK)
        write_h5(path, STORED, {}, root={"CLASS": "SPECTRA"})
        refused(path, Reason.NOT_FILTERBANK)

    def test_header_only(self, path):
        write_h5(path, STORED[:0], attributes(), chunks=None, filters=None)
        refused(path, Reason.NO_DATA)
        with h5py.File(path, "w") as file:
            file.attrs["CLASS"] = "FILTERBANK"
            file.create_dataset("data", STORED.shape, np.float32, chunks=(1, 1, 100)).attrs.update(attributes())
        refused(path, Reason.NO_DATA)
        with h5py.File(path, "w") as file:
            file.attrs["CLASS"] = "FILTERBANK"
        refused(path, Reason.NO_DATA, "without a dataset 'data'")

    @pytest.mark.parametrize(("name", "value"), [("nchans", 101), ("nchans", 2**40), ("nchans", 0), ("nifs", 4)])
    def test_header_and_shape_differ(self, path, name, value):
        write_h5(path, STORED, attributes(**{name: value}))
        refused(path, Reason.HEADER_INCONSISTENT, str(value))

    def test_wrong_number_of_axes(self, path):
        write_h5(path, STORED[:, 0], attributes())
        refused(path, Reason.HEADER_INCONSISTENT, "2 axes")

    @pytest.mark.parametrize("kept", [10, 50, 95, 96, 500, 0.5, 0.99])
    def test_truncated(self, path, kept):
        write_h5(path, STORED, attributes(), chunks=(1, 1, 37))
        size = path.stat().st_size
        os.truncate(path, kept if isinstance(kept, int) else int(kept * size))
        refused(path, Reason.TRUNCATED)

    @pytest.mark.parametrize("name", ["fch1", "foff", "nchans", "nifs", "nbits", "tsamp", "tstart"])
    def test_missing_keyword(self, path, name):
        write_h5(path, STORED, attributes(**{name: None}))
        refused(path, Reason.BAD_HEADER, rf"\b{name}\b")

    @pytest.mark.parametrize(("name", "value"), [("foff", 0.0), ("foff", np.nan), ("tsamp", 0.0), ("tsamp", -1.0)])
    def test_bad_axis(self, path, name, value):
        write_h5(path, STORED, attributes(**{name: value}))
        refused(path, Reason.BAD_AXIS, name)

    @pytest.mark.parametrize(("nbits", "dtype"), [(4, "u1"), (12, "u2"), (32, "i4"), (64, "c8"), (16, "f2")])
    def test_unsupported_bits(self, path, nbits, dtype):
        write_h5(path, STORED.astype(dtype), attributes(nbits=nbits), filters=None)
        refused(path, Reason.UNSUPPORTED_NBITS, f"{nbits} bits")

    def test_damaged_structure(self, path):
        write_h5(path, STORED, attributes())
        raw = path.read_bytes()
        path.write_bytes(raw.replace(b"TREE", b"BREE").replace(b"HEAP", b"WEEP"))
        refused(path, Reason.BAD_HEADER, "HDF5 cannot open it")

    def test_still_open_for_writing(self, path):
        with h5py.File(path, "w", libver="latest") as file:
            file.create_dataset("data", data=STORED)
            file.flush()
            code = ("import sys; from pipeline.filterbank import open_filterbank\n"
                    "try: open_filterbank(sys.argv[1])\nexcept Exception as error: print(error.reason)")
            done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert done.stdout == "BUSY\n"
