"""Where parts of a file are read to."""

import os

import numpy as np
import pytest

from pipeline.filterbank import Buffer, open_filterbank
from pipeline.filterbank.fetched import LINE_BYTES, PAGE_BYTES, place_parts

from .files import GBT, attributes, in_file_order, power_of, write_h5


@pytest.mark.parametrize("seed", range(20))
def test_parts_keep_their_place_in_a_page_or_a_cache_line(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 63, 4096, 65_535, 65_536, 300_000], rng.integers(1, 40))
    starts = rng.integers(0, 2**40, len(sizes))
    places, count = place_parts(starts.tolist(), sizes.tolist())
    end = 0
    for place, start, size in zip(places, starts, sizes, strict=True):
        step = PAGE_BYTES if size >= 65_536 else LINE_BYTES
        assert (place - start) % step == 0
        assert 0 <= place - end < step
        end = place + size
    assert count == end


def test_a_buffer_begins_at_a_page_and_keeps_its_memory():
    buffer = Buffer()
    first = buffer.take(1_000_000)
    assert first.ctypes.data % PAGE_BYTES == 0
    assert len(first) == 1_000_000
    assert buffer.take(10).ctypes.data == first.ctypes.data
    assert buffer.take(2_000_000).ctypes.data % PAGE_BYTES == 0


def test_chunks_are_read_to_where_the_system_copies_fast(tmp_path, monkeypatch):
    path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes(), chunks=(1, 1, 37))
    offsets, read = [], os.preadv

    def watched(descriptor, buffers, offset):
        offsets.append((np.frombuffer(buffers[0], np.uint8).ctypes.data - offset) % LINE_BYTES)
        return read(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", watched)
    with open_filterbank(path) as file:
        spectra, channels = file.header.nsamples, file.header.nchans
        fetched = file.fetch(0, spectra, 0, channels, Buffer()).read(
            0, spectra, 0, channels, np.empty(spectra * channels, np.float32))
        np.testing.assert_array_equal(fetched, power_of(GBT))
        np.testing.assert_array_equal(file.read(0, spectra, 0, channels), power_of(GBT))
    assert len(offsets) > 2
    assert set(offsets) == {0}
