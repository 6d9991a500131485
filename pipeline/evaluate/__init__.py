"""Measurement of encoders, gate and grid on data that no training has used: ``lookalike evaluate``."""

from pipeline.evaluate.report import Report
from pipeline.evaluate.retrieval import Retrieval, evaluate_retrieval
from pipeline.evaluate.suite import PARTS, evaluate

__all__ = ["PARTS", "Report", "Retrieval", "evaluate", "evaluate_retrieval"]
