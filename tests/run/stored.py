"""Checks of the vectors of one encoder in a corpus, for tests of ``embed``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.store import CorpusStore, SourceGroup, VectorGroup

FAKE = "fake-v1-e3b0c442"
"""Key of the fake encoder without weights."""


def manifest(root: Path) -> Any:
    return CorpusStore.open(root).manifest()


def check_vectors(root: Path, key: str, encode: Callable[[np.ndarray], np.ndarray], tolerance: float = 1e-3) -> int:
    """Compare each source's vectors with those of one call of the encoder; return the number of all vectors."""
    entries = manifest(root).sources
    for source_id, entry in entries.items():
        group = VectorGroup.open(root, key, source_id)
        group.verify()
        assert entry.vectors[key] == group.count
        expected = encode(SourceGroup.open(root, source_id).cutouts())
        np.testing.assert_allclose(group.vectors(), expected, atol=tolerance)  # 1e-4, stored as float16
    return sum(entry.vectors[key] for entry in entries.values())


def snapshot(root: Path) -> dict[Path, tuple[int, int]]:
    """Return all files of a corpus except for the lock, with size and time of change."""
    paths = (path for path in root.rglob("*") if path.is_file() and path.parent.name != "lock")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}
