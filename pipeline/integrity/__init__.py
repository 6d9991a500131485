"""Compares a corpus with its digests, and rebuilds what is damaged.

:mod:`~pipeline.integrity.verify` is the function a user calls, :mod:`~pipeline.integrity.survey` finds what is damaged,
:mod:`~pipeline.integrity.repair` rebuilds it.
"""

from pipeline.integrity.survey import Damage, Verification
from pipeline.integrity.verify import verify

__all__ = ["Damage", "Verification", "verify"]
