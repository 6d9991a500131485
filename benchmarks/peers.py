"""Indexes to compare, ours and others, with one interface. Each uses one thread.

All get the same vectors, of unit length and exact in float16, and return the rows nearest by cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.index import CAREFUL_BEAM, DEFAULT_BEAM, Segment, build_segment

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

M, EF_CONSTRUCTION = 16, 200
EFS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
BEAMS = (10, 16, 24, 32, 48, 64, DEFAULT_BEAM, 128, CAREFUL_BEAM, 256, 512)
NPROBES = (1, 4, 16, 64)
_BEAM_NAMES = {DEFAULT_BEAM: " (default)", CAREFUL_BEAM: " (careful)"}


class Index(Protocol):
    """A finished index."""

    efforts: Mapping[str, Any]
    """Name of an effort → the value that sets it, fastest first. An exact index has one entry."""
    is_exact: bool
    bytes_beyond_vectors: int
    """Size of the file minus four bytes for each number of the vectors; negative if the index compresses vectors."""
    file: Path
    """File or folder of the saved index."""

    def search(self, queries: Vectors, k: int, effort: Any) -> Rows:
        """Return rows (q, k), −1 for a missing one."""


class Ours:
    """Our segment, searched through its graph."""

    is_exact = False

    def __init__(self, vectors: Vectors, folder: Path) -> None:
        count = len(vectors)
        self.file = folder / f"segment{count}"
        self._segment = build_segment(self.file, vectors, np.zeros(count, int), np.arange(count), ["source"])
        self.bytes_beyond_vectors = (sum(path.stat().st_size for path in self.file.iterdir()) - 4 * vectors.size)
        self.efforts = {f"beam {beam}{_BEAM_NAMES.get(beam, '')}": beam for beam in BEAMS}

    def search(self, queries: Vectors, k: int, effort: Any) -> Rows:
        return self._segment.search(queries, k, beam=effort).row_number


class OursExact(Ours):
    """Our segment, searched without its graph. It opens what :class:`Ours` saved."""

    is_exact = True

    def __init__(self, vectors: Vectors, folder: Path) -> None:
        self.file = folder / f"segment{len(vectors)}"
        self._segment = Segment.open(self.file)
        self.bytes_beyond_vectors = 0
        self.efforts = {"exact": None}

    def search(self, queries: Vectors, k: int, effort: Any) -> Rows:
        return self._segment.search(queries, k, exact=True).row_number


class Hnswlib:
    """hnswlib, M 16, ef_construction 200."""

    is_exact = False

    def __init__(self, vectors: Vectors, folder: Path) -> None:
        import hnswlib

        self.file = folder / "hnswlib.bin"
        self._index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION, random_seed=0)
        self._index.set_num_threads(1)
        self._index.add_items(vectors, num_threads=1)
        self._index.save_index(str(self.file))
        self.bytes_beyond_vectors = self.file.stat().st_size - 4 * vectors.size
        self.efforts = {f"ef {ef}": ef for ef in EFS}

    def search(self, queries: Vectors, k: int, effort: Any) -> Rows:
        self._index.set_ef(effort)
        return np.asarray(self._index.knn_query(queries, k, num_threads=1)[0], np.int64)


class _Faiss:
    """Common part of the indexes of faiss."""

    name: str
    is_exact = False

    def __init__(self, vectors: Vectors, folder: Path) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self._index = self._made(faiss, vectors)
        self._index.add(vectors)
        self.file = folder / f"{self.name}.faiss"
        faiss.write_index(self._index, str(self.file))
        self.bytes_beyond_vectors = self.file.stat().st_size - 4 * vectors.size

    def _made(self, faiss: Any, vectors: Vectors) -> Any:
        raise NotImplementedError

    def search(self, queries: Vectors, k: int, effort: Any) -> Rows:
        self._tell(effort)
        return np.asarray(self._index.search(queries, k)[1], np.int64)

    def _tell(self, effort: Any) -> None:
        pass


class FaissFlat(_Faiss):
    """Exact search of faiss."""

    name, is_exact, efforts = "flat", True, MappingProxyType({"exact": None})

    def _made(self, faiss: Any, vectors: Vectors) -> Any:
        return faiss.IndexFlatIP(vectors.shape[1])


class FaissHnsw(_Faiss):
    """Graph of faiss, with the parameters of hnswlib."""

    name, efforts = "hnsw", MappingProxyType({f"efSearch {ef}": ef for ef in EFS})

    def _made(self, faiss: Any, vectors: Vectors) -> Any:
        index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        return index

    def _tell(self, effort: Any) -> None:
        self._index.hnsw.efSearch = effort


class FaissIvfPq(_Faiss):
    """Cells of 250 vectors, one byte for each four numbers, without a second comparison."""

    name, efforts = "ivfpq", MappingProxyType({f"nprobe {nprobe}": nprobe for nprobe in NPROBES})

    def _made(self, faiss: Any, vectors: Vectors) -> Any:
        dimension = vectors.shape[1]
        cells = max(1, len(vectors) // 250)
        index = faiss.IndexIVFPQ(faiss.IndexFlatIP(dimension), dimension, cells, dimension // 4, 8,
                                 faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[: max(64 * cells, 10_000)])
        self._quantizer = index.quantizer  # the index itself keeps no reference to it
        return index

    def _tell(self, effort: Any) -> None:
        self._index.nprobe = effort


class ScikitLearn:
    """Brute force. Only the vectors are saved."""

    is_exact, bytes_beyond_vectors, efforts = True, 0, MappingProxyType({"exact": None})

    def __init__(self, vectors: Vectors, folder: Path) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.file = folder / "vectors.npy"
        self._index = NearestNeighbors(algorithm="brute", metric="euclidean", n_jobs=1).fit(vectors)

    def search(self, queries: Vectors, k: int, effort: Any) -> Rows:
        return np.asarray(self._index.kneighbors(queries, k, return_distance=False), np.int64)


OURS, HNSWLIB = "ours", "hnswlib"
INDEXES: Mapping[str, tuple[Callable[[Vectors, Path], Index], str]] = {
    OURS: (Ours, "pynndescent"),
    "ours, exact": (OursExact, "numpy"),
    HNSWLIB: (Hnswlib, "hnswlib"),
    "faiss HNSW": (FaissHnsw, "faiss"),
    "faiss IVF-PQ": (FaissIvfPq, "faiss"),
    "faiss flat": (FaissFlat, "faiss"),
    "scikit-learn brute": (ScikitLearn, "sklearn"),
}
"""Name → class, and the module it needs. The order matters: the second entry opens what the first one saved."""


def present(wanted: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Return the names of the indexes that can be built here, and the reason for each of the others."""
    found, absent = [], {}
    for name, (_, module) in INDEXES.items():
        if wanted and name not in wanted and not name.startswith(OURS):
            continue
        try:
            __import__(module)
            found.append(name)
        except ImportError as error:
            absent[name] = f"{error}; pip install '.[bench]'"
    return found, absent


LOADERS = {
    "ours, graph": ("pipeline.index", "it = pipeline.index.Segment.open(pathlib.Path(path))",
                    "it.search(queries, 10)"),
    "ours, exact": ("pipeline.index", "it = pipeline.index.Segment.open(pathlib.Path(path))",
                    "it.search(queries, 10, exact=True)"),
    HNSWLIB: ("hnswlib", "it = hnswlib.Index(space='ip', dim=queries.shape[1]); it.load_index(path)",
              "it.knn_query(queries, 10)"),
    "faiss HNSW": ("faiss", "it = faiss.read_index(path)", "it.search(queries, 10)"),
}
"""Name → code with which a fresh process imports, opens and searches a saved index, for ``python -c``."""
