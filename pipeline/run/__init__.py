"""The runs that a user starts: ingest, embed, index, remove and upgrade.

Each is one function, in the module of its name. A run reports its progress as snapshots, and prints nothing.
"""

from pipeline.run.embed import embed
from pipeline.run.file_selection import Selected, select_files
from pipeline.run.index import index
from pipeline.run.ingest import ingest, ingest_files
from pipeline.run.progress import Progress, RunReport
from pipeline.run.remove import Removal, remove
from pipeline.run.upgrade import Upgrade, upgrade

__all__ = ["Progress", "Removal", "RunReport", "Selected", "Upgrade", "embed", "index", "ingest", "ingest_files",
           "remove", "select_files", "upgrade"]
