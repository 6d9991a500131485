"""Tasks that run on a worker: probe, scan, embed, commit, fit a projection, index.

Every task is idempotent: it writes one complete result under its own name. So it may be run again, or twice at the same
time. A bad source is returned as a report and never raised as an exception. Nothing here depends on Dask.
"""

from pipeline.tasks.embed import Piece, commit_vectors, embed_parts, embed_whole
from pipeline.tasks.fit import fit_projection, sample, sample_keys
from pipeline.tasks.index import build_cell, index_sources, spool, spool_of, train
from pipeline.tasks.scan import Probed, beginnings, commit_windows, probe, probe_batch, scan_part, scan_whole
from pipeline.tasks.work import PartReport, Work, added, report_of_error

__all__ = [
    "PartReport",
    "Piece",
    "Probed",
    "Work",
    "added",
    "beginnings",
    "build_cell",
    "commit_vectors",
    "commit_windows",
    "embed_parts",
    "embed_whole",
    "fit_projection",
    "index_sources",
    "probe",
    "probe_batch",
    "report_of_error",
    "sample",
    "sample_keys",
    "scan_part",
    "scan_whole",
    "spool",
    "spool_of",
    "train",
]
