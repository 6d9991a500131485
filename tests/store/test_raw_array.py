import hashlib
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.store import checked_file, raw_array
from pipeline.store.raw_array import RawArray, write_raw


def seals(folder: Path) -> dict[str, tuple[int, str]]:
    """Return size and digest of each file, as a group has them."""
    return {str(path.relative_to(folder)): (len(content), hashlib.sha256(content).hexdigest())
            for path in folder.rglob("*") if path.is_file() for content in [path.read_bytes()]}


def written(folder: Path, pieces: list[np.ndarray]) -> RawArray:
    write_raw(folder / "x", pieces[0].dtype, (sum(map(len, pieces)), *pieces[0].shape[1:]), iter(pieces))
    return RawArray(folder, "x", seals(folder))


@pytest.mark.parametrize("kept", [0, 1 << 16])
@pytest.mark.parametrize("counts", [(0,), (0, 0), (1,), (5, 0, 3), (16,), (17,), (7, 1, 1, 30, 2), (64,), (65,)])
def test_zarr_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], kept: int
):
    monkeypatch.setattr(raw_array, "RAW_CHUNK_BYTES", 16 * 12)  # 16 rows
    monkeypatch.setattr(checked_file, "MAX_KEPT_BYTES", kept)
    rng = np.random.default_rng(sum(counts))
    pieces = [rng.normal(size=(count, 6)).astype(np.float16) for count in counts]
    array, rows = written(tmp_path, pieces), np.concatenate(pieces)
    by_zarr = zarr.open_array(str(tmp_path / "x"), mode="r")
    np.testing.assert_array_equal(by_zarr[:], rows, strict=True)
    np.testing.assert_array_equal(array.read(slice(None)), rows, strict=True)
    for start in range(len(rows)):
        for stop in range(start, len(rows) + 1):
            np.testing.assert_array_equal(array.read(slice(start, stop)), rows[start:stop], strict=True)
    numbers = rng.integers(0, max(1, len(rows)), 20 if len(rows) else 0)
    np.testing.assert_array_equal(array.read(numbers), rows[numbers])
    files = sorted((tmp_path / "x").glob("c.*"), key=lambda path: int(path.name.split(".")[1]))
    assert [path.name for path in files] == [f"c.{i}.0" for i in range(-(-len(rows) // 16))]
    raw = np.concatenate([np.empty(0, "<f2"), *(np.fromfile(path, "<f2") for path in files)]).reshape(-1, 6)
    np.testing.assert_array_equal(raw[: len(rows)], rows)
    assert not raw[len(rows) :].any()
    assert len(raw) - len(rows) < max(1, len(files))


def test_the_description_is_what_zarr_writes(tmp_path: Path):
    write_raw(tmp_path / "x", np.float16, (5, 4), [np.zeros((5, 4), np.float16)])
    zarr.create_array(
        str(tmp_path / "theirs"), shape=(5, 4), dtype=np.float16, chunks=(5, 4), compressors=None, fill_value=0,
        chunk_key_encoding={"name": "default", "separator": "."})
    mine, theirs = (json.loads((tmp_path / name / "zarr.json").read_bytes()) for name in ("x", "theirs"))
    assert mine == theirs


@pytest.mark.parametrize("kept", [0, 1 << 16])
def test_a_bit_that_flipped_is_found_before_a_row_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
):
    monkeypatch.setattr(checked_file, "MAX_KEPT_BYTES", kept)
    content = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float16)
    write_raw(tmp_path / "x", np.float16, content.shape, [content])
    whole, path = seals(tmp_path), tmp_path / "x" / "c.0.0"
    altered = bytearray(path.read_bytes())
    altered[-1] ^= 1
    path.write_bytes(altered)
    with pytest.raises(ValueError, match=r"c\.0\.0 does not match its digest"):
        RawArray(tmp_path, "x", whole).read(slice(0, 1))
    path.write_bytes(altered[:-2])
    with pytest.raises((ValueError, OSError), match=r"c\.0\.0|larger"):
        RawArray(tmp_path, "x", whole).read(slice(0, 1))
    with pytest.raises(ValueError, match="798 bytes, not those of 100 rows"):
        RawArray(tmp_path, "x", seals(tmp_path))


@pytest.mark.parametrize(
    ("second", "n_rows", "message"),
    [
        (np.zeros((2, 3), np.float64), 4, "x: rows of float64"),
        (np.zeros((2, 4), np.float16), 4, r"x: rows of float16 \(4,\)"),
        (np.zeros((2, 3), np.float16), 5, "x: 4 rows where 5"),
        (np.zeros((2, 3), np.float16), 3, "x: 4 rows where 3"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(tmp_path: Path, second: np.ndarray, n_rows: int, message: str):
    with pytest.raises(ValueError, match=message):
        write_raw(tmp_path / "x", np.float16, (n_rows, 3), [np.zeros((2, 3), np.float16), second])


def test_memory_is_that_of_a_chunk_not_of_the_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(raw_array, "RAW_CHUNK_BYTES", 2**21)

    def pieces() -> Iterator[np.ndarray]:
        for i in range(40):
            yield np.full((4096, 128), i, np.float16)  # 1 MiB

    tracemalloc.start()
    try:
        write_raw(tmp_path / "x", np.float16, (40 * 4096, 128), pieces())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * 2**20, "40 MiB were written"
    assert RawArray(tmp_path, "x", seals(tmp_path)).read(slice(-1, None))[0, 0] == 39
