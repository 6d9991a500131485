"""The door for names: each passes here before it becomes a path, whoever wrote it.

Names in a manifest, a seal or a group are data: the corpus may be a stranger's. One that would leave its folder is
:class:`CorpusDamaged`, before anything is done with it. And of the names that are found on disk, only those that the
store gives are its own: what bears another is somebody else's, and no run touches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipeline.errors import CorpusDamaged

if TYPE_CHECKING:
    from pipeline.store.manifest import Manifest

_SAFE = re.compile(r"[^./\0\ud800-\udfff][^/\0\ud800-\udfff]*")
_LONGEST = 255
"""Bytes in a name, on any file system."""
_ID = r"[A-Za-z0-9][A-Za-z0-9_-]*|[A-Za-z0-9][A-Za-z0-9_.+-]*_[0-9a-f]{4,}"
_KEY = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_TEMPORARY = r"\.[0-9a-f]{4,32}\.tmp"

SOURCE = re.compile(_ID)
KEY = re.compile(_KEY)
"""Of an encoder, or of an encoder and its version."""
SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*-[0-9a-f]{12}")
PARTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*\.partial")
"""Of a segment that is being built."""
CELL_NAME = re.compile(r"cell-[0-9]{4,9}")
RUN = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9]+-[0-9a-f]{8}|\.[0-9a-f]{32}|doctor-[0-9a-f]{32}")
"""Of a folder in ``staging``: a run's, what is being deleted, and one that is made to see who else sees it."""
GENERATION = re.compile(rf"[0-9]{{8,18}}\.(json|copy)|{_TEMPORARY}")
NUMBER = re.compile(r"[0-9]{8}|[1-9][0-9]{8,17}")
"""Of a lease."""
MENDED = re.compile(rf"\.({_KEY})\.mended")
"""Of a projection that a repair is making."""
TEMPORARY = re.compile(_TEMPORARY)


class BadName(CorpusDamaged, ValueError):
    """A name that would leave its folder, or hide in it."""


def checked(name: Any) -> str:
    """Return ``name`` if it is that of one file or folder, neither hidden nor elsewhere; else :class:`BadName`."""
    if not _is_name(name):
        raise BadName(f"{str(name)[:_LONGEST]!r} cannot name a folder of the corpus")
    return str(name)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _SAFE.fullmatch(name) is not None and len(name.encode()) <= _LONGEST


def checked_path(path: Any) -> str:
    """Return the path of a file inside a group if each part of it is a name; else :class:`BadName`."""
    for name in path.split("/") if isinstance(path, str) else [path]:
        checked(name)
    return str(path)


def checked_retired(folder: Any) -> str:
    """Return a folder that left the corpus if it is ``sources/ID``, ``vectors/KEY/ID`` or ``index/ID``."""
    kind, *names = folder.split("/") if isinstance(folder, str) else ("",)
    if len(names) != {"sources": 1, "vectors": 2, "index": 1}.get(kind) or not all(map(_is_name, names)):
        raise BadName(f"{str(folder)[:_LONGEST]!r} cannot be a folder that left the corpus")
    return str(folder)


def check_manifest(manifest: Manifest) -> None:
    """Raise :class:`BadName`, saying where it stands, for the first name of a manifest that is none."""
    _check("sources", manifest.sources)
    _check("encoders", {*manifest.encoders, *manifest.weights, *(spec.name for spec in manifest.encoders.values())})
    _check("vectors", {key for entry in manifest.sources.values() for key in entry.vectors})
    for segment in manifest.segments:
        _check("segments", (segment.id, segment.encoder_key))
        _check("segments", {*segment.source_ids, *segment.dead} - manifest.sources.keys())
    _check("removed", manifest.removed)
    for folder in manifest.retired:
        try:
            checked_retired(folder)
        except BadName as error:
            raise BadName(f"retired: {error}") from None


def _check(where: str, names: Iterable[Any]) -> None:
    for name in names:
        try:
            checked(name)
        except BadName as error:
            raise BadName(f"{where}: {error}") from None
