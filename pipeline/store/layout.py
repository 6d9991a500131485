"""Where things lie in a corpus folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.store.door import CELL_NAME, checked

CURRENT = "CURRENT"
IDENTITY = "identity.json"
LOCK = "lock"
MANIFESTS = "manifest"
SOURCES = "sources"
VECTORS = "vectors"
SEGMENTS = "index"
ENCODERS = "encoders"
CELL = "cell-"
"""Begins the name of a cell, in the folder of its routed segment."""
PROJECTION_COPY = "copy.npz"
"""Beside each projection."""
STAGING = "staging"
DAMAGED = "damaged"
"""What a repair has put aside, as it was called in the corpus, until what replaces it is in place."""


def source_folder(root: Path, source_id: str) -> Path:
    """Folder of a source's windows."""
    return root / SOURCES / checked(source_id)


def vector_folder(root: Path, encoder_key: str, source_id: str) -> Path:
    """Folder of the vectors one encoder made of a source's windows."""
    return root / VECTORS / checked(encoder_key) / checked(source_id)


def segment_folder(root: Path, segment_id: str) -> Path:
    """Folder of one index segment; a cell's (:func:`cell_id`) is in that of its routed segment."""
    routed_id, _, cell = segment_id.partition("/")
    if CELL_NAME.fullmatch(cell):
        return root / SEGMENTS / checked(routed_id) / cell
    return root / SEGMENTS / checked(segment_id)


def cell_id(routed_id: str, cell: int) -> str:
    """Id of one cell of a routed segment."""
    return f"{routed_id}/{CELL}{cell:04d}"


def projection_file(root: Path, encoder: str) -> Path:
    """File of the projection fitted on this corpus for the encoder of that name, for encoders that need one."""
    return root / ENCODERS / checked(encoder) / "projection.npz"


def pasted(command: str, root: Path) -> str:
    """Return a command for this corpus as a shell takes it."""
    return f"{command} --corpus {shlex.quote(str(root))}"


def mending(root: Path) -> str:
    """Advice to whoever meets damage: a command that can be pasted."""
    return f"mend it with: {pasted('lookalike verify --repair', root)}"


def mending_of(folder: Path) -> str:
    """Say the same of the corpus that the folder of a source, of vectors or of a projection is in."""
    return mending(next(place.parent for place in folder.parents if place.name in (SOURCES, VECTORS, ENCODERS)))


def parts_folder(staging: Path, source_id: str) -> Path:
    """Folder of a source's parts, while a run is gathering them."""
    return staging / checked(source_id)
