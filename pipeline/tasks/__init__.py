"""What runs on a worker: probe, scan, embed, commit, fit, index.

Every task is idempotent and writes one whole thing under its own name, so it may be run again, or twice at once. A bad
source comes back as a report, never as an exception. No Dask here.
"""

from pipeline.tasks.embed import Piece, commit_vectors, embed_parts, fit_projection, sample, sample_keys
from pipeline.tasks.index import build_cell, index_sources, spool, spool_of, train
from pipeline.tasks.scan import Probed, commit_windows, probe, probe_batch, scan_part
from pipeline.tasks.work import PartReport, Work, added, report_of_error

__all__ = [
    "PartReport",
    "Piece",
    "Probed",
    "Work",
    "added",
    "build_cell",
    "commit_vectors",
    "commit_windows",
    "embed_parts",
    "fit_projection",
    "index_sources",
    "probe",
    "probe_batch",
    "report_of_error",
    "sample",
    "sample_keys",
    "scan_part",
    "spool",
    "spool_of",
    "train",
]
