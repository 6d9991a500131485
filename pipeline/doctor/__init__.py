"""Is this installation, and every worker of a cluster, fit for work? Nothing is changed."""

from pipeline.doctor.checks import Check
from pipeline.doctor.doctor import Diagnosis, doctor

__all__ = ["Check", "Diagnosis", "doctor"]
