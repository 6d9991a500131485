"""Names and paths in a corpus folder."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from pipeline.overview import overview_name
from pipeline.store.safe_names import CELL_NAME, checked

CURRENT = "CURRENT"
IDENTITY = "identity.json"
LOCK = "lock"
MANIFESTS = "manifest"
SOURCES = "sources"
VECTORS = "vectors"
SEGMENTS = "index"
ENCODERS = "encoders"
PROJECTION_COPY = "copy.npz"
"""Name of the copy beside each projection."""
STAGING = "staging"
DAMAGED = "damaged"
"""Folder of damaged objects. A repair moves them here, under their old paths, until a replacement is in place."""


def source_folder(root: Path, source_id: str) -> Path:
    """Return the folder of a source's windows."""
    return root / SOURCES / checked(source_id)


def overview_folder(root: Path, scan_id: str) -> Path:
    """Return the folder of the overview of a scan, beside that of its windows."""
    return root / SOURCES / checked(overview_name(scan_id))


def vector_folder(root: Path, encoder_key: str, source_id: str) -> Path:
    """Return the folder of the vectors that one encoder made of a source's windows."""
    return root / VECTORS / checked(encoder_key) / checked(source_id)


def segment_folder(root: Path, segment_id: str) -> Path:
    """Return the folder of an index segment. A cell (:func:`pipeline.catalogue.cell_id`) lies in its routed segment."""
    routed_id, _, cell = segment_id.partition("/")
    if CELL_NAME.fullmatch(cell):
        return root / SEGMENTS / checked(routed_id) / cell
    return root / SEGMENTS / checked(segment_id)


def projection_file(root: Path, encoder: str) -> Path:
    """Return the file of the projection that was fitted on this corpus for an encoder."""
    return root / ENCODERS / checked(encoder) / "projection.npz"


def pasted(command: str, root: Path) -> str:
    """Return a command with ``--corpus`` and the quoted path of the corpus, ready to be pasted into a shell."""
    return f"{command} --corpus {shlex.quote(str(root))}"


def undoing(root: Path) -> Callable[[str], str]:
    """Return a function that makes the command to take a removed source back, given its id."""
    return lambda source_id: pasted(f"lookalike remove --undo {source_id}", root)


def mending(root: Path) -> str:
    """Return the advice for a damaged corpus: a command that can be pasted."""
    return f"mend it with: {pasted('lookalike verify --repair', root)}"


def mending_of(folder: Path) -> str:
    """Return the advice of :func:`mending` for the corpus that holds a folder of windows, vectors or a projection."""
    return mending(next(place.parent for place in folder.parents if place.name in (SOURCES, VECTORS, ENCODERS)))


def parts_folder(staging: Path, source_id: str) -> Path:
    """Return the folder of a source's parts in the staging folder of a run."""
    return staging / checked(source_id)
