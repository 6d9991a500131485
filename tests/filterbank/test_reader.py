import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, Reason, SourceError
from pipeline.filterbank import FilterbankWriter, open_filterbank, source_of, write_filterbank
from pipeline.model import CoarseLayout

from .files import GBT, power_of, read_all

ASCENDING = replace(GBT, foff_mhz=-GBT.foff_mhz)


@pytest.fixture(scope="module", params=[
    (suffix, foff_sign, nbits) for suffix in ("fil", "h5") for foff_sign in (-1, 1) for nbits in (8, 16, 32)])
def written(request, tmp_path_factory):
    """File of each format, sign of foff and sample type, with the array that it holds."""
    suffix, foff_sign, nbits = request.param
    header = replace(GBT, foff_mhz=foff_sign * abs(GBT.foff_mhz), nbits=nbits)
    path = tmp_path_factory.mktemp("written") / f"f.{suffix}"
    with FilterbankWriter(path, header, chunk=(5, 17)) as writer:
        writer.write(0, 0, power_of(header))
    return path, power_of(header)


@settings(max_examples=20)
@given(data=st.data())
def test_any_range_equals_numpys_slice(written, data):
    path, power = written
    rows = sorted(data.draw(st.lists(st.integers(0, GBT.nsamples), min_size=2, max_size=2)))
    columns = sorted(data.draw(st.lists(st.integers(0, GBT.nchans), min_size=2, max_size=2)))
    with open_filterbank(path) as filterbank:
        read = filterbank.read(*rows, *columns)
        memory = np.full(18 * 100, np.nan, np.float32)
        into = filterbank.read(*rows, *columns, memory)
    assert read.dtype == np.float32
    assert read.flags.writeable
    assert into.size == 0 or np.shares_memory(into, memory)
    np.testing.assert_array_equal(into, read)
    np.testing.assert_array_equal(read, power[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("bad", [
    (-1, 5, 0, 10), (0, 19, 0, 10), (5, 4, 0, 10), (0, 5, -1, 10), (0, 5, 0, 101), (0, 5, 9, 3)])
def test_a_range_outside_the_file_is_an_error(written, bad):
    with open_filterbank(written[0]) as filterbank, pytest.raises(IndexError, match="18 spectra × 100"):
        filterbank.read(*bad)


@pytest.mark.parametrize("suffix", ["fil", "h5"])
class TestBothFormats:
    @pytest.fixture
    def path(self, tmp_path, suffix):
        return write_filterbank(tmp_path / f"f.{suffix}", power_of(GBT), GBT)

    def test_the_content_tells_the_format_not_the_name(self, path):
        other = path.rename(path.with_suffix(".dat"))
        np.testing.assert_array_equal(read_all(other), power_of(GBT))

    def test_a_polarisation_it_does_not_have_is_refused(self, path):
        with pytest.raises(SourceError, match="no number 1") as caught:
            open_filterbank(path, polarisation=1)
        assert caught.value.reason is Reason.BAD_HEADER
        with pytest.raises(ConfigError, match="-1"):
            open_filterbank(path, polarisation=-1)

    def test_a_source_describes_the_open_file(self, path):
        layout = CoarseLayout(100, "whole-band")
        with open_filterbank(path) as filterbank:
            source = source_of(filterbank, layout)
            assert source.id == filterbank.source_id()
        status = path.stat()
        assert (source.header.nchans, source.coarse, source.path) == (100, layout, str(path))
        assert (source.size_bytes, source.mtime_ns) == (status.st_size, status.st_mtime_ns)

    def test_an_unchanged_file_is_not_busy(self, path):
        with open_filterbank(path) as filterbank:
            filterbank.read(0, 1, 0, 5)
            filterbank.check_unchanged()

    @pytest.mark.parametrize("change", ["size", "time", "gone"])
    def test_a_file_that_changes_is_busy(self, path, change):
        with open_filterbank(path) as filterbank:
            if change == "size":
                with open(path, "ab") as file:
                    file.write(b"more")
                os.utime(path, ns=(filterbank.mtime_ns, filterbank.mtime_ns))
            elif change == "time":
                os.utime(path, ns=(0, filterbank.mtime_ns + 1))
            else:
                path.unlink()
            with pytest.raises(SourceError, match=path.name) as caught:
                filterbank.check_unchanged()
        assert caught.value.reason is (Reason.GONE if change == "gone" else Reason.BUSY)

    def test_a_file_that_may_not_be_read(self, path, monkeypatch):
        def refuse(*_args):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(SourceError, match="Permission denied") as caught:
            open_filterbank(path)
        assert caught.value.reason is Reason.PERMISSION

    def test_links_to_the_file(self, path):
        (path.parent / "good").symlink_to(path.name)
        np.testing.assert_array_equal(read_all(path.parent / "good"), power_of(GBT))
        (path.parent / "bad").symlink_to("gone")
        with pytest.raises(SourceError) as caught:
            open_filterbank(path.parent / "bad")
        assert caught.value.reason is Reason.BAD_LINK

    @pytest.mark.parametrize("name", [b"with space", "ünïcode".encode(), b"line\nbreak", b"\xff\xfe", b"$HOME%b"])
    def test_odd_names_work_also_in_messages(self, path, name, suffix):
        odd = path.rename(path.parent / os.fsdecode(name + b"." + suffix.encode()))
        np.testing.assert_array_equal(read_all(odd), power_of(GBT))
        os.truncate(odd, odd.stat().st_size - 3)
        with pytest.raises(SourceError) as caught:
            open_filterbank(odd)
        assert caught.value.reason is Reason.TRUNCATED
        assert "\n" not in str(caught.value)
        str(caught.value).encode("utf-8")

    def test_no_descriptor_is_left_open(self, path):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            read_all(path)
            with pytest.raises(SourceError):
                open_filterbank(path, polarisation=7)
        os.truncate(path, path.stat().st_size - 3)
        with pytest.raises(SourceError):
            open_filterbank(path)
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_is_no_filterbank(tmp_path):
    with pytest.raises(SourceError) as caught:
        open_filterbank(tmp_path)
    assert caught.value.reason is Reason.NOT_FILTERBANK


@pytest.mark.parametrize("nchans", [1, 2, 3])
@pytest.mark.parametrize("suffix", ["fil", "h5"])
def test_very_narrow_bands(tmp_path, suffix, nchans):
    header = replace(GBT, nchans=nchans)
    path = write_filterbank(tmp_path / f"f.{suffix}", power_of(header), header)
    np.testing.assert_array_equal(read_all(path), power_of(header))
