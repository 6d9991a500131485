"""Check whether this machine, and every worker of a cluster, can do the work. The check changes nothing."""

from pipeline.doctor.checks import Check
from pipeline.doctor.doctor import Diagnosis, doctor

__all__ = ["Check", "Diagnosis", "doctor"]
