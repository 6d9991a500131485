import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank
from pipeline.filterbank.heaps import SIGNATURE, guarded, heap_fault

from .files import GBT, attributes, in_file_order, power_of, read_all, write_h5

STORED = in_file_order(power_of(GBT), GBT)
OBJECT_BYTES = 16


def heaps_of(path):
    raw = path.read_bytes()
    return [at for at in range(len(raw)) if raw.startswith(SIGNATURE, at)]


def altered(path, at, value):
    raw = bytearray(path.read_bytes())
    raw[at : at + len(value)] = value
    path.write_bytes(raw)
    return path


def first_free(path, start):
    """Return where the free piece of a collection begins, computed from the sizes of its objects."""
    raw = path.read_bytes()
    at = start + OBJECT_BYTES
    while int.from_bytes(raw[at : at + 2], "little"):
        at += OBJECT_BYTES + -(-int.from_bytes(raw[at + 8 : at + 16], "little") // 8) * 8
    return at


def looped(path):
    """Set the size of a free piece to 0. HDF5 loops there for ever."""
    return altered(path, first_free(path, heaps_of(path)[0]) + 8, bytes(8))


def wrapped(path):
    """Make an object so long that its end, in 64 bits, equals its beginning. HDF5 loops there for ever."""
    return altered(path, heaps_of(path)[0] + OBJECT_BYTES + 8, (2**64 - OBJECT_BYTES).to_bytes(8, "little"))


@pytest.fixture
def path(tmp_path):
    return write_h5(tmp_path / "f.h5", STORED, attributes())


def test_sound_heaps_are_read(path):
    assert heaps_of(path)
    with open(path, "rb") as file:
        assert [heap_fault(file.fileno(), at) for at in heaps_of(path)] == [""] * len(heaps_of(path))
    with guarded(path) as file:
        assert file["data"].attrs["source_name"] == "VOYAGER 1"
    np.testing.assert_array_equal(read_all(path), power_of(GBT))


@pytest.mark.parametrize("damaged", [looped, wrapped])
def test_a_heap_in_which_hdf5_would_stay_for_ever_is_refused(path, damaged):
    with pytest.raises(SourceError, match="heap of strings at byte") as caught:
        open_filterbank(damaged(path))
    assert caught.value.reason is Reason.BAD_HEADER
    assert str(path) in caught.value.message


@pytest.mark.parametrize("damaged", [looped, wrapped])
def test_hdf5_alone_would_stay_there(path, damaged):
    """If this test fails, HDF5 has been mended, and the check is no longer needed."""
    code = "import h5py, sys; print('opened', flush=True); h5py.File(sys.argv[1]).attrs['CLASS']; print('back')"
    with subprocess.Popen([sys.executable, "-c", code, damaged(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "opened\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.kill()


def test_heaps_of_linked_files_and_of_virtual_datasets_are_looked_at(path, tmp_path):
    looped(path)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file.attrs["CLASS"] = np.bytes_(b"FILTERBANK")
        file["data"] = h5py.ExternalLink("f.h5", "data")
    layout = h5py.VirtualLayout(STORED.shape, np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "data", STORED.shape)
    write_h5(tmp_path / "other.h5", STORED, attributes())
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
        file["data"].attrs.update(attributes(source_name=np.bytes_(b"X")))
    np.testing.assert_array_equal(read_all(tmp_path / "virtual.h5"), power_of(GBT))
    for name in ("link.h5", "virtual.h5"):
        broken = tmp_path / name if name == "link.h5" else looped(tmp_path / name)
        with pytest.raises(SourceError, match="heap of strings"):
            open_filterbank(broken)


def test_a_user_block_before_the_file_moves_nothing(tmp_path):
    with h5py.File(os.fsencode(tmp_path / "f.h5"), "w", userblock_size=512) as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file["data"] = STORED
        file["data"].attrs.update(attributes())
    np.testing.assert_array_equal(read_all(tmp_path / "f.h5"), power_of(GBT))
    with pytest.raises(SourceError, match="heap of strings"):
        open_filterbank(looped(tmp_path / "f.h5"))


def test_sizes_of_four_bytes(tmp_path):
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_sizes(8, 4)
    h5py.h5f.create(os.fsencode(tmp_path / "f.h5"), h5py.h5f.ACC_TRUNC, creation).close()
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file["data"] = STORED
        file["data"].attrs.update(attributes())
    np.testing.assert_array_equal(read_all(tmp_path / "f.h5"), power_of(GBT))


def test_a_collection_of_too_many_objects(tmp_path):
    one = (1).to_bytes(2, "little") + bytes(14)
    raw = SIGNATURE + b"\1\0\0\0" + (2**40).to_bytes(8, "little") + one * 70_000
    (tmp_path / "heap").write_bytes(raw)
    with open(tmp_path / "heap", "rb") as file:
        assert "more than 65536" in heap_fault(file.fileno(), 0)


def test_a_collection_cut_short_is_left_to_hdf5(tmp_path):
    raw = SIGNATURE + b"\1\0\0\0" + (4096).to_bytes(8, "little") + (1).to_bytes(2, "little")
    (tmp_path / "heap").write_bytes(raw)
    with open(tmp_path / "heap", "rb") as file:
        assert heap_fault(file.fileno(), 0) == ""
