"""The decoder agrees with HDF5 for chunks of all shapes. Damage is reported, and never touches other memory."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import Buffer, open_filterbank
from pipeline.filterbank.bitshuffle import blocks_of, decode, decode_chunks

from .files import attributes, write_h5


def samples_of(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Draw samples that compress badly, or so well that lengths take many bytes, or into patterns of any period."""
    count = int(np.prod(shape))
    if kind == "noise":
        stored = rng.standard_gamma(102, count)
    elif kind == "constant":
        stored = np.full(count, 3.5)
    elif kind == "bits":
        return rng.integers(0, 2**32, shape, np.uint32).view(np.float32)
    else:
        stored = np.resize(rng.standard_normal(int(rng.integers(1, 40))), count)
        stored[rng.integers(0, count, count // 50)] += 1
    return stored.reshape(shape).astype(np.float32)


def stored_chunk(samples: np.ndarray, path, block: int = 0) -> np.ndarray:
    """Return the bytes of a chunk as the plugin writes it."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", data=samples, chunks=samples.shape,
                                   compression=hdf5plugin.Bitshuffle(nelems=block, cname="lz4"))
        return np.frombuffer(data.id.read_direct_chunk((0,) * samples.ndim)[1], np.uint8)


@pytest.mark.processor
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["noise", "constant", "bits", "pattern"]),
    spectra=st.integers(1, 6), products=st.integers(1, 3), channels=st.integers(1, 6000),
    block=st.sampled_from([0, 8, 64, 4096]),
)
def test_any_part_of_a_chunk_is_what_was_stored(tmp_path_factory, seed, kind, spectra, products, channels, block):
    rng = np.random.default_rng(seed)
    samples = samples_of(rng, (spectra, products, channels), kind)
    stored = stored_chunk(samples, tmp_path_factory.mktemp("chunk") / "chunk.h5", block)
    blocks, per_block = blocks_of(stored, samples.size)
    assert per_block > 0
    for _ in range(5):
        t, c = np.sort(rng.integers(0, spectra + 1, 2)), np.sort(rng.integers(0, channels + 1, 2))
        product, row, column = int(rng.integers(products)), int(rng.integers(3)), int(rng.integers(9))
        out = np.full((spectra + 3, channels + 9), 7, np.uint32)
        expected = out.copy()
        part = samples[t[0] : t[1], product, c[0] : c[1]]
        expected[row : row + len(part), column : column + part.shape[1]] = part.view(np.uint32)
        assert decode(stored, blocks, per_block, samples.shape, (t[0], product, c[0]), (t[1], product + 1, c[1]), out,
                      row, column)
        np.testing.assert_array_equal(out, expected)


def test_processors_of_few_instructions_decode_the_same(tmp_path):
    samples = samples_of(np.random.default_rng(1), (2, 1, 5000), "bits")
    stored_chunk(samples, tmp_path / "chunk.h5")
    code = "import sys; from tests.filterbank.test_bitshuffle import decode_file; decode_file(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "chunk.h5"), str(tmp_path / "decoded.npy")],
        env={**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "decoded.npy"), samples[:, 0].view(np.uint32))


def decode_file(path: str, out: str) -> None:
    """Decode the chunk that :func:`stored_chunk` wrote."""
    with h5py.File(path) as file:
        shape, (_, chunk) = file["data"].shape, file["data"].id.read_direct_chunk((0, 0, 0))
    stored = np.frombuffer(chunk, np.uint8)
    blocks, block = blocks_of(stored, int(np.prod(shape)))
    decoded = np.zeros((shape[0], shape[2]), np.uint32)
    assert decode(stored, blocks, block, shape, (0, 0, 0), (shape[0], 1, shape[2]), decoded, 0, 0)
    np.save(out, decoded)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), spectra=st.integers(1, 40), products=st.integers(1, 2),
    channels=st.integers(8, 3000), chunk=st.tuples(st.integers(1, 40), st.integers(1, 2), st.integers(1, 3000)),
    is_ascending=st.booleans(),
)
def test_any_range_of_a_file_is_what_hdf5_reads(
    tmp_path_factory, seed, spectra, products, channels, chunk, is_ascending
):
    rng = np.random.default_rng(seed)
    stored = samples_of(rng, (spectra, products, channels), "noise")
    chunk = tuple(np.minimum(chunk, stored.shape).tolist())
    path = tmp_path_factory.mktemp("file") / "file.h5"
    foff = 2.8e-6 if is_ascending else -2.8e-6
    write_h5(path, stored, attributes(foff=foff, nchans=channels, nifs=products), chunks=chunk)
    product = int(rng.integers(products))
    with h5py.File(path) as file:
        expected = file["data"][:, product]
    expected = expected if is_ascending else expected[:, ::-1]
    with open_filterbank(path, polarisation=product) as filterbank:
        for _ in range(4):
            t, c = np.sort(rng.integers(0, spectra + 1, 2)), np.sort(rng.integers(0, channels + 1, 2))
            part = expected[t[0] : t[1], c[0] : c[1]]
            np.testing.assert_array_equal(filterbank.read(*t, *c), part)
            if part.size:
                fetched = filterbank.fetch(*t, *c, Buffer())
                middle = (c[0] + c[1]) // 2
                for first, last in ((c[0], middle), (middle, c[1])):
                    np.testing.assert_array_equal(fetched.read(*t, first, last), expected[t[0] : t[1], first:last])


@pytest.mark.parametrize("chunks", [(1, 1, 4096), None])
def test_what_is_fetched_stays_until_its_room_is_used_again(tmp_path, chunks):
    stored = np.random.default_rng(1).standard_gamma(102, (4, 1, 4096)).astype(np.float32)
    path = write_h5(tmp_path / "f.h5", stored, attributes(foff=1e-6, nchans=4096), chunks=chunks,
                    filters="bitshuffle" if chunks else None)
    room = Buffer()
    with open_filterbank(path) as filterbank:
        fetched = filterbank.fetch(1, 3, 100, 4000, room)
    np.testing.assert_array_equal(fetched.read(2, 3, 200, 300), stored[2:3, 0, 200:300])  # the file is closed
    with pytest.raises(IndexError):
        fetched.read(0, 5, 200, 300)


def test_damaged_bytes_are_told_or_harmless(tmp_path):
    """Change some bytes. The chunk is refused or decoded to any values, and nothing beside it is overwritten."""
    rng = np.random.default_rng(2)
    samples = samples_of(rng, (2, 1, 5003), "pattern")
    stored = stored_chunk(samples, tmp_path / "chunk.h5")
    blocks, per_block = blocks_of(stored, samples.size)
    refused = 0
    for _ in range(3000):
        damaged = stored.copy()
        damaged[rng.integers(0, len(stored), int(rng.integers(1, 4)))] = rng.integers(0, 256)
        if not blocks_of(damaged, samples.size)[1]:
            refused += 1
            continue
        out = np.full((4, 6000), 7, np.uint32)
        refused += not decode(damaged, *blocks_of(damaged, samples.size), samples.shape, (0, 0, 0), (2, 1, 5003), out,
                              1, 10)
        assert (out[0] == 7).all()
        assert (out[3] == 7).all()
        assert (out[:, :10] == 7).all()
        assert (out[:, 5013:] == 7).all()
    assert 0 < refused < 3000
    for cut in (0, 5, 11, 12, 15, len(stored) - 1):
        assert blocks_of(stored[:cut], samples.size)[1] == 0
    assert blocks_of(stored, samples.size + 1)[1] == 0
    # the index of a good chunk with random bytes: no read leaves the array
    noise = rng.integers(0, 256, len(stored)).astype(np.uint8)
    assert not decode(noise, blocks, per_block, samples.shape, (0, 0, 0), (2, 1, 5003),
                      np.zeros((2, 5003), np.uint32), 0, 0)


def test_the_damaged_chunk_is_named(tmp_path):
    rng = np.random.default_rng(3)
    shape = (3, 1, 64)
    chunks = [stored_chunk(samples_of(rng, shape, "noise"), tmp_path / "chunk.h5") for _ in range(4)]
    ends = np.cumsum([len(chunk) for chunk in chunks])
    found = [blocks_of(chunk, 192) for chunk in chunks]
    blocks = np.stack([blocks + end - len(chunk) for (blocks, _), end, chunk in zip(found, ends, chunks, strict=True)])
    corners = np.array([[0, 0, 0], [0, 0, 64], [3, 0, 0], [3, 0, 64]])
    stored = np.concatenate(chunks)
    stored[blocks[2, 0, 0]] = 0x0F  # a match before there is anything to match
    stored[blocks[2, 0, 0] + 1 : blocks[2, 0, 0] + 3] = 0

    def damaged(start, stop):
        return decode_chunks(stored, blocks, found[0][1], corners, shape, start, stop, np.zeros((6, 128), np.uint32),
                             0, 0)

    assert damaged((0, 0, 0), (6, 1, 128)) == 2
    assert damaged((0, 0, 0), (3, 1, 128)) == -1
    assert damaged((3, 0, 64), (6, 1, 128)) == -1


def test_a_block_that_does_not_expand_is_corrupt_when_it_is_decoded(tmp_path):
    stored = samples_of(np.random.default_rng(4), (2, 1, 4096), "noise")
    path = write_h5(tmp_path / "f.h5", stored, attributes(foff=1e-6, nchans=4096), chunks=(1, 1, 4096))
    with h5py.File(path) as file:
        at = file["data"].id.get_chunk_info_by_coord((1, 0, 0)).byte_offset + 16
    raw = bytearray(path.read_bytes())
    raw[at : at + 3] = b"\x0f\x00\x00"
    path.write_bytes(raw)
    with open_filterbank(path) as filterbank:
        fetched = filterbank.fetch(0, 2, 0, 4096, Buffer())
        np.testing.assert_array_equal(fetched.read(0, 1, 0, 4096), stored[:1, 0])
        for read in (fetched.read, filterbank.read):
            with pytest.raises(SourceError, match="spectrum 1, channel 0 is damaged: a block does not") as caught:
                read(0, 2, 0, 4096)
            assert caught.value.reason is Reason.CORRUPT_CHUNK
