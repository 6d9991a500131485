"""How well encoders, gate and grid do, measured on what nobody trained with: ``lookalike evaluate``."""

from pipeline.evaluate.report import Report
from pipeline.evaluate.retrieval import Retrieval, evaluate_retrieval
from pipeline.evaluate.suite import PARTS, evaluate

__all__ = ["PARTS", "Report", "Retrieval", "evaluate", "evaluate_retrieval"]
