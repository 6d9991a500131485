"""The nightly run: ingests new files, tries failed files again, finds novel windows, and writes a report.

:mod:`~pipeline.nightly.night` goes through the steps. :mod:`~pipeline.nightly.due_files` selects the files,
:mod:`~pipeline.nightly.novelty` finds novel windows, :mod:`~pipeline.nightly.report` writes the report.
"""

from pipeline.nightly.night import nightly
from pipeline.nightly.report import NightReport

__all__ = ["NightReport", "nightly"]
