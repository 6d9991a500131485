import json
import os
import random
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank
from pipeline.filterbank.chunks import StoredChunk, frame_fault

from .files import GBT, attributes, in_file_order, power_of, read_all, write_h5

SHAPE = (1, 1, 37)  # neither divides the band nor is a multiple of eight


def stored_chunk(raw: bytes) -> StoredChunk:
    return StoredChunk(lambda n, at: raw[at:at + n], 0, len(raw))


@pytest.fixture
def path(tmp_path):
    return write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes(), chunks=SHAPE)


def chunk_at(path, corner):
    with h5py.File(path) as file:
        return file["data"].id.get_chunk_info_by_coord(corner)


def overwrite(path, offset, raw):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(raw)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize("elements", [1, 7, 8, 9, 2048, 2049, 4096, 4103, 20_001])
def test_what_bitshuffle_writes_is_sound(tmp_path, dtype, elements):
    stored = np.random.default_rng(0).integers(0, 200, (1, 1, elements)).astype(dtype)
    path = write_h5(tmp_path / "f.h5", stored, {}, chunks=stored.shape)
    with h5py.File(path) as file:
        raw = file["data"].id.read_direct_chunk((0, 0, 0))[1]
    assert frame_fault(stored_chunk(raw), stored.itemsize, stored.nbytes) == ""
    for damaged in (raw + b"\0", raw[:-1], raw[:5], b"", b"\1" + raw[1:]):
        assert frame_fault(stored_chunk(damaged), stored.itemsize, stored.nbytes)


class TestReading:
    def test_sound_chunks_pass(self, path):
        np.testing.assert_array_equal(read_all(path), power_of(GBT))

    @pytest.mark.parametrize(("offset", "raw"), [
        (0, b"\x80"), (7, b"\x01"), (11, b"\x03"), (8, bytes(4)), (12, b"\x7f"), (15, b"\x00")])
    def test_damaged_lengths_are_found_and_the_chunk_is_named(self, path, offset, raw):
        overwrite(path, chunk_at(path, (5, 0, 37)).byte_offset + offset, raw)
        with pytest.raises(SourceError, match=r"f\.h5: the chunk at spectrum 5, channel 37 is damaged") as caught:
            read_all(path)
        assert caught.value.reason is Reason.CORRUPT_CHUNK

    def test_other_chunks_stay_readable(self, path):
        overwrite(path, chunk_at(path, (5, 0, 37)).byte_offset, b"\xff")
        with open_filterbank(path) as filterbank:  # descending: file channels 37–73 are ascending 26–62
            power = filterbank.read(0, 18, 63, 100)
            np.testing.assert_array_equal(power, power_of(GBT)[:, 63:])
            with pytest.raises(SourceError, match="channel 37"):
                filterbank.read(5, 6, 62, 63)

    @pytest.mark.parametrize("filters", [hdf5plugin.Bitshuffle(), None, "gzip"])
    def test_a_chunk_that_was_never_written_is_named(self, tmp_path, filters):
        path = tmp_path / "f.h5"
        with h5py.File(path, "w") as file:
            file.attrs["CLASS"] = "FILTERBANK"
            data = file.create_dataset("data", (2, 1, 74), np.float32, chunks=SHAPE, compression=filters)
            data.attrs.update(attributes(nchans=74))
            data[0] = 1
            data[1, :, :37] = 1
        with open_filterbank(path) as filterbank:
            assert filterbank.read(0, 1, 0, 74).sum() == 74
            with pytest.raises(SourceError, match="spectrum 1, channel 37 was never written") as caught:
                filterbank.read(0, 2, 0, 74)
        assert caught.value.reason is Reason.TRUNCATED

    def test_a_file_cut_while_it_is_read_is_an_error(self, path):
        end = chunk_at(path, (9, 0, 37)).byte_offset + 5
        with open_filterbank(path) as filterbank:
            os.truncate(path, end)
            with pytest.raises(SourceError, match="channel 37") as caught:
                filterbank.read(0, 18, 30, 60)
        assert caught.value.reason in (Reason.TRUNCATED, Reason.CORRUPT_CHUNK)

    @pytest.mark.parametrize("options", [
        {"chunks": SHAPE, "filters": None}, {"chunks": None, "filters": None},
        {"chunks": SHAPE, "filters": {"compression": "gzip", "shuffle": True}},
        {"chunks": SHAPE, "filters": {"compression": hdf5plugin.Bitshuffle(), "fletcher32": True}},
        {"chunks": SHAPE, "filters": {"compression": hdf5plugin.Bitshuffle(cname="none")}},
        {"chunks": SHAPE, "filters": {"compression": hdf5plugin.Bitshuffle(cname="zstd")}},
        {"chunks": SHAPE, "filters": {"compression": hdf5plugin.Bitshuffle(nelems=16)}},
    ])
    def test_other_ways_to_store_are_read_too(self, tmp_path, options):
        path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes(), **options)
        np.testing.assert_array_equal(read_all(path), power_of(GBT))

    def test_an_uncompressed_chunk_must_have_its_full_length(self, tmp_path):
        path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes(), chunks=SHAPE,
                        filters={"compression": hdf5plugin.Bitshuffle(cname="none")})
        with h5py.File(path, "r+") as file:
            file["data"].id.write_direct_chunk((3, 0, 37), b"short")
        with pytest.raises(SourceError, match="channel 37 is damaged: 5 bytes are stored, 148 are needed"):
            read_all(path)

    def test_a_user_block_shifts_nothing(self, tmp_path):
        path = tmp_path / "f.h5"
        with h5py.File(path, "w", userblock_size=1024) as file:
            file.create_dataset("data", data=in_file_order(power_of(GBT), GBT), chunks=SHAPE,
                                compression=hdf5plugin.Bitshuffle())
            file["data"].attrs.update(attributes())
        np.testing.assert_array_equal(read_all(path), power_of(GBT))


def test_bitshuffle_below_another_filter_cannot_be_checked_and_is_refused(tmp_path):
    path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes(), chunks=SHAPE,
                    filters={"compression": hdf5plugin.Bitshuffle(), "shuffle": True})
    with pytest.raises(SourceError, match="h5repack") as caught:
        open_filterbank(path)
    assert caught.value.reason is Reason.BAD_HEADER


FUZZ = """
import json, random, sys
from pathlib import Path
from pipeline.errors import SourceError
from pipeline.filterbank import open_filterbank
path, first, bits = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
good = path.read_bytes()
said = []
for bit in bits:
    damaged = bytearray(good)
    damaged[first + bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    try:
        with open_filterbank(path) as filterbank:
            filterbank.read(0, 1, 0, filterbank.header.nchans)
            said.append("")
    except SourceError as error:
        said.append(error.reason)
print(json.dumps(said))
"""


def fuzz(path, first, bits):
    """Flip one bit of a file after another, in a separate process; return the result of each reading."""
    done = subprocess.run([sys.executable, "-c", FUZZ, path, str(first), json.dumps(bits)], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, f"the reader died ({done.returncode}): {done.stderr[-2000:]}"
    return json.loads(done.stdout)


def test_flipped_bits_never_crash_the_reader(tmp_path):
    channels = 20_003
    power = np.random.default_rng(2).chisquare(4, (1, 1, channels)).astype(np.float32)
    path = write_h5(tmp_path / "f.h5", power, attributes(nchans=channels), chunks=(1, 1, channels))
    info = chunk_at(path, (0, 0, 0))
    raw = path.read_bytes()[info.byte_offset:info.byte_offset + info.size]
    lengths, at = [], 12
    while at < len(raw) - 12:  # three elements are left over, raw
        lengths.append(at)
        at += 4 + int.from_bytes(raw[at:at + 4])
    assert at == len(raw) - 12
    assert len(lengths) == -(-channels // 2048)
    rng = random.Random(3)
    framing = [8 * byte + rng.randrange(8) for byte in range(12)]
    framing += [8 * (length + byte) + rng.randrange(8) for length in lengths for byte in range(4)]
    assert set(fuzz(path, info.byte_offset, framing)) == {Reason.CORRUPT_CHUNK}
    body = [8 * rng.randrange(16, len(raw)) + rng.randrange(8) for _ in range(40)]
    assert set(fuzz(path, info.byte_offset, body)) <= {Reason.CORRUPT_CHUNK, ""}
