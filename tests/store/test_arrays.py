import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from google_crc32c import value as checksum
from numcodecs.zstd import compress

from pipeline.store import arrays
from pipeline.store.array_metadata import read_metadata
from pipeline.store.shard_rows import ShardRows, _size_of_frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "group").mkdir()
    return tmp_path / "group"


def rows_of(folder: Path) -> ShardRows:
    """Return what reads rows of the array ``x`` of a group."""
    files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    return ShardRows(folder, "x", read_metadata(folder, "x", files))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "bool"])
@pytest.mark.parametrize("counts", [(0,), (0, 0), (1,), (5, 0, 3), (7, 1, 1, 30, 2), (64,), (65,), (200, 3)])
def test_pieces_of_any_size_are_their_concatenation(
    folder: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], dtype: str
):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 4 * 6 * np.dtype(dtype).itemsize)
    monkeypatch.setattr(arrays, "CHUNKS_PER_SHARD", 4)  # 16 rows
    rng = np.random.default_rng(sum(counts))
    pieces = [rng.integers(0, 2, (count, 2, 3)).astype(dtype) for count in counts]
    arrays.write_array(folder, "x", iter(pieces), sum(counts))
    read = arrays.open_array(folder, "x")[:]
    np.testing.assert_array_equal(read, np.concatenate(pieces), strict=True)
    shards = {path.name for path in (folder / "x").iterdir()} - {"zarr.json"}
    assert shards == {f"c.{i}.0.0" for i in range(-(-sum(counts) // 16))}


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool"])
@pytest.mark.parametrize("count", [0, 1, 7, 16, 17, 45])
def test_files_are_those_that_zarr_writes(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, dtype: str):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 4 * 6 * np.dtype(dtype).itemsize)
    monkeypatch.setattr(arrays, "CHUNKS_PER_SHARD", 4)  # 16 rows
    content = np.random.default_rng(count).integers(0, 9, (count, 2, 3)).astype(dtype)
    arrays.write_array(folder, "x", [content], count)
    chunk, shard = arrays._chunking(count, 6 * np.dtype(dtype).itemsize)
    made = zarr.create_array(
        folder / "by-zarr", shape=content.shape, dtype=dtype, chunks=(chunk, 2, 3), shards=(shard, 2, 3),
        chunk_key_encoding={"name": "default", "separator": "."},
        compressors=[zarr.codecs.ZstdCodec(level=3), zarr.codecs.Crc32cCodec()], fill_value=0,
        config={"write_empty_chunks": True})
    for start in range(0, count, shard):
        made[start : start + shard] = content[start : start + shard]
    files, by_zarr = ({path.name: path.read_bytes() for path in (folder / name).iterdir()} for name in ("x", "by-zarr"))
    assert files.keys() == by_zarr.keys()
    assert {name for name in files if files[name] != by_zarr[name]} <= {"zarr.json"}
    assert json.loads(files["zarr.json"]) == json.loads(by_zarr["zarr.json"])


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "bool"])
@pytest.mark.parametrize("count", [1, 7, 16, 17, 45])
def test_rows_are_read_in_any_order_as_zarr_reads_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, dtype: str
):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 4 * 6 * np.dtype(dtype).itemsize)
    monkeypatch.setattr(arrays, "CHUNKS_PER_SHARD", 4)  # 16 rows
    rng = np.random.default_rng(count)
    content = rng.integers(0, 2, (count, 2, 3)).astype(dtype)
    arrays.write_array(folder, "x", [content], count)
    by_zarr = zarr.open_array(str(folder / "x"), mode="r")
    for rows in ([count - 1, 0, 0, count // 2], [0], [], rng.integers(0, count, 30).tolist()):
        numbers = np.array(rows, dtype=np.int64)
        found = rows_of(folder).read(numbers)
        np.testing.assert_array_equal(found, by_zarr.oindex[numbers], strict=True)
        np.testing.assert_array_equal(found, content[numbers], strict=True)


@pytest.mark.parametrize("chunks", [(4, 2, 3), (1, 2, 3), (8, 2, 3)])
def test_rows_of_arrays_that_zarr_wrote_are_read(folder: Path, chunks: tuple[int, ...]):
    content = np.random.default_rng(0).integers(0, 256, (45, 2, 3)).astype(np.uint8)
    zarr.create_array(
        folder / "x", data=content, chunks=chunks, shards=(16, 2, 3),
        compressors=[zarr.codecs.ZstdCodec(level=3), zarr.codecs.Crc32cCodec()], fill_value=0,
        config={"write_empty_chunks": True})
    numbers = np.array([44, 3, 17, 16, 15])
    np.testing.assert_array_equal(rows_of(folder).read(numbers), content[numbers], strict=True)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_791, 65_792, 2**18, 2**20])
def test_the_size_that_a_frame_names_is_that_of_its_content(size: int):
    assert _size_of_frame(compress(bytes(size), 3)) == size


def test_any_altered_byte_of_a_shard_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Each chunk is read, so that each byte of the file counts."""
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 64)
    arrays.write_array(folder, "x", [np.random.default_rng(0).normal(size=(5, 4))], 5)
    shard = folder / "x" / "c.0.0"
    content = shard.read_bytes()
    for place in range(len(content)):
        shard.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with pytest.raises((ValueError, OSError, OverflowError)):
            rows_of(folder).read(np.arange(5))
    for length in range(0, len(content), 7):
        shard.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"checksum|bytes"):
            rows_of(folder).read(np.arange(5))


def test_a_chunk_of_another_size_or_place_is_refused_though_its_checksum_is_right(folder: Path):
    arrays.write_array(folder, "x", [np.zeros((3, 4))], 3)
    shard = folder / "x" / "c.0.0"

    def forged(chunk: bytes, places: np.ndarray) -> None:
        parts = [one + checksum(one).to_bytes(4, "little") for one in (chunk, places.astype("<u8").tobytes())]
        shard.write_bytes(b"".join(parts))

    short = compress(bytes(8))
    forged(short, np.array([[0, len(short) + 4]]))
    with pytest.raises(ValueError, match="a chunk has 8 bytes, not those of 3 rows"):
        rows_of(folder).read(np.array([0]))
    large = compress(bytes(2**20))
    for size in (2**31, 2**50):  # nothing so large is allocated
        claims = large[:4] + b"\xe0" + size.to_bytes(8, "little") + large[9:]
        forged(claims, np.array([[0, len(claims) + 4]]))
        with pytest.raises(ValueError, match=f"a chunk has {size} bytes, not those of 3 rows"):
            rows_of(folder).read(np.array([0]))
    for places in ([[2**64 - 1, 2**64 - 1]], [[0, 2**63]], [[1000, 10]]):
        forged(short, np.array(places, np.uint64))
        with pytest.raises(ValueError, match="outside of the file, or is missing"):
            rows_of(folder).read(np.array([0]))


def test_chunks_are_compressed_and_checksummed_and_zeros_are_written(folder: Path):
    arrays.write_array(folder, "x", [np.zeros((5000, 16, 32), np.uint8)], 5000)
    array = zarr.open_array(str(folder / "x"), mode="r")
    assert array.chunks == (2**18 // 512, 16, 32)
    assert array.shards == (10 * 512, 16, 32)
    assert [type(codec).__name__ for codec in array.compressors] == ["ZstdCodec", "Crc32cCodec"]
    shard = folder / "x" / "c.0.0.0"
    assert 0 < shard.stat().st_size < 10_000


def test_a_row_larger_than_a_chunk_is_a_chunk(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 10)
    content = np.arange(300).reshape(3, 100)
    arrays.write_array(folder, "x", [content], 3)
    np.testing.assert_array_equal(arrays.open_array(folder, "x")[:], content)
    np.testing.assert_array_equal(rows_of(folder).read(np.array([2, 0])), content[[2, 0]], strict=True)


@pytest.mark.parametrize(
    ("second", "n_rows", "message"),
    [
        (np.zeros((2, 3), np.float64), 4, "x: rows of float64"),
        (np.zeros((2, 4), np.float32), 4, r"x: rows of float32 \(4,\)"),
        (np.zeros((2, 3), np.float32), 5, "x: 4 rows where 5"),
        (np.zeros((2, 3), np.float32), 3, "x: 4 rows where 3"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(folder: Path, second: np.ndarray, n_rows: int, message: str):
    with pytest.raises(ValueError, match=message):
        arrays.write_array(folder, "x", [np.zeros((2, 3), np.float32), second], n_rows)


def test_memory_is_that_of_a_shard_not_of_the_array(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "CHUNKS_PER_SHARD", 2)
    rng = np.random.default_rng(0)

    def pieces() -> Iterator[np.ndarray]:
        for _ in range(40):
            yield rng.integers(0, 256, (512, 16, 256), dtype=np.uint8)  # 2 MiB

    tracemalloc.start()
    try:
        arrays.write_array(folder, "x", pieces(), 40 * 512)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * 2**20, "80 MiB were written"
