"""What the API answers, as types for its OpenAPI document. Tests compare real answers with them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """What every answer is: it has no field beyond those that it names."""

    model_config = ConfigDict(extra="forbid")


class PersonAnswer(Answer):
    """Who asks."""

    name: str
    role: Literal["reader", "labeller"]


class StatusAnswer(Answer):
    """Counts of the corpus (:class:`pipeline.search.CorpusStatus`), and what a page needs beside them."""

    corpus: str
    generation: int
    newer_generation: int | None
    encoder: str
    views: list[str]
    view_counts: dict[str, int]
    sources: int
    removed: int
    """Scans that were removed, and can be taken back."""
    resolutions: dict[str, int]
    files: dict[str, int]
    reasons: dict[str, int]
    windows_seen: int
    windows_kept: int
    without_signal: int
    not_searched: int
    partly_covered: int
    share_skipped: float
    overviews: int
    vectors: dict[str, int]
    sources_embedded: dict[str, int]
    windows_lacking: dict[str, int]
    index: dict[str, dict[str, int]]
    vectors_indexed: int
    vectors_unindexed: int
    segments: int
    cells: int
    size_bytes: int
    person: PersonAnswer


class GenerationAnswer(Answer):
    """The generation that is shown, and a newer one if there is one."""

    generation: int
    newer_generation: int | None


class SessionScanAnswer(Answer):
    """A scan of a session."""

    scan_id: str
    pointing: str
    begin_mjd: float
    end_mjd: float


class SessionAnswer(Answer):
    """Scans that were taken one after another."""

    name: str
    is_cadence: bool
    scans: list[SessionScanAnswer]


class SessionList(Answer):
    """All sessions, by time."""

    sessions: list[SessionAnswer]


class HitAnswer(Answer):
    """A hit (:meth:`pipeline.model.Hit.to_json`)."""

    rank: int
    score: float
    source: str
    file: str
    target: str
    window: int
    view: str
    f_start_mhz: float
    f_stop_mhz: float
    t_start_s: float
    t_stop_s: float
    mjd: float
    snr: float
    merged: list[int]
    correlation: float | None
    shift_hz: float | None
    shift_s: float | None
    extra_drift_hz_per_s: float | None
    mirrored: bool | None
    reranked: float | None
    expanded: float | None
    nearness: float | None
    expected: float | None
    expected_low: float | None
    expected_high: float | None
    extrapolated: bool | None
    p: float | None
    q: float | None
    query_f_start_mhz: float | None
    query_f_stop_mhz: float | None
    query_t_start_s: float | None
    query_t_stop_s: float | None
    also_at: list[str]
    copies: list[str]
    known: list[str]
    family: str
    family_name: str
    labels: list[str]
    not_searched: list[str]
    on_off: str | None
    in_off: list[str]
    on_off_reason: str
    on_snr: float | None
    off_power: list[dict[str, Any]]


class ToLabelRecord(HitAnswer):
    """A window to label next, as a hit. Its score is that of the refined search."""

    why: Literal["borderline", "random"]


class ToLabelList(Answer):
    """Windows to label next, of the sample of the corpus that figures of chance are made of."""

    to_label: list[ToLabelRecord]


class HistogramAnswer(Answer):
    """Scores of the query with sampled windows of the corpus."""

    edges: list[float]
    counts: list[int]


class BackgroundAnswer(HistogramAnswer):
    """The same, and scores with simulated signals that have nothing to do with the query."""

    reason: str
    expected_of: str
    sampled: int
    unrelated: int
    unrelated_counts: list[int]


class SearchAnswer(Answer):
    """The result of a search (:meth:`pipeline.search.SearchResult.to_json`), its id, and the request."""

    id: str
    generation: int
    request: dict[str, Any]
    query: dict[str, Any]
    corpus: dict[str, int]
    not_searched: dict[str, float] | None
    verdict: dict[str, Any] | None
    words_of_verdict: str
    background: BackgroundAnswer
    histogram: HistogramAnswer
    hits: list[HitAnswer]


class NightRecord(Answer):
    """A nightly run."""

    name: str
    headline: str
    began: str
    ended: str
    exit_code: int | None


class NightList(Answer):
    """Nightly runs, the last one first."""

    nights: list[NightRecord]
    total: int


class LabelAnswer(Answer):
    """A label of a place (:class:`pipeline.labels.Label`)."""

    id: str
    label: str
    scan: str
    view: str
    channel_start: int
    channel_stop: int
    spectrum_start: int
    spectrum_stop: int
    f_start_mhz: float
    f_stop_mhz: float
    mjd: float
    who: str
    time: str


class LabelList(Answer):
    """Labels that count, in the order in which they were given."""

    labels: list[LabelAnswer]
    more: bool
    """True if there are more than ``limit``. Then the last ones are given."""


class UndoAnswer(Answer):
    """The undoing of labels, which can be undone by its id."""

    id: str
    undone: list[str]


class OccurrenceAnswer(Answer):
    """How often something occurs (:meth:`pipeline.occurrence.Occurrence.to_json`)."""

    what: str
    counts_if: str
    statement: str
    windows_counted: int
    windows_searched: int
    bands_mhz: list[list[float]]
    emitter_gap_mhz: float
    sensitivity: dict[str, Any] | None
    notes: list[str]
    all: dict[str, Any]
    by: dict[str, list[dict[str, Any]]]


class FamilyRecord(Answer):
    """A family (:class:`pipeline.families.Family`)."""

    id: str
    name: str
    label: str
    windows: int
    scans: int
    targets: dict[str, int]
    """Name of a target → number of its scans in which the family was seen."""
    first_seen_mjd: float
    last_seen_mjd: float
    first_seen: str
    last_seen: str
    f_start_mhz: float
    f_stop_mhz: float
    view: str
    example: dict[str, Any]
    """The window that is most like the mean of the family."""
    generation: int
    found: str


class FamilyList(Answer):
    """Families, those with most windows first."""

    families: list[FamilyRecord]
    more: bool
    """True if there are more than ``limit``."""
    reason: str
    """Why there are none; empty if families were found."""
    generation: int | None
    """Generation whose windows were put into families."""
    corpus_generation: int
    not_judged: int
    """Windows that were added later, and are in no family yet."""
    without: int
    """Windows that were judged and are in no family."""
    encoder: str


class FamilyName(Answer):
    """The new name of a family."""

    id: str
    name: str
    before: str
    """The name that it had; empty for none."""


class FamilyAnswer(FamilyRecord):
    """A family with its windows (:class:`pipeline.search.FamilyMembers`)."""

    known: list[str]
    spacing: dict[str, Any]
    by_target: list[dict[str, Any]]
    members: list[dict[str, Any]]
