"""Files whose end is missing, opened on request; and the limits of sample types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank, write_filterbank
from tests.filterbank.files import GBT, attributes, in_file_order, power_of, read_all, refused, write_h5

POWER = power_of(GBT)


@pytest.mark.parametrize(("cut", "whole", "shortfall"), [
    (10, 17, "ends within spectrum 17, 10 bytes short"),
    (400 * 5, 13, "holds 13 of the 18 spectra its header promises"),
    (400 * 5 + 10, 12, "ends within spectrum 12, 10 bytes short"),
])
def test_the_whole_spectra_of_a_sigproc_file(tmp_path: Path, cut: int, whole: int, shortfall: str) -> None:
    path = write_filterbank(tmp_path / "f.fil", POWER, GBT)
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, Reason.TRUNCATED, shortfall)
    with open_filterbank(path, accept_truncated=True) as filterbank:
        assert (filterbank.header.nsamples, filterbank.shortfall) == (whole, shortfall)
    np.testing.assert_array_equal(read_all(path, accept_truncated=True), POWER[:whole])


@pytest.mark.parametrize("name", ["f.fil", "f.h5"])
def test_nothing_is_missing_of_a_complete_file(tmp_path: Path, name: str) -> None:
    path = write_filterbank(tmp_path / name, POWER, GBT)
    with open_filterbank(path, accept_truncated=True) as filterbank:
        assert (filterbank.header.nsamples, filterbank.shortfall) == (18, "")
    np.testing.assert_array_equal(read_all(path, accept_truncated=True), POWER)


def test_less_than_a_spectrum_is_refused_in_any_case(tmp_path: Path) -> None:
    path = write_filterbank(tmp_path / "f.fil", POWER[:1], replace(GBT, nsamples=1))
    path.write_bytes(path.read_bytes()[:-10])
    refused(path, Reason.HEADER_INCONSISTENT, accept_truncated=True)


@pytest.mark.parametrize("filters", [None, hdf5plugin.Bitshuffle(nelems=0, cname="lz4"), "gzip"])
@pytest.mark.parametrize(("written", "whole"), [
    ([(0, 100)] * 18, 18),
    ([(0, 100)] * 10, 10),  # two chunks of five spectra, and none of the next
    ([(0, 100)] * 5 + [(0, 37)] * 5 + [(0, 100)] * 8, 5),  # a chunk lacks in the middle
])
def test_the_spectra_before_the_first_missing_chunk(
    tmp_path: Path, filters: object, written: list[tuple[int, int]], whole: int
) -> None:
    path, stored = tmp_path / "f.h5", in_file_order(POWER, GBT)
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        data = file.create_dataset("data", (18, 1, 100), np.float32, chunks=(5, 1, 37), compression=filters)
        data.attrs.update(attributes())
        for spectrum, (first, end) in enumerate(written):
            data[spectrum, :, first:end] = stored[spectrum, :, first:end]
    with open_filterbank(path, accept_truncated=True) as filterbank:
        assert filterbank.header.nsamples == whole
        assert filterbank.shortfall == ("" if whole == 18 else f"holds {whole} whole spectra of 18")
    np.testing.assert_array_equal(read_all(path, accept_truncated=True), POWER[:whole])
    if whole < 18:
        with pytest.raises(SourceError) as caught:
            read_all(path)
        assert caught.value.reason is Reason.TRUNCATED
        assert "copy it again, or accept its whole spectra (--accept-truncated)" in caught.value.message


def test_a_file_that_hdf5_cannot_open_is_refused_in_any_case(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "f.h5", in_file_order(POWER, GBT), attributes())
    whole = path.read_bytes()
    for kept in (50, len(whole) - 100):
        path.write_bytes(whole[:kept])
        refused(path, Reason.TRUNCATED, rf"f\.h5: holds {kept:,} of {len(whole):,} bytes, .* not even with "
                r"--accept-truncated; wait until it is complete, or copy it again", accept_truncated=True)


@pytest.mark.parametrize(("dtype", "limits"), [
    ("u1", (0, 255)), ("i1", (-128, 127)), ("u2", (0, 65_535)), ("i2", (-32_768, 32_767)),
    ("f4", (-np.inf, np.inf)), ("f8", (-np.inf, np.inf))])
def test_limits_are_those_of_the_sample_type(tmp_path: Path, dtype: str, limits: tuple[float, float]) -> None:
    path = write_h5(tmp_path / "f.h5", np.ones((18, 1, 100), dtype), attributes(nbits=8 * np.dtype(dtype).itemsize))
    with open_filterbank(path) as filterbank:
        assert filterbank.limits == limits


@pytest.mark.parametrize(("nbits", "highest"), [(8, 255), (16, 65_535), (32, np.inf)])
def test_limits_of_sigproc_files(tmp_path: Path, nbits: int, highest: float) -> None:
    like = replace(GBT, nbits=nbits)
    with open_filterbank(write_filterbank(tmp_path / "f.fil", power_of(like), like)) as filterbank:
        assert filterbank.limits[1] == highest
