"""A corpus to damage, ways to damage it, and the hits that it must give again after a repair."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import IndexConfig
from pipeline.integrity import Verification, verify
from pipeline.run import index, ingest
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, segment_folder, source_folder, vector_folder
from tests.run.small import SCAN, archive, config

KEY = "power-spectrum-v1"
CONFIG = replace(config(replace(SCAN, keep_all=True, cover=True)), index=IndexConfig(exact_below=50))


@dataclass(frozen=True)
class Made:
    root: Path
    hits: list[tuple[str, int, float]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("verify") / "data", 2)


@pytest.fixture(scope="module")
def made(data: Path) -> Made:
    """Corpus of two sources, with vectors and a segment, and the hits of a search in it."""
    root = data.parent / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        no_graph(patch)
        ingest([data], root, config=CONFIG, serial=True)
        assert [entry.count for entry in index(root, config=CONFIG)] == [128]
    return Made(root, hits(root))


@pytest.fixture
def root(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_graph(monkeypatch)
    return Path(shutil.copytree(made.root, tmp_path / "corpus"))


def no_graph(patch: pytest.MonkeyPatch) -> None:
    """Build no graphs, because compiling takes most of a minute. A slow test covers the repair of graphs."""
    patch.setattr("pipeline.index.build.MIN_GRAPH_VECTORS", 10**9)


def hits(root: Path) -> list[tuple[str, int, float]]:
    source_id = min(CorpusStore.open(root).manifest().sources)
    found = open_corpus(root).search(window=f"{source_id}/5", k=20)
    return [(hit.source_id, hit.window.number, round(hit.score, 4)) for hit in found]


def mend(root: Path, **more: Any) -> Verification:
    return verify(root, repair=True, serial=True, **more)


def flip(path: Path, seed: int = 0) -> None:
    content = bytearray(path.read_bytes())
    bit = random.Random(seed).randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES: dict[str, Callable[[Path], None]] = {"flip": flip, "truncate": truncate, "delete": Path.unlink}


def files_of(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield every file of a corpus that no run uses, with the kind and the id of the object that it belongs to."""
    manifest = CorpusStore.open(root).manifest()
    yield root / "CURRENT", "pointer", "CURRENT"
    yield root / "identity.json", "identity", "identity.json"
    for path in sorted((root / "manifest").glob("[0-9]*")):
        if path.suffix == ".copy" or int(path.stem) == manifest.generation:
            yield path, "manifest", path.stem
    for source_id, entry in manifest.sources.items():
        folders = [("source", source_folder(root, source_id), source_id)]
        folders += [("vectors", vector_folder(root, key, source_id), f"{key}/{source_id}") for key in entry.vectors]
        for kind, folder, name in folders:
            yield from ((path, kind, name) for path in sorted(folder.rglob("*")) if path.is_file())
    for segment in manifest.segments:
        for name in dict.fromkeys([segment.id, *(piece.id for piece in segment.pieces)]):
            folder = segment_folder(root, name)
            yield from ((path, "segment", name) for path in sorted(folder.iterdir()) if path.is_file())
