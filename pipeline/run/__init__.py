"""The runs that a user starts: ingest, embed, index, remove and upgrade.

Each is one function, in the module of its name. A run reports its progress as snapshots, and prints nothing. Other
packages import from here: the functions of a user first, then what nights and repairs share with runs.
"""

from pipeline.run.embed import NO_SIGNAL, embed, embeds_on_gpu
from pipeline.run.failures import disk_errors, is_unwritable
from pipeline.run.families import FamiliesFound, find_families, name_family
from pipeline.run.file_selection import MIN_AGE_S, Selected, Stat, select_files, stat_of, unchanged_s
from pipeline.run.index import index
from pipeline.run.ingest import ingest, ingest_files
from pipeline.run.more_views import with_its_views
from pipeline.run.plan import may_heal
from pipeline.run.preconditions import (
    adopt_committed,
    as_made,
    make_corpus,
    manifest_if_any,
    settled,
    with_serial,
)
from pipeline.run.progress import RESUMED, Listener, Progress, ProgressChoice, RunReport, Tracker, showing
from pipeline.run.remove import Removal, remove
from pipeline.run.routed import build_routed, rebuild_cell
from pipeline.run.scan_cache import CachedScans, scan_into_cache
from pipeline.run.segment_plan import heir_of, plan_segments
from pipeline.run.task_sizes import parts_of, slices_of
from pipeline.run.upgrade import Upgrade, upgrade

__all__ = [
    "MIN_AGE_S", "NO_SIGNAL", "RESUMED", "CachedScans", "FamiliesFound", "Listener", "Progress", "ProgressChoice",
    "Removal", "RunReport", "Selected", "Stat", "Tracker", "Upgrade", "adopt_committed", "as_made", "build_routed",
    "disk_errors", "embed", "embeds_on_gpu", "find_families", "heir_of", "index", "ingest", "ingest_files",
    "is_unwritable", "make_corpus", "manifest_if_any", "may_heal", "name_family", "parts_of", "plan_segments",
    "rebuild_cell", "remove", "scan_into_cache", "select_files", "settled", "showing", "slices_of", "stat_of",
    "unchanged_s", "upgrade",
    "with_its_views", "with_serial",
]
