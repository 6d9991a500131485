"""Finds what a dead run committed and did not publish, so that the next run can adopt it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.catalogue import Manifest
from pipeline.errors import CorpusDamaged
from pipeline.overview import overview_name, scan_of_overview
from pipeline.store.foreign_files import own_folders, own_groups
from pipeline.store.groups import SourceGroup, VectorGroup
from pipeline.store.layout import SOURCES, VECTORS, overview_folder, source_folder
from pipeline.store.overviews import StoredOverview
from pipeline.store.retirement import is_retired
from pipeline.store.safe_names import KEY, OVERVIEW
from pipeline.views import scan_of


@dataclass(frozen=True, slots=True)
class Recovered:
    """Groups that a run committed but did not put into the manifest before it died."""

    sources: tuple[SourceGroup, ...]
    vectors: tuple[VectorGroup, ...]
    """Vector groups, including those of sources that the manifest names."""
    overviews: tuple[str, ...]
    """Ids of scans that have an overview, including those of scans that the manifest names."""


def recover(root: Path, manifest: Manifest) -> Recovered:
    """Find complete groups on disk that a manifest neither names nor has retired.

    Raises
    ------
    CorpusDamaged, CorpusMismatch
        Such a group lacks files, holds vectors of other windows, or its folder has the name of another group. The user
        can delete it.
    """
    here, named = Path(), manifest.sources
    sources = [_own(SourceGroup.open(root, source_id))
               for source_id in own_groups(root / SOURCES, known=named)
               if source_id not in named and scan_of(source_id) not in manifest.removed
               if not is_retired(manifest, source_folder(here, source_id))]
    scans = {*named, *(group.source_id for group in sources)}
    sources = [group for group in sources if scan_of(group.source_id) in scans]  # a view needs its scan
    adopted = {*named, *(group.source_id for group in sources)}  # other vectors lack their windows
    vectors = [_own(VectorGroup.open(root, key, source_id))
               for key in own_folders(root / VECTORS, KEY)
               for source_id in own_groups(root / VECTORS / key, known=named)
               if source_id in adopted and source_folder(root, source_id).is_dir()
               if source_id not in named or key not in named[source_id].vectors]
    held = {overview_name(scan_id) for scan_id, entry in named.items() if entry.overview}
    overviews = [StoredOverview.open(root, scan_id).scan_id
                 for scan_id in map(scan_of_overview, sorted({*own_groups(root / SOURCES, OVERVIEW, held)} - held))
                 if scan_id in adopted and not is_retired(manifest, overview_folder(here, scan_id))]
    return Recovered(tuple(sources), tuple(vectors), tuple(overviews))


_Group = TypeVar("_Group", SourceGroup, VectorGroup)


def _own(group: _Group) -> _Group:
    """Return the group. Raise :class:`CorpusDamaged` if its folder has the name of another group."""
    if fault := group.misnamed():
        raise CorpusDamaged(f"{group.folder}: {fault}; move the folder out of the corpus, or delete it")
    return group
