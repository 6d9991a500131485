"""Names of files and folders: every name is checked here before it becomes part of a path.

Names in a manifest, in digests or in a group are data, and a stranger may have made the corpus. A name that would lead
out of its folder raises :class:`CorpusDamaged` before it is used. On disk, only names that match the patterns of this
module belong to the store. Other files belong to other programs, and no run touches them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipeline.errors import CorpusDamaged
from pipeline.overview import SUFFIX as OVERVIEW_SUFFIX
from pipeline.views import SUFFIX

if TYPE_CHECKING:
    from pipeline.catalogue import Manifest

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
"""The characters that the store itself uses. A name with others would escape the search for links by pattern."""
_MAX_NAME_BYTES = 255
"""Longest name that all file systems allow."""
_ID = r"[A-Za-z0-9][A-Za-z0-9_-]*|[A-Za-z0-9][A-Za-z0-9_.+-]*_[0-9a-f]{4,}"
_KEY = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_TEMPORARY = r"\.[0-9a-f]{4,32}\.tmp"

SOURCE = re.compile(rf"(?:{_ID})(?:{SUFFIX})?")
"""Id of a scan, or of an averaged view of one."""
OVERVIEW = re.compile(rf"(?:{_ID})\{OVERVIEW_SUFFIX}")
"""Name of the overview of a scan."""
KEY = re.compile(_KEY)
"""Name of an encoder, or key of an encoder: name and version."""
SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*-[0-9a-f]{12}")
PARTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*\.partial")
"""Folder of a segment that is being built."""
CELL_NAME = re.compile(r"cell-[0-9]{4,9}")
RUN = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9]+-[0-9a-f]{8}|\.[0-9a-f]{32}|doctor-[0-9a-f]{32}")
"""Folder in ``staging``: of a run, of something that is being deleted, or of a check of ``lookalike doctor``."""
GENERATION = re.compile(rf"[0-9]{{8,18}}\.(json|copy)|{_TEMPORARY}")
NUMBER = re.compile(r"[0-9]{8}|[1-9][0-9]{8,17}")
"""File of a lease."""
MENDED = re.compile(rf"\.({_KEY})\.mended")
"""Folder of a projection that a repair is making."""
TEMPORARY = re.compile(_TEMPORARY)


class BadName(CorpusDamaged, ValueError):
    """A name that would lead out of its folder, or that is hidden."""


def checked(name: Any) -> str:
    """Return ``name`` if it can name one file or folder that is not hidden; else raise :class:`BadName`."""
    if not _is_name(name):
        raise BadName(f"{str(name)[:_MAX_NAME_BYTES]!r} cannot name a folder of the corpus")
    return str(name)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _SAFE.fullmatch(name) is not None and len(name.encode()) <= _MAX_NAME_BYTES


def checked_path(path: Any) -> str:
    """Return the path of a file inside a group if each part of it is a valid name; else raise :class:`BadName`."""
    for name in path.split("/") if isinstance(path, str) else [path]:
        checked(name)
    return str(path)


def checked_retired(folder: Any) -> str:
    """Return a retired folder if it is ``sources/ID``, ``vectors/KEY/ID`` or ``index/ID``; else raise ``BadName``."""
    kind, *names = folder.split("/") if isinstance(folder, str) else ("",)
    if len(names) != {"sources": 1, "vectors": 2, "index": 1}.get(kind) or not all(map(_is_name, names)):
        raise BadName(f"{str(folder)[:_MAX_NAME_BYTES]!r} cannot be a folder that left the corpus")
    return str(folder)


def check_manifest(manifest: Manifest) -> None:
    """Raise :class:`BadName`, which says where it was found, for the first invalid name of a manifest."""
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
