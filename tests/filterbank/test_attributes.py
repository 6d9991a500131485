"""Attributes with damaged types are refused with a reason. HDF5 alone would crash on them."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank
from pipeline.filterbank.attributes import attribute

from .files import GBT, attributes, in_file_order, power_of, write_h5

STORED = in_file_order(power_of(GBT), GBT)
TEXT_OF_ANY_LENGTH = b"CLASS\0\0\0\x19\x01"
"""Name of an attribute, version and class of its type, and the bit that marks text."""


@pytest.fixture
def path(tmp_path):
    return write_h5(tmp_path / "f.h5", STORED, attributes())


def of_no_kind(path):
    """Change the type of CLASS so that it is neither text nor a sequence."""
    raw = path.read_bytes()
    assert raw.count(TEXT_OF_ANY_LENGTH) == 1
    path.write_bytes(raw.replace(TEXT_OF_ANY_LENGTH, TEXT_OF_ANY_LENGTH[:-1] + b"\x05"))
    return path


def test_a_type_at_which_hdf5_would_crash_is_refused(path):
    with pytest.raises(SourceError, match="CLASS is neither") as caught:
        open_filterbank(of_no_kind(path))
    assert caught.value.reason is Reason.BAD_HEADER
    assert str(path) in caught.value.message


def test_hdf5_alone_would_crash_there(path):
    """If this test fails, HDF5 has been mended, and the check is no longer needed."""
    code = "import h5py, sys; h5py.File(sys.argv[1]).attrs['CLASS']"
    done = subprocess.run([sys.executable, "-c", code, of_no_kind(path)], check=False, capture_output=True)
    assert done.returncode < 0


@pytest.mark.parametrize(("value", "fault"), [
    (np.arange(2.0), r"x is an array of the shape \(2,\)"),
    (np.array([[1.0], [2.0]]), r"x is an array of the shape \(2, 1\)"),
    (np.zeros(1, [("a", "f8")]), "x is neither a number nor text"), (True, "x is neither a number nor text"),
])
def test_what_is_no_keyword_is_not_read(tmp_path, value, fault):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.attrs["x"] = value
        with pytest.raises(TypeError, match=fault):
            attribute(file, "x")


@pytest.mark.parametrize("value", [1, 2.5, "text", np.bytes_(b"text"), np.array([3.0])])
def test_numbers_and_text_are(tmp_path, value):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.attrs["x"] = value
        assert attribute(file, "x") == value
        assert attribute(file, "y") is None


def test_a_label_may_have_several_values(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.attrs["x"] = np.array([b"a", b"b"])
        assert attribute(file, "x", 2).tolist() == [b"a", b"b"]
        with pytest.raises(TypeError, match=r"x is an array of the shape \(2,\)"):
            attribute(file, "x", 1)


CONTINUED = b"\x10\0\x10\0\0\0\0\0"
"""Type and size of the message that says where an object's header continues."""


DRIVER_AT = 0x30
"""Offset of the address of the driver block in a file of the first version. All bits set mean that there is none."""


@pytest.mark.parametrize("where", ["dataset", "driver"])
def test_a_header_that_leads_beyond_any_file_is_a_bad_one(path, where):
    raw = path.read_bytes()
    at = raw.rindex(CONTINUED) + len(CONTINUED)  # the last message belongs to the dataset, the first one to the file
    at, value = (at, b"\xff" * 8) if where == "dataset" else (DRIVER_AT, b"\xff" * 6 + bytes(2))
    path.write_bytes(raw[:at] + value + raw[at + 8 :])
    with pytest.raises(SourceError, match="it contains an address that is too large for any file") as caught:
        open_filterbank(path)
    assert caught.value.reason is Reason.BAD_HEADER
