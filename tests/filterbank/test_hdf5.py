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


NUMBERS = ("u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
SAMPLE_TYPES = ["u1", "i1", "?", *(order + kind for order in "<>" for kind in NUMBERS), "g"]
WAYS = {"bitshuffle": {"chunks": (2, 1, 3)}, "contiguous": {"chunks": None, "filters": None},
        "plain": {"chunks": (2, 1, 3), "filters": None},
        "gzip": {"chunks": (2, 1, 3), "filters": {"compression": "gzip", "shuffle": True}}}


def sample_values(dtype):
    """(5, 1, 4) values that float32 holds, negative ones among them where the type has any."""
    kind = np.dtype(dtype).kind
    few = [0, 1, 100, 127] if kind == "u" else [0, 1, 1, 0] if kind == "b" else [-3, 1, -100, 127]
    return np.array([np.roll(few, i) for i in range(5)])[:, None].astype(dtype)


@pytest.mark.parametrize(("way", "dtype"), [
    *(("contiguous", kind) for kind in SAMPLE_TYPES),
    *(("bitshuffle", kind) for kind in ("u1", "i1", "?", "<u2", ">i2", "<i4", "<f2", ">f4", "<f8", "g")),
    *((way, kind) for way in ("plain", "gzip") for kind in ("<f2", ">u4"))])
def test_any_sample_type_becomes_float32(tmp_path, dtype, way):
    values = sample_values(dtype)
    path = write_h5(tmp_path / "f.h5", values, attributes(nchans=4, nbits=32), **WAYS[way])
    power = read_all(path)
    assert power.dtype == np.float32
    np.testing.assert_array_equal(power[:, ::-1], values[:, 0].astype(np.float32))
    with open_filterbank(path) as filterbank:
        assert filterbank.header.nbits == 8 * values.itemsize
        np.testing.assert_array_equal(filterbank.read(1, 4, 1, 3), power[1:4, 1:3])


def write_stored_as(path, stored, values, memory, filters=()):
    """Write values as a type of HDF5 that numpy does not have."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if filters is not None:
        creation.set_chunk((1, 1, 3))
        for number, settings in filters:
            creation.set_filter(number, h5py.h5z.FLAG_MANDATORY, settings)
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        space = h5py.h5s.create_simple(values.shape)
        dataset = h5py.h5d.create(file.id, b"data", stored, space, creation)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(values), mtype=memory)
        file["data"].attrs.update(attributes(nchans=values.shape[2], foff=1e-6))
    return path


FILTERS = {"contiguous": None, "plain": (), "lz4": ((32008, (0, 2)),), "gzip": ((1, (4,)),)}
"""Number and settings of filters; None for a dataset without chunks."""


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize(("name", "dtype"), [("STD_B8LE", "u1"), ("STD_B16LE", "<u2"), ("STD_B32BE", ">u4")])
def test_bitfields_are_unsigned_integers(tmp_path, name, dtype, filters):
    """rawspec writes samples of 8 and 16 bits in this way."""
    stored = getattr(h5py.h5t, name)
    values = np.random.default_rng(1).integers(0, 255, (5, 1, 8)).astype(dtype)
    path = write_stored_as(tmp_path / "f.h5", stored, values, stored, filters)
    np.testing.assert_array_equal(read_all(path), values[:, 0])
    with open_filterbank(path) as filterbank:
        assert filterbank.header.nbits == 8 * values.itemsize


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("kind", ["12 bits", "bfloat16"])
def test_types_that_numpy_lacks_are_converted_by_hdf5(tmp_path, kind, filters):
    values = np.random.default_rng(1).integers(0, 128, (5, 1, 8))
    if kind == "12 bits":
        stored, values, memory = h5py.h5t.STD_U16LE.copy(), values.astype("<u2"), h5py.h5t.STD_U16LE
        stored.set_precision(12)
        stored.set_offset(2)
    else:
        stored, values, memory = h5py.h5t.IEEE_F32LE.copy(), values.astype("<f4"), h5py.h5t.IEEE_F32LE
        stored.set_fields(15, 7, 8, 0, 7)
        stored.set_size(2)
        stored.set_ebias(127)
    path = write_stored_as(tmp_path / "f.h5", stored, values, memory, filters)
    np.testing.assert_array_equal(read_all(path), values[:, 0])
    with open_filterbank(path) as filterbank:
        assert filterbank.header.nbits == 16


@pytest.mark.parametrize("name", ["nbits", "nifs", "nchans"])
def test_what_the_dataset_tells_need_not_be_a_keyword(tmp_path, name):
    both = np.concatenate([in_file_order(power_of(GBT, seed), GBT) for seed in (1, 2)], axis=1)
    path = write_h5(tmp_path / "f.h5", both, attributes(**{"nifs": 2, name: None}))
    with open_filterbank(path, polarisation=1) as filterbank:
        header = filterbank.header
        assert (header.nbits, header.nifs, header.nchans) == (32, 2, 100)
        assert not filterbank.remarks
    np.testing.assert_array_equal(read_all(path, polarisation=1), power_of(GBT, 2))


@pytest.mark.parametrize(("name", "value"), [
    ("source_name", np.arange(300.0)), ("source_name", True), ("src_raj", np.zeros(2)), ("src_dej", "north"),
    ("telescope_id", np.zeros(1, [("a", "f8")])), ("rawdatafile", h5py.Empty("f4"))])
def test_labels_never_decide_whether_a_file_is_read(tmp_path, name, value):
    path = write_h5(tmp_path / "f.h5", STORED, attributes(**{name: value}))
    np.testing.assert_array_equal(read_all(path), power_of(GBT))
    with open_filterbank(path) as filterbank:
        assert list(filterbank.remarks) == [name]
        assert name in filterbank.remarks[name]


@pytest.mark.parametrize("value", [np.array(["HIP 1"], h5py.string_dtype()), np.array([b"HIP", b"1"])])
def test_the_target_may_be_an_array(tmp_path, value):
    path = write_h5(tmp_path / "f.h5", STORED, attributes(source_name=value))
    with open_filterbank(path) as filterbank:
        assert filterbank.header.source_name == "HIP 1"
        assert not filterbank.remarks


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
        refused(path, Reason.HEADER_INCONSISTENT, r"\(18, 100\), and not three axes")

    @pytest.mark.parametrize("keyword", ["fch1", "foff", "tsamp", "tstart", "nchans", "nifs", "nbits"])
    @pytest.mark.parametrize(("value", "fault"), [
        (np.array([1.0, 2.0]), r"is an array of the shape \(2,\), and must be one number; correct the header"),
        ("one", "is 'one', which is not a number; correct the header"),
    ])
    def test_a_keyword_that_is_no_number(self, path, keyword, value, fault):
        write_h5(path, STORED, attributes() | {keyword: value})
        refused(path, Reason.BAD_HEADER, f"the keyword {keyword} {fault}")

    @pytest.mark.parametrize("kept", [10, 50, 95, 96, 500, 0.5, 0.99])
    def test_truncated(self, path, kept):
        write_h5(path, STORED, attributes(), chunks=(1, 1, 37))
        size = path.stat().st_size
        os.truncate(path, kept if isinstance(kept, int) else int(kept * size))
        refused(path, Reason.TRUNCATED)

    @pytest.mark.parametrize("name", ["fch1", "foff", "tsamp", "tstart"])
    def test_missing_keyword(self, path, name):
        write_h5(path, STORED, attributes(**{name: None}))
        refused(path, Reason.BAD_HEADER, rf"\b{name}\b")

    @pytest.mark.parametrize(("name", "value"), [("foff", 0.0), ("foff", np.nan), ("tsamp", 0.0), ("tsamp", -1.0)])
    def test_bad_axis(self, path, name, value):
        write_h5(path, STORED, attributes(**{name: value}))
        refused(path, Reason.BAD_AXIS, name)

    @pytest.mark.parametrize(("nbits", "dtype"), [(4, "u1"), (12, "u2"), (0, "f4"), (-8, "u1")])
    def test_packed_samples(self, path, nbits, dtype):
        write_h5(path, STORED.astype(dtype), attributes(nbits=nbits), filters=None)
        refused(path, Reason.UNSUPPORTED_NBITS, f"{nbits} bits")

    @pytest.mark.parametrize("dtype", ["c8", "c16"])
    def test_complex_samples(self, path, dtype):
        write_h5(path, STORED.astype(dtype), attributes(), filters=None)
        refused(path, Reason.UNSUPPORTED_NBITS, "complex .* voltages")

    @pytest.mark.parametrize("dtype", ["S4", [("re", "f4"), ("im", "f4"), ("weight", "f4")]])
    def test_samples_that_are_no_numbers(self, path, dtype):
        write_h5(path, np.zeros((18, 1, 100), dtype), attributes(), filters=None)
        refused(path, Reason.UNSUPPORTED_NBITS, "not numbers")

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
