"""``docs/corpus-format.md`` describes the files on disk. These tests read them with only json, numpy and zarr."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.docs.conftest import ROOT, lookalike, run

PAGE = ROOT / "docs" / "corpus-format.md"
READER = ROOT / "examples" / "read_corpus.py"
QUERY = "GBT_59046_80036_VOYAGER-1_da109e2ee6/0"


def tables() -> dict[str, list[list[str]]]:
    """Return heading → rows of all tables below it, without the heads of the tables."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").strip("`")
        elif line.startswith("| `"):
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def names(rows: list[list[str]]) -> set[str]:
    """Return the names in the first cells of rows. A cell may hold several names."""
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def arrays_of(heading: str) -> dict[str, tuple[str, str]]:
    """Return array → dtype and shape, as a table states them."""
    return {name.removesuffix(".npy"): (row[1], row[2]) for row in tables()[heading] if len(row) > 3
            or row[0].endswith(".npy`") for name in names([row])}


def canonical(record: Any) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


@pytest.fixture(scope="module")
def manifest(voyager: Path) -> dict[str, Any]:
    number, digest = (voyager / "CURRENT").read_text().split()
    path = voyager / "manifest" / f"{int(number):08d}.json"
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert path.with_suffix(".copy").read_bytes() == content
    record: dict[str, Any] = json.loads(content)
    assert record["generation"] == int(number)
    return record


def test_identity(voyager: Path) -> None:
    identity = json.loads((voyager / "identity.json").read_bytes())
    described = names(tables()["identity.json"])
    assert described == {"format", "cutout_version", "sha256", *(f"scan.{key}" for key in identity["scan"])}
    assert identity.pop("sha256") == canonical({k: v for k, v in identity.items() if k != "format"})


@pytest.mark.parametrize(("heading", "of"), [
    ("The manifest", lambda m: m),
    ("Source entry", lambda m: next(iter(m["sources"].values()))),
    ("Header", lambda m: next(iter(m["sources"].values()))["header"]),
    ("Coarse channels", lambda m: next(iter(m["sources"].values()))["coarse"]),
    ("File entry", lambda m: next(iter(m["files"].values()))),
    ("Segment entry", lambda m: m["segments"][0]),
    ("Encoder", lambda m: next(iter(m["encoders"].values()))),
])
def test_keys_of_the_manifest(manifest: dict[str, Any], heading: str, of: Any) -> None:
    left_out_if_empty = {"cells", "nfpc", "overview", "removed_nsamples"}
    assert names(tables()[heading]) - left_out_if_empty == set(of(manifest))


def test_the_manifest_ends_with_its_digest(voyager: Path, manifest: dict[str, Any]) -> None:
    text = (voyager / "manifest" / f"{manifest['generation']:08d}.json").read_text(encoding="ascii")
    whole = text.replace(f',"sha256":"{manifest["sha256"]}"}}', "}")
    assert whole != text
    assert hashlib.sha256(whole.encode()).hexdigest() == manifest["sha256"]


@pytest.mark.parametrize("kind", ["windows", "exposure"])
def test_arrays_of_a_source(voyager: Path, manifest: dict[str, Any], kind: str) -> None:
    described = arrays_of(f"{kind}/")
    for source_id, entry in manifest["sources"].items():
        folder = voyager / "sources" / source_id
        sizes = {"n": entry["windows_kept"], "m": 1, "T": 16, "F": 256}
        assert {path.parent.name for path in folder.glob(f"{kind}/*/zarr.json")} == set(described)
        for name, (dtype, shape) in described.items():
            array = zarr.open_array(str(folder / kind / name), mode="r")
            assert array.dtype == np.dtype(dtype)
            assert array.shape == tuple(sizes[letter] for letter in re.findall(r"\w", shape))
        attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        identity = json.loads((voyager / "identity.json").read_bytes())
        assert attributes["fingerprint"] == identity["sha256"][:16]


def test_vectors_belong_to_windows(voyager: Path, manifest: dict[str, Any]) -> None:
    assert arrays_of("vectors/ENCODER/SOURCE/") == {"vector": ("float16", "(n, d)")}
    (key, spec), = manifest["encoders"].items()
    for source_id, entry in manifest["sources"].items():
        folder = voyager / "vectors" / key / source_id
        array = zarr.open_array(str(folder / "vector"), mode="r")
        assert (array.dtype, array.shape) == (np.float16, (entry["vectors"][key], spec["dimension"]))
        np.testing.assert_allclose(np.linalg.norm(array[:].astype(float), axis=1), 1, atol=1e-3)
        files = json.loads((voyager / "sources" / source_id / "digests.json").read_bytes())
        attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        rows = {name: seal for name, seal in files.items() if name.startswith("windows/")}
        assert attributes["rows"] == canonical(rows)
        assert attributes["spec"] == spec


GRAPH = {"graph_indptr", "graph_indices", "tree_children", "tree_hyperplanes", "tree_offsets"}


def check_segment(folder: Path) -> dict[str, Any]:
    """Compare a segment with its tables; return its record."""
    record: dict[str, Any] = json.loads((folder / "segment.json").read_bytes())
    heading = "index/SEGMENT/"
    described = arrays_of(heading)
    assert {name for name in names(tables()[heading]) if not name.endswith(".npy")} == set(record)
    assert {path.stem for path in folder.glob("*.npy")} == set(described) - (set() if record["graph"] else GRAPH)
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in record["arrays"]}
    sizes = {"v": record["vectors"], "r": record["rows"], "d": record["dimension"], "2": 2}
    if record["graph"]:
        children = arrays["tree_children"]
        sizes |= {"e": arrays["graph_indptr"][-1], "t": len(children), "inner nodes": int((children[:, 0] > 0).sum())}
    for name, array in arrays.items():
        dtype, shape = described[name]
        assert array.dtype == np.dtype(dtype)
        lengths = [length.strip() for length in shape.strip("()").split(",") if length.strip()]
        assert array.shape == tuple(sizes[length.removesuffix(" + 1")] + (" + 1" in length) for length in lengths)
        assert record["arrays"][name]["sha256"] == hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest()
    assert record.pop("sha256") == canonical(record)
    return record


def test_a_segment(voyager: Path, manifest: dict[str, Any]) -> None:
    entry, = manifest["segments"]
    record = check_segment(voyager / "index" / entry["id"])
    assert (record["rows"], record["source_ids"]) == (entry["count"], entry["source_ids"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora that an earlier version made: one with a graph, one with a routed segment."""
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(ROOT / "tests" / "fixtures" / "corpus_218a0fb.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_a_segment_with_a_graph(stored: Path) -> None:
    record = next(record for record in map(check_segment, (stored / "graph" / "index").iterdir()) if record["graph"])
    folder = next(folder for folder in (stored / "graph" / "index").iterdir()
                  if json.loads((folder / "segment.json").read_bytes())["rows"] == record["rows"])
    children = np.load(folder / "tree_children.npy")
    leaves = -children[children[:, 0] <= 0]
    covered = np.concatenate([np.arange(first, last) for first, last in leaves])
    assert sorted(covered) == list(range(record["vectors"]))
    posting = np.load(folder / "posting_indptr.npy")
    assert posting[-1] == record["rows"] > record["vectors"]


def test_a_routed_segment(stored: Path) -> None:
    folder, = (stored / "routed" / "index").iterdir()
    record = json.loads((folder / "segment.json").read_bytes())
    centroids = np.load(folder / "centroids.npy")
    assert (centroids.dtype, centroids.shape) == (np.float32, (len(record["cells"]), record["dimension"]))
    filled = {cell for cell, rows in record["cells"].items() if rows}
    assert {path.name for path in folder.iterdir() if path.is_dir()} == filled
    assert len(record["margins"]) == 2
    for number, (cell, rows) in enumerate(record["cells"].items()):
        if rows:
            of_cell = check_segment(folder / cell)
            assert (of_cell["rows"], of_cell["source_ids"]) == (rows, None)
            vectors = np.load(folder / cell / "vectors.npy")
            assert ((vectors @ centroids.T).argmax(axis=1) == number).all()


def test_the_reader_reads_corpora_of_an_earlier_version(stored: Path) -> None:
    for corpus in stored.iterdir():
        number, _ = (corpus / "CURRENT").read_text().split()
        sources = json.loads((corpus / "manifest" / f"{int(number):08d}.json").read_bytes())["sources"]
        assert len(run(READER, corpus).splitlines()) == sum(entry["windows_kept"] for entry in sources.values()) > 0


def test_the_reader_needs_no_package_and_finds_what_a_search_finds(voyager: Path) -> None:
    imported = {alias.name for node in ast.walk(ast.parse(READER.read_text())) if isinstance(node, ast.Import)
                for alias in node.names}
    assert imported == {"hashlib", "json", "sys", "numpy", "zarr"}

    lines = run(READER, voyager, QUERY).splitlines()
    read = [(float(line.split()[0]), line.split()[1], line.split()[-1]) for line in lines]
    assert read[0][2] == QUERY
    hits = json.loads(lookalike("search", "--corpus", voyager, "--window", QUERY, "--json"))["hits"]
    assert [name for _, _, name in read[1:]] == [f"{hit['source']}/{hit['window']}" for hit in hits]
    np.testing.assert_allclose([score for score, _, _ in read[1:]], [hit["score"] for hit in hits], atol=6e-4)
    assert [mhz for _, mhz, _ in read[1:]] == [f"{hit['f_start_mhz']:.6f}" for hit in hits]
