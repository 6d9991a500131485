import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.store import arrays


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "group"


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
    read = arrays.read_rows(arrays.open_array(folder, "x"), slice(None))
    np.testing.assert_array_equal(read, np.concatenate(pieces), strict=True)
    shards = {path.name for path in (folder / "x").iterdir()} - {"zarr.json"}
    assert shards == {f"c.{i}.0.0" for i in range(-(-sum(counts) // 16))}


def test_rows_are_read_in_any_order_repeats_included(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 64)
    content = np.random.default_rng(0).normal(size=(100, 4))
    arrays.write_array(folder, "x", [content], 100)
    array = arrays.open_array(folder, "x")
    for rows in ([99, 0, 0, 50, 7], [3], []):
        numbers = np.array(rows, dtype=np.int64)
        np.testing.assert_array_equal(arrays.read_rows(array, numbers), content[numbers], strict=True)
    np.testing.assert_array_equal(arrays.read_rows(array, slice(13, 77)), content[13:77])


def test_chunks_are_compressed_and_checksummed_and_zeros_are_written(folder: Path):
    arrays.write_array(folder, "x", [np.zeros((5000, 16, 32), np.uint8)], 5000)
    array = zarr.open_array(str(folder / "x"), mode="r")
    assert array.chunks == (2**20 // 512, 16, 32)
    assert array.shards == (3 * 2048, 16, 32)
    assert [type(codec).__name__ for codec in array.compressors] == ["ZstdCodec", "Crc32cCodec"]
    shard = folder / "x" / "c.0.0.0"
    assert 0 < shard.stat().st_size < 10_000


def test_a_row_larger_than_a_chunk_is_a_chunk(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 10)
    content = np.arange(300).reshape(3, 100)
    arrays.write_array(folder, "x", [content], 3)
    np.testing.assert_array_equal(arrays.read_rows(arrays.open_array(folder, "x"), slice(None)), content)


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
