from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorpusDamaged
from pipeline.store import Part, read_part, read_part_vectors, remove_parts, write_part, write_part_vectors
from pipeline.store.staging import opened_parts, part_path, vectors_path


def part_of(count: int) -> Part:
    rng = np.random.default_rng(count)
    windows = {"number": np.arange(count), "cutout": rng.integers(0, 256, (count, 4, 8), dtype=np.uint8),
               "snr": rng.normal(size=count).astype(np.float32)}
    return Part(windows, {"searched": np.array([4096, 4000], dtype=np.int32)})


@pytest.mark.parametrize("count", [0, 1, 300])
def test_a_part_comes_back_bit_for_bit(tmp_path: Path, count: int):
    part = part_of(count)
    write_part(tmp_path, "s", 12, part)
    back = read_part(tmp_path, "s", 12)
    assert back.n_windows == count
    for kind in ("windows", "exposure"):
        written, read = getattr(part, kind), getattr(back, kind)
        assert written.keys() == read.keys()
        for name in written:
            np.testing.assert_array_equal(read[name], written[name], strict=True)
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["part-00012.npz"]


def test_arrays_are_read_one_by_one(tmp_path: Path):
    for part_no in range(2):
        write_part(tmp_path, "s", part_no, part_of(50 + part_no))
    with opened_parts(tmp_path, "s", 2) as parts:
        for part_no, part in enumerate(parts):
            assert part.names == {"windows", "cutout", "exposure"}
            windows, expected = part.read("windows"), part_of(50 + part_no)
            assert windows.dtype.names == ("number", "snr")
            np.testing.assert_array_equal(windows["snr"], expected.windows["snr"])
            np.testing.assert_array_equal(part.read("exposure")["searched"], expected.exposure["searched"])
        with pytest.raises(CorpusDamaged, match=r"part-00001.*nothing"):
            parts[1].read("nothing")
    with pytest.raises(CorpusDamaged, match="part-00002"), opened_parts(tmp_path, "s", 3):
        pass
    path = part_path(tmp_path, "s", 1)
    altered = bytearray(path.read_bytes())
    altered[len(altered) // 2] ^= 1
    path.write_bytes(altered)
    with opened_parts(tmp_path, "s", 2) as parts, pytest.raises(CorpusDamaged, match="part-00001"):
        [parts[1].read(name) for name in parts[1].names]


def test_a_second_attempt_replaces_the_first(tmp_path: Path):
    write_part(tmp_path, "s", 0, part_of(5))
    write_part(tmp_path, "s", 0, part_of(7))
    assert read_part(tmp_path, "s", 0).n_windows == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": None}, "column 'number' is missing"),
        ({"cutout": None}, "column 'cutout' is missing"),
        ({"number": np.arange(3, dtype=np.int32)}, "number: must be int64"),
        ({"cutout": np.zeros((3, 4, 8), np.float32)}, "cutout: must be uint8"),
        ({"cutout": np.zeros((3, 32), np.uint8)}, "cutout: must be uint8 of 3 dimensions"),
        ({"snr": np.zeros(2)}, "differ in length"),
        ({"snr": np.zeros(3, dtype=object)}, "no column of numbers"),
        ({"name": np.array(["a", "b", "c"])}, "no column of numbers"),
        ({"a/b": np.zeros(3)}, "cannot name a column"),
    ],
)
def test_what_is_no_part_is_refused(change: dict[str, np.ndarray | None], message: str):
    columns = {**part_of(3).windows, **change}
    with pytest.raises(ValueError, match=message):
        Part({name: column for name, column in columns.items() if column is not None}, {})


def test_a_missing_cut_or_altered_part_is_damage_that_names_it(tmp_path: Path):
    with pytest.raises(CorpusDamaged, match="part-00003"):
        read_part(tmp_path, "s", 3)
    write_part(tmp_path, "s", 3, part_of(50))
    path = part_path(tmp_path, "s", 3)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorpusDamaged, match="part-00003"):
        read_part(tmp_path, "s", 3)
    altered = bytearray(content)
    altered[len(content) // 2] ^= 1
    path.write_bytes(altered)
    with pytest.raises(CorpusDamaged, match="part-00003"):
        read_part(tmp_path, "s", 3)


def test_nothing_is_unpickled(tmp_path: Path):
    path = part_path(tmp_path, "s", 0)
    path.parent.mkdir()
    np.savez(path, windows=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CorpusDamaged, match="part-00000"):
        read_part(tmp_path, "s", 0)
    np.save(vectors_path(tmp_path, "s", 0, "key"), np.array([{"a": 1}], dtype=object))
    with pytest.raises(CorpusDamaged, match="part-00000"):
        read_part_vectors(tmp_path, "s", 0, "key")


def test_vectors_are_kept_as_halves_beside_their_part(tmp_path: Path):
    vectors = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    write_part_vectors(tmp_path, "s", 4, "power-spectrum-v1", vectors)
    read = read_part_vectors(tmp_path, "s", 4, "power-spectrum-v1")
    np.testing.assert_array_equal(read, np.float16(vectors), strict=True)
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["part-00004.power-spectrum-v1.npy"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e5])
def test_vectors_that_are_not_finite_as_halves_are_refused_by_row(tmp_path: Path, value: float):
    vectors = np.zeros((9, 8), np.float32)
    vectors[6, 3] = value
    with pytest.raises(ValueError, match=r"s part 0, key: 1 vectors are not finite, first in row 6"):
        write_part_vectors(tmp_path, "s", 0, "key", vectors)
    assert not vectors_path(tmp_path, "s", 0, "key").exists()


def test_vectors_must_be_two_dimensional_halves(tmp_path: Path):
    with pytest.raises(ValueError, match="dimension"):
        write_part_vectors(tmp_path, "s", 0, "key", np.zeros(8))
    (tmp_path / "s").mkdir()
    np.save(vectors_path(tmp_path, "s", 0, "key"), np.zeros((2, 8), np.float32))
    with pytest.raises(CorpusDamaged, match="float32"):
        read_part_vectors(tmp_path, "s", 0, "key")


def test_parts_are_removed_by_source(tmp_path: Path):
    for source_id in ("a", "b"):
        write_part(tmp_path, source_id, 0, part_of(1))
    remove_parts(tmp_path, "a")
    remove_parts(tmp_path, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
