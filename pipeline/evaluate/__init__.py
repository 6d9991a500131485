"""Measurement of encoders, gate and grid on data that no training has used: ``lookalike evaluate``."""

from pipeline.evaluate.mistakes import draw_mistakes
from pipeline.evaluate.picture import draw
from pipeline.evaluate.report import Report
from pipeline.evaluate.retrieval import Retrieval, evaluate_retrieval
from pipeline.evaluate.sheet import draw_sheet
from pipeline.evaluate.suite import PARTS, evaluate
from pipeline.evaluate.tables import format_report

__all__ = [
    "PARTS",
    "Report",
    "Retrieval",
    "draw",
    "draw_mistakes",
    "draw_sheet",
    "evaluate",
    "evaluate_retrieval",
    "format_report",
]
