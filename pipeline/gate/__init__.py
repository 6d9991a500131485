"""Signal or noise: which windows hold a signal, at one false-alarm rate."""

from pipeline.gate.gate import EXCESS_PROBABILITY, MOST_MASKED, Statistics, may_pass, measure, thresholds

__all__ = ["EXCESS_PROBABILITY", "MOST_MASKED", "Statistics", "may_pass", "measure", "thresholds"]
