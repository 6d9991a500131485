"""A corpus that a test of a run may change."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.store import CorpusStore


@pytest.fixture
def root(undisturbed: Path, tmp_path: Path) -> Path:
    """A corpus of six sources with vectors of one encoder. The source files do not exist."""
    root = Path(shutil.copytree(undisturbed, tmp_path / "corpus"))
    store = CorpusStore.open(root)
    gone = {i: replace(entry, path=f"/gone/{Path(entry.path).name}") for i, entry in store.manifest().sources.items()}
    store.publish(lambda manifest: replace(manifest, sources=gone))
    return root
