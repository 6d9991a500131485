"""Results of an evaluation as plain data. Each ``snr`` in them is an SNR per bin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.evaluate.answers import Figures
from pipeline.evaluate.coverage import Coverage
from pipeline.evaluate.depth import Depth
from pipeline.evaluate.gating import OperatingCurve
from pipeline.evaluate.labelled_scores import FormScores
from pipeline.evaluate.metrics import Scores
from pipeline.evaluate.published import FIGURES, PublishedScores
from pipeline.evaluate.real import Check
from pipeline.evaluate.refine import RefineScores
from pipeline.evaluate.rerank import RerankScores
from pipeline.evaluate.retrieval import Retrieval
from pipeline.evaluate.scales import ScaleScores
from pipeline.evaluate.speed import Speed
from pipeline.evaluate.steps import StepCurve

RANDOM = "random vectors"
"""Name of the control among the encoders."""


@dataclass(slots=True)
class Report:
    """Results of each part, by encoder. A part that was not measured is empty or None."""

    seed: int
    """Seed of all simulated data."""
    full: bool
    """True if the published numbers of windows were used."""
    encoders: dict[str, str] = field(default_factory=dict)
    """Encoder → key of its spec."""
    not_measured: dict[str, str] = field(default_factory=dict)
    """Encoder or part → reason why it was not measured."""
    speed: dict[str, Speed] = field(default_factory=dict)
    retrieval: dict[str, list[Retrieval]] = field(default_factory=dict)
    rerank: dict[str, list[RerankScores]] = field(default_factory=dict)
    published: dict[str, PublishedScores] = field(default_factory=dict)
    step: dict[str, StepCurve] = field(default_factory=dict)
    depth: dict[str, list[Depth]] = field(default_factory=dict)
    scales: dict[str, list[ScaleScores]] = field(default_factory=dict)
    answers: dict[str, list[Figures]] = field(default_factory=dict)
    """What is expected by chance and what comes, in corpora of one size or of several."""
    refine: dict[str, list[RefineScores]] = field(default_factory=dict)
    coverage: list[Coverage] = field(default_factory=list)
    """How often intervals of occurrence cover the truth."""
    notebook: dict[str, Scores] = field(default_factory=dict)
    """Results of the notebook by each of its two metrics, and of the encoders on the same windows."""
    real: dict[str, list[Check]] = field(default_factory=dict)
    labelled: dict[str, list[FormScores]] = field(default_factory=dict)
    """Results among the labelled windows of a folder."""
    gate: OperatingCurve | None = None
    elapsed_s: float = 0.0
    """Duration of the evaluation in seconds."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as data for JSON. Infinite and undefined numbers become null; others get 6 decimals."""
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
