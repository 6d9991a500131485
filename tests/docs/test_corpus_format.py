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
    left_out_if_empty = {"cells", "nfpc", "overview", "removed_nsamples", "is_flat"}
    assert names(tables()[heading]) - left_out_if_empty == set(of(manifest))


def test_the_manifest_ends_with_its_digest(voyager: Path, manifest: dict[str, Any]) -> None:
    text = (voyager / "manifest" / f"{manifest['generation']:08d}.json").read_text(encoding="ascii")
    whole = text.replace(f',"sha256":"{manifest["sha256"]}"}}', "}")
    assert whole != text
    assert hashlib.sha256(whole.encode()).hexdigest() == manifest["sha256"]


def check_columns(arrays: dict[str, Any], kind: str, n: int, m: int = 1, **sizes: int) -> None:
    """Compare the columns of windows or of the exposure with their table."""
    described = arrays_of(f"{kind}/")
    sizes = {"n": n, "m": m, "T": 16, "F": 256, **sizes}
    assert set(arrays) == set(described)
    for name, (dtype, shape) in described.items():
        assert arrays[name].dtype == np.dtype(dtype)
        assert arrays[name].shape == tuple(sizes[letter] for letter in re.findall(r"\w", shape))


def group_of(folder: Path, others: set[str]) -> dict[str, Any]:
    """Read the ``group.json`` of a group, and compare it with its own digest and with the files in the folder."""
    text = (folder / "group.json").read_text(encoding="ascii")
    record: dict[str, Any] = json.loads(text)
    whole = text.replace(f',"sha256":"{record["sha256"]}"}}', "}")
    assert hashlib.sha256(whole.encode()).hexdigest() == record["sha256"]
    assert list(record)[-1] == "sha256"
    paths = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"group.json"}
    assert record["files"].keys() == paths == others
    for name, (size, digest) in record["files"].items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)
    return record


def test_files_of_a_source(voyager: Path, manifest: dict[str, Any]) -> None:
    identity = json.loads((voyager / "identity.json").read_bytes())
    for source_id, entry in manifest["sources"].items():
        folder, n = voyager / "sources" / source_id, entry["windows_kept"]
        chunks = {"cutout/c.0.0.0"} if n else set()
        record = group_of(folder, {"windows.npy", "exposure.npy", "cutout/zarr.json", *chunks})
        described = {row[0].strip("`") for row in tables()["sources/SOURCE/"]}
        assert set(record) == {name for name in described if "." not in name and not name.endswith("/")}
        assert (record["format"], record["fingerprint"]) == (2, identity["sha256"][:16])
        windows, exposure = np.load(folder / "windows.npy"), np.load(folder / "exposure.npy")
        columns = {name: windows[name] for name in windows.dtype.names}
        cutouts = zarr.open_array(str(folder / "cutout"), mode="r")
        check_columns({**columns, "cutout": cutouts}, "windows", n)
        check_columns({name: exposure[name] for name in exposure.dtype.names}, "exposure", n)


def test_vectors_belong_to_windows(voyager: Path, manifest: dict[str, Any]) -> None:
    assert arrays_of("vectors/ENCODER/SOURCE/") == {"vector": ("float16", "(n, d)")}
    (key, spec), = manifest["encoders"].items()
    for source_id, entry in manifest["sources"].items():
        folder = voyager / "vectors" / key / source_id
        array, n = zarr.open_array(str(folder / "vector"), mode="r")[:], entry["vectors"][key]
        assert (array.dtype, array.shape) == (np.float16, (n, spec["dimension"]))
        chunks = {"vector/c.0.0"} if n else set()
        for chunk in chunks:
            np.testing.assert_array_equal(np.fromfile(folder / chunk, np.float16).reshape(array.shape), array)
        np.testing.assert_allclose(np.linalg.norm(array.astype(float), axis=1), 1, atol=1e-3)
        record = group_of(folder, {"vector/zarr.json", *chunks})
        files = json.loads((voyager / "sources" / source_id / "group.json").read_bytes())["files"]
        rows = {name: seal for name, seal in files.items() if name == "windows.npy" or name.startswith("cutout/")}
        assert record["rows"] == canonical(rows)
        assert (record["format"], record["spec"]) == (2, spec)


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


def test_groups_of_format_1(stored: Path) -> None:
    root = stored / "plain"
    number, _ = (root / "CURRENT").read_text().split()
    manifest = json.loads((root / "manifest" / f"{int(number):08d}.json").read_bytes())
    assert (manifest["format"], len(manifest["sources"])) == (3, 3)
    for source_id, entry in manifest["sources"].items():
        folder = root / "sources" / source_id
        assert not (folder / "group.json").exists()
        attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        assert set(attributes) == {"format", "source", "report", "fingerprint", "columns"}
        assert attributes["format"] == 1
        gains = zarr.open_array(str(folder / "exposure" / "row_gain"), mode="r")
        sizes = {"n": entry["windows_kept"], "m": gains.shape[0]}
        for kind in ("windows", "exposure"):
            arrays = {path.parent.name: zarr.open_array(str(path.parent), mode="r")
                      for path in folder.glob(f"{kind}/*/zarr.json")}
            check_columns(arrays, kind, **sizes)
        files = json.loads((folder / "digests.json").read_bytes())
        rows = canonical({name: seal for name, seal in files.items() if name.startswith("windows/")})
        for key, count in entry["vectors"].items():
            made = root / "vectors" / key / source_id
            array = zarr.open_array(str(made / "vector"), mode="r")
            assert (array.dtype, array.shape) == (np.float16, (count, manifest["encoders"][key]["dimension"]))
            attributes = json.loads((made / "zarr.json").read_bytes())["attributes"]
            assert (attributes["format"], attributes["rows"]) == (1, rows)


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
