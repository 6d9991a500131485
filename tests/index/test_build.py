from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import CorpusDamaged, CorpusError
from pipeline.index import Segment, build, build_segment, exact_neighbors, must_compile
from pipeline.index.folder import new_folder
from tests.index.heavy_tailed import SOURCES, Built, distinct_vectors

RNG = np.random.default_rng(0)


def unit(count: int, dimension: int = 16) -> np.ndarray:
    vectors = RNG.standard_normal((count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def built(folder: Path, vectors: np.ndarray, **how: Any) -> Segment:
    count = len(vectors)
    return build_segment(folder, vectors, np.arange(count) % 7, np.arange(count) + 100, SOURCES, **how)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_only_a_graph_needs_compiled_code(is_compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "is_compiled", lambda: is_compiled)
    assert must_compile(build.MIN_GRAPH_VECTORS) is not is_compiled
    assert not must_compile(build.MIN_GRAPH_VECTORS - 1)


@pytest.mark.parametrize("count", [1, 2, 49, build.MIN_GRAPH_VECTORS - 1])
def test_a_small_segment_has_no_graph_and_is_scanned(tmp_path: Path, count: int) -> None:
    vectors, queries = unit(count), unit(5)
    segment = built(tmp_path / "s", vectors)
    assert not segment.has_graph
    assert json.loads((tmp_path / "s" / "segment.json").read_text())["graph"] is None
    found = segment.search(queries, 3)
    rows, scores = exact_neighbors(vectors.astype(np.float16), queries, 3)
    np.testing.assert_array_equal(found.row_number, np.where(rows < 0, -1, rows + 100))
    np.testing.assert_array_equal(found.row_source, np.where(rows < 0, -1, rows % 7))
    np.testing.assert_allclose(found.score, scores, rtol=0, atol=1e-6)


def test_many_rows_of_few_vectors_are_searched_row_by_row(tmp_path: Path) -> None:
    distinct = unit(3)
    segment = built(tmp_path / "s", distinct[np.arange(1000) % 3])
    assert (segment.rows, distinct_vectors(segment), segment.has_graph) == (1000, 3, False)
    found = segment.search(distinct[1:2], 340)
    of_one = np.arange(1, 1000, 3)  # rows of the vector asked for
    expected = sorted(zip(of_one % 7, of_one + 100, strict=True))
    assert list(zip(found.row_source[0, :333], found.row_number[0, :333], strict=True)) == expected
    np.testing.assert_allclose(found.score[0, :333], 1.0, rtol=0, atol=1e-6)
    assert (found.score[0, 333:] < 0.999).all()
    assert (found.row_number[0, 333:] >= 0).all()


def test_vectors_equal_as_stored_become_one(tmp_path: Path) -> None:
    vector = np.zeros((1, 16), dtype=np.float32)
    vector[0, [2, 5]] = 0.6, 0.8
    close, signed = vector * np.float32(1.00001), np.where(vector == 0, np.float32(-0.0), vector)
    segment = built(tmp_path / "s", np.concatenate([vector, close, unit(1), signed]))
    assert (segment.rows, distinct_vectors(segment)) == (4, 2)
    np.testing.assert_array_equal(segment.search(vector, 3).row_number, [[100, 101, 103]])


@pytest.mark.timeout(400)
def test_the_smallest_graph_finds_its_vectors(tmp_path: Path, light: Built) -> None:
    vectors = light.vectors[:build.MIN_GRAPH_VECTORS]
    segment = built(tmp_path / "s", vectors)
    assert segment.has_graph
    np.testing.assert_array_equal(segment.search(vectors, 1).row_number[:, 0], np.arange(len(vectors)) + 100)


@pytest.mark.timeout(400)
def test_equal_input_gives_an_equal_segment(tmp_path: Path, light: Built) -> None:
    again = build_segment(tmp_path / "again", light.vectors, light.row_source, light.row_number, SOURCES)
    first, second = ((one.folder / "segment.json").read_bytes() for one in (light.segment, again))
    assert first == second


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 0.5])
def test_a_vector_not_of_unit_length_is_named(tmp_path: Path, value: float) -> None:
    vectors = unit(300)
    vectors[123] = value
    with pytest.raises(CorpusDamaged, match=f"row 123: .* window 223 of source {SOURCES[4]}"):
        built(tmp_path / "s", vectors)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("vectors", "sources", "numbers", "ids", "message"),
    [
        (unit(0), [], [], SOURCES, "at least one"),
        (unit(3), [0, 1], [0, 1, 2], SOURCES, "3 vectors"),
        (unit(2), [0, 7], [0, 1], SOURCES, "of 7 sources"),
        (unit(2), [-1, 0], [0, 1], SOURCES, "of 7 sources"),
        (unit(2), [0, 1], [0, -1], SOURCES, "0 or more, got -1"),
        (unit(2), [0, 1], [0, 1], ["a", "a"], "twice"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    tmp_path: Path, vectors: np.ndarray, sources: list[int], numbers: list[int], ids: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_segment(tmp_path / "s", vectors, sources, numbers, ids)


def test_a_segment_is_never_written_over(tmp_path: Path) -> None:
    before = built(tmp_path / "s", unit(5))
    with pytest.raises(CorpusError, match="exists"):
        built(tmp_path / "s", unit(6))
    before.verify()


def test_all_is_flushed_before_the_folder_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = []
    fsync, rename = os.fsync, os.rename

    def recorded_fsync(handle: int) -> None:
        events.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def recorded_rename(path: Path, target: Path) -> None:
        events.append(f"rename to {target.name}")
        rename(path, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    segment = built(tmp_path / "s", unit(5))
    written = {path.name for path in segment.folder.iterdir()}
    *flushed, renamed, parent = events
    (partial,) = set(flushed) - written - {tmp_path.name}  # the flushes of this folder and of its files run at once
    assert written <= set(flushed)
    assert partial.startswith("s.")
    assert partial.endswith(".partial")
    assert (renamed, parent) == ("rename to s", tmp_path.name)


def test_a_failed_build_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(build, "write_segment", full)
        with pytest.raises(OSError, match="space"):
            built(tmp_path / "s", unit(5))
    assert not any(tmp_path.iterdir())
    built(tmp_path / "s", unit(5)).verify()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_of_two_builders_of_one_segment_the_first_wins(tmp_path: Path) -> None:
    with new_folder(tmp_path / "s") as mine, new_folder(tmp_path / "s") as theirs:
        (mine / "whose").write_text("mine")
        (theirs / "whose").write_text("theirs")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert (tmp_path / "s" / "whose").read_text() == "theirs"
