"""The nightly run: takes in what is new, tries again what failed, and says in the morning what it did and what is new.

:mod:`~pipeline.nightly.night` goes through the steps, :mod:`~pipeline.nightly.due_files` says which files are read,
:mod:`~pipeline.nightly.novelty` what is new in the sky, :mod:`~pipeline.nightly.report` writes it all down.
"""

from pipeline.nightly.night import nightly
from pipeline.nightly.report import NightReport

__all__ = ["NightReport", "nightly"]
