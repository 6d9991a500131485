"""What an evaluation found, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.evaluate.depth import Depth
from pipeline.evaluate.gating import OperatingCurve
from pipeline.evaluate.metrics import Scores
from pipeline.evaluate.published import FIGURES, PublishedScores
from pipeline.evaluate.real import Check
from pipeline.evaluate.rerank import Reranked
from pipeline.evaluate.retrieval import Retrieval
from pipeline.evaluate.speed import Speed
from pipeline.evaluate.steps import StepCurve

RANDOM = "random vectors"
"""Row of the control."""


@dataclass(slots=True)
class Report:
    """Results by part, and in each part by encoder. Empty where a part was not asked for."""

    seed: int
    full: bool
    encoders: dict[str, str] = field(default_factory=dict)
    """Name → key of the encoder's spec."""
    not_measured: dict[str, str] = field(default_factory=dict)
    """Encoder or part → why."""
    speed: dict[str, Speed] = field(default_factory=dict)
    retrieval: dict[str, list[Retrieval]] = field(default_factory=dict)
    rerank: dict[str, list[Reranked]] = field(default_factory=dict)
    published: dict[str, PublishedScores] = field(default_factory=dict)
    step: dict[str, StepCurve] = field(default_factory=dict)
    depth: dict[str, list[Depth]] = field(default_factory=dict)
    notebook: dict[str, Scores] = field(default_factory=dict)
    """The notebook's two metrics, and the encoders on the same windows."""
    real: dict[str, list[Check]] = field(default_factory=dict)
    gate: OperatingCurve | None = None
    elapsed_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain data: what is not a number becomes null."""
        record: dict[str, Any] = _plain(asdict(self))
        if self.published:
            record["published_figures"] = _plain([asdict(one) for one in FIGURES])
        return record


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
