from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, CorpusMismatch, SegmentDamaged
from pipeline.index import Segment, build_segment
from pipeline.index.folder import ARRAY_TYPES, GRAPH_ARRAY_TYPES, _record_digest
from tests.index.heavy_tailed import Built

pytestmark = pytest.mark.timeout(400)  # the first test builds the graph


@pytest.fixture
def folder(light: Built, tmp_path: Path) -> Path:
    return Path(shutil.copytree(light.segment.folder, tmp_path / "copy"))


def use(folder: Path, queries: NDArray[np.float32]) -> None:
    Segment.open(folder).search(queries[:3], 10)


def verify(folder: Path) -> None:
    Segment.open(folder).verify()


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the record, and give it a valid digest."""
    record = json.loads((folder / "segment.json").read_text())
    del record["sha256"]
    change(record)
    (folder / "segment.json").write_text(json.dumps({**record, "sha256": _record_digest(record)}))


def test_a_segment_is_plain_arrays_and_json(light: Built) -> None:
    names = {path.name for path in light.segment.folder.iterdir()}
    assert names == {"segment.json", *(f"{name}.npy" for name in (*ARRAY_TYPES, *GRAPH_ARRAY_TYPES))}
    for name, (dtype, axes) in {**ARRAY_TYPES, **GRAPH_ARRAY_TYPES}.items():
        array = np.load(light.segment.folder / f"{name}.npy", allow_pickle=False)
        assert (array.dtype.str, array.ndim) == (dtype, axes)
    light.segment.verify()


@pytest.mark.parametrize("name", [*ARRAY_TYPES, *GRAPH_ARRAY_TYPES])
@pytest.mark.parametrize("damage", ["truncated", "missing", "flipped", "replaced"])
def test_a_damaged_array_is_named(folder: Path, light: Built, name: str, damage: str) -> None:
    path, check = folder / f"{name}.npy", partial(use, folder, light.queries)
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[:-1])
    elif damage == "flipped":
        content[len(content) // 2] ^= 64
        path.write_bytes(content)
        check = partial(verify, folder)
    else:  # other type, same number of bytes
        array = np.load(path)
        np.save(path, array.view(np.int32 if array.dtype.kind == "f" else np.float32))
    with pytest.raises(CorpusDamaged, match=f"{name}.npy"):
        check()


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("row_source", 5, 7),
        ("row_source", 5, -1),
        ("posting_indptr", 1, 10**9),
        ("posting_indptr", 0, 1),
        ("posting_indptr", 7, 6),  # a vector without a row
        ("graph_indices", 77, 6000),
        ("graph_indices", 77, -1),
        ("graph_indptr", 9, 10**9),
        ("graph_indptr", 9, -5),
        ("graph_indptr", -1, 5),
        ("tree_children", (0, 0), 10**9),
        ("tree_children", (0, 1), 0),  # a walk that never ends
        ("tree_children", (1, 0), 1),
        ("tree_children", (-1, 1), -6001),
        ("tree_children", (-1, 1), -1),  # a leaf that ends before it starts
        ("tree_children", (-1, 0), -(2**31)),
        ("tree_children", (-1, 0), 3),
        ("tree_children", (0, 0), 2),  # a node of two parents, and one of none
        ("tree_offsets", 0, float("nan")),
        ("tree_hyperplanes", (0, 0), float("inf")),
    ],
)
def test_numbers_that_would_lead_compiled_code_astray_are_refused(
    folder: Path, light: Built, name: str, where: Any, value: float
) -> None:
    path = folder / f"{name}.npy"
    array = np.load(path)
    array[where] = value
    np.save(path, array)
    with pytest.raises(CorpusDamaged, match=f"{name}.npy"):
        use(folder, light.queries)


def test_a_damaged_graph_leaves_the_scan(folder: Path, light: Built) -> None:
    (folder / "graph_indices.npy").unlink()
    found = Segment.open(folder).search(light.queries, 10, exact=True)
    whole = light.segment.search(light.queries, 10, exact=True)
    np.testing.assert_array_equal(found.row_number, whole.row_number)


def test_a_pickled_array_is_never_loaded(folder: Path, light: Built) -> None:
    path = folder / "row_number.npy"
    size = path.stat().st_size
    np.save(path, np.array([{"a": "dictionary"}], dtype=object), allow_pickle=True)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))  # the record knows what size this array has
    rewrite(folder, lambda record: record["arrays"]["row_number"].update(bytes=path.stat().st_size))
    with pytest.raises(CorpusDamaged, match=r"row_number\.npy: not a plain array"):
        use(folder, light.queries)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"sha256": "0", "format": "x"}'])
def test_a_record_that_is_none_is_refused(folder: Path, content: bytes) -> None:
    (folder / "segment.json").write_bytes(content)
    with pytest.raises(CorpusDamaged, match=r"segment\.json"):
        Segment.open(folder)


def test_an_altered_record_is_refused(folder: Path) -> None:
    path = folder / "segment.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(CorpusDamaged, match=r"segment\.json: altered"):
        Segment.open(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusDamaged, match="nowhere"):
        Segment.open(tmp_path / "nowhere")


def test_a_newer_format_is_refused(folder: Path) -> None:
    rewrite(folder, lambda record: record.update(format_version=2))
    with pytest.raises(CorpusMismatch, match="version 2"):
        Segment.open(folder)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Make a segment of 40 vectors, which has no graph."""
    vectors = np.random.default_rng(0).standard_normal((40, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    build_segment(tmp_path / "s", vectors, np.arange(40) % 2, np.arange(40), ("A", "B"))
    return tmp_path / "s"


def forge(folder: Path, name: str, change: Callable[[NDArray[Any]], Any]) -> None:
    """Change an array and give the record the digests that fit."""
    array = np.load(folder / f"{name}.npy")
    change(array)
    np.save(folder / f"{name}.npy", array)
    digest = hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest()
    rewrite(folder, lambda record: record["arrays"][name].update(sha256=digest))


@pytest.mark.parametrize(("name", "change"), [
    ("row_number", lambda array: array.__setitem__(3, -1)),
    ("row_number", lambda array: array.fill(0)),
    ("row_source", lambda array: array.fill(2)),
    ("posting_indptr", lambda array: array.__setitem__(slice(1, 20), 0)),
])
def test_rows_that_make_no_sense_are_refused(small: Path, name: str, change: Callable[[NDArray[Any]], Any]) -> None:
    Segment.open(small)
    forge(small, name, change)
    with pytest.raises(SegmentDamaged, match=rf"{name}\.npy: does not fit a segment of 40 vectors"):
        Segment.open(small)


@pytest.mark.parametrize("value", [0.0, 0.5, float("nan"), float("inf"), 1e30])
def test_a_vector_of_another_length_is_refused_by_a_scan(small: Path, value: float) -> None:
    query = np.load(small / "vectors.npy")[:1]
    forge(small, "vectors", lambda array: array.__setitem__(7, value))
    with pytest.raises(SegmentDamaged, match=r"vectors\.npy: vector 7 has length"):
        Segment.open(small).search(query, 3)
    with pytest.raises(SegmentDamaged, match=r"vectors\.npy: vector 7 has length"):
        Segment.open(small).search(query, 3, among=np.ones(40, np.bool_))


def test_a_walk_refuses_to_find_a_vector_of_another_length(folder: Path, light: Built) -> None:
    vectors = np.load(folder / "vectors.npy")
    nearest = int(np.argmax(vectors @ light.queries[0]))
    forge(folder, "vectors", lambda array: array.__setitem__(nearest, array[nearest] * 1.01))
    with pytest.raises(SegmentDamaged, match=rf"vectors\.npy: vector {nearest} has length 1.01, not 1"):
        Segment.open(folder).search(light.queries[:1], 10)


@pytest.mark.parametrize("change", [
    lambda record: record.update(vectors=10**13), lambda record: record.update(rows=41),
    lambda record: record.update(dimension=10**12), lambda record: record.update(vectors=None),
    lambda record: record.update(graph="x"), lambda record: record.update(graph={}),
    lambda record: record.update(source_ids=[1]), lambda record: record.pop("arrays"),
    lambda record: record["arrays"].pop("row_source"),
    lambda record: record["arrays"]["vectors"].update(shape=[2**31 - 1, 8]),
    lambda record: record["arrays"]["vectors"].update(bytes=10**13),
], ids=range(11))
def test_a_record_that_makes_no_sense_is_refused(small: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    rewrite(small, change)
    with pytest.raises(SegmentDamaged, match=r"segment\.json: not the record of a segment"):
        Segment.open(small)
