"""A night's report: what was done, what failed, what is novel; as a JSON object and as a self-contained HTML page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pipeline.catalogue import Manifest, SourceEntry, scans_among
from pipeline.config import ScanConfig
from pipeline.errors import PipelineError, RunError
from pipeline.filterbank import may_be_observed
from pipeline.grid.coverage import Coverage, samples_per_window, share_skipped
from pipeline.nightly.artefacts import ARTEFACTS
from pipeline.nightly.family_news import FamilyNews
from pipeline.nightly.novelty import Novelty
from pipeline.store import mending
from pipeline.support.disk_faults import cause_of
from pipeline.support.durable import make_folder, write_atomic
from pipeline.support.text import counted, shown
from pipeline.views import PLAIN, View, view_of


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a night."""

    name: str
    status: Literal["done", "failed"]
    elapsed_s: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file that could not be used."""

    path: str
    status: str
    reason: str
    message: str
    tonight: bool
    """True if it was tried tonight, or if no earlier report names it as it is now."""
    tries: int = 1
    """Number of times it was tried as it is now."""
    since: str = ""
    """UTC time at which it was first tried as it is now; empty if that is not known."""
    next_try: str = ""
    """UTC time from which it is tried again; empty if it is not tried before it changes."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a corpus."""

    sources: int
    windows_seen: int
    """Number of windows that were searched, those of averaged views included."""
    windows_kept: int
    segments: int
    exposure_mhz_h: float
    """Bandwidth × time that was searched, in MHz h."""
    not_in_exposure: int = 0
    """Number of sources that the exposure leaves out, because their frequencies are probably in hertz."""
    share_skipped: float = 0.0
    """Share of the samples of all sources that is in no window."""
    views: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Averaged view → its sources (``sources``), and its windows (``windows_seen``, ``windows_kept``)."""

    @property
    def percent_skipped(self) -> float:
        """:attr:`share_skipped` in percent."""
        return 100 * self.share_skipped

    @classmethod
    def of(cls, manifest: Manifest, scan: ScanConfig) -> Size:
        """Count what a manifest names: sources without their averaged views, windows of all views, and segments."""
        entries = [manifest.sources[scan_id] for scan_id in scans_among(manifest.sources)]
        return cls(len(entries), manifest.windows_seen, manifest.windows_kept, len(manifest.segments),
                   sum(exposure_mhz_h(entry, scan) for entry in entries),
                   sum(not may_be_observed(entry.header) for entry in entries),
                   share_skipped(Coverage.of(entry.tiling(scan.grid)) for entry in entries), _by_view(manifest))


def _by_view(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Count sources and windows of each averaged view."""
    held: dict[str, list[SourceEntry]] = {}
    for source_id, entry in manifest.sources.items():
        held.setdefault(view_of(source_id), []).append(entry)
    held.pop(PLAIN.name, None)
    return {name: {"sources": len(held[name]), "windows_seen": sum(entry.windows_seen for entry in held[name]),
                   "windows_kept": sum(entry.windows_kept for entry in held[name])}
            for name in sorted(held, key=lambda name: View.named(name).order)}


def exposure_mhz_h(entry: SourceEntry, scan: ScanConfig) -> float:
    """Return the bandwidth × time of a source that was searched, in MHz h. Where windows overlap, it counts once.

    Windows that are masked count as windows of mean size. The result is 0 if the frequencies are probably in hertz,
    because it would be a million times too large.
    """
    if not may_be_observed(entry.header):
        return 0.0
    tiling = replace(entry.tiling(scan.grid), f_start_mhz=scan.f_start_mhz, f_stop_mhz=scan.f_stop_mhz)
    samples = entry.windows_seen * samples_per_window(tiling)
    return samples * entry.header.channel_width_mhz * entry.header.tsamp_s / 3600


@dataclass(frozen=True, slots=True)
class NightReport:
    """Report of a nightly run."""

    corpus: Path
    data: tuple[str, ...]
    host: str
    began: datetime
    ended: datetime
    exit_code: int
    steps: tuple[Step, ...]
    done: tuple[str, ...]
    """Paths of the files that were ingested tonight."""
    counts: Mapping[str, int]
    """Status → number of files."""
    wrong: tuple[Wrong, ...]
    """Files that could not be used, tonight or in earlier nights."""
    left: tuple[str, ...]
    """Messages about files that were still changing."""
    missing: tuple[str, ...]
    """Paths of ``data`` that do not exist, perhaps because their disk is not mounted."""
    warnings: tuple[str, ...]
    """What is wrong with ``data`` and stops no file: links that lead nowhere, folders without a filterbank file."""
    ingest: Mapping[str, Any]
    """What ``ingest --json`` says, without its sources; empty if ingest failed."""
    partly_read: tuple[str, ...]
    """What there is to know of files that were ingested although something is wrong with them."""
    remarks: tuple[str, ...]
    """What is odd about the headers of ingested files: one line for each remark, with the files it concerns."""
    partly_covered: tuple[Mapping[str, Any], ...]
    """Path, and number of channels and spectra in no window, of each ingested file that has any."""
    moved: tuple[Mapping[str, str], ...]
    """``source``, ``path`` and ``was_at`` of each source whose file has another path now."""
    grown: tuple[Mapping[str, Any], ...]
    """``path`` of each ingested file that is longer now, and the sources whose place it takes (``replaces``)."""
    before: Size
    after: Size
    new_sources: tuple[str, ...]
    """Ids of sources that no earlier report has."""
    verified: Mapping[str, Any]
    novelty: tuple[Novelty, ...] = ()
    families: FamilyNews | None = None
    """Families that are new tonight or have grown; None if none were looked for."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """``html`` and ``json`` → path of the written report."""

    @property
    def date(self) -> str:
        """The date on which the night began, in UTC, as in the names of its files."""
        return night_of(self.began)

    @property
    def headline(self) -> str:
        """The night in one line."""
        failed = [step.name for step in self.steps if step.status == "failed"]
        tonight = sum(wrong.tonight for wrong in self.wrong)
        damaged = len(self.verified.get("damages", ()))
        clusters = sum(len(novelty.clusters) for novelty in self.novelty)
        parts = [f"{counted(len(self.done), 'file')} ingested" if self.done else "nothing new"]
        if any(not novelty.not_judged for novelty in self.novelty):
            parts.append(counted(clusters, "novel cluster"))
        if self.families is not None and self.families.new:
            parts.append(f"{len(self.families.new):,} new {'family' if len(self.families.new) == 1 else 'families'}")
        for count, noun, what in (
                (len(self.moved), "file", "moved"), (len(self.left), "file", "still changing"),
                (tonight, "file", "failed"), (len(self.wrong) - tonight, "file", "failed before"),
                (damaged, "object", "damaged"), (len(self.missing), "path", "missing")):
            parts += [f"{counted(count, noun)} {what}"] if count else []
        parts += [counted(len(self.warnings), "warning")] if self.warnings else []
        return "; ".join([*parts, *(f"{name} failed" for name in failed)])

    @property
    def rates(self) -> dict[str, float]:
        """Windows and bytes per second of tonight's ingest, and the bandwidth × time that it searched."""
        seconds = max(float(self.ingest.get("elapsed_s", 0.0)), 1e-3)
        return {"windows_per_s": round(self.ingest.get("windows_seen", 0) / seconds, 1),
                "bytes_per_s": round(self.ingest.get("bytes_decoded", 0) / seconds, 1),
                "exposure_mhz_h": round(self.after.exposure_mhz_h - self.before.exposure_mhz_h, 9)}

    def to_json(self) -> dict[str, Any]:
        """Return the report as a record for scripts."""
        return {
            "headline": self.headline, "exit_code": self.exit_code, "corpus": str(self.corpus),
            "data": list(self.data), "host": self.host, "began": _utc(self.began), "ended": _utc(self.ended),
            "steps": [asdict(step) for step in self.steps], "files": dict(self.counts), "done": list(self.done),
            "wrong": [asdict(wrong) for wrong in self.wrong], "left": list(self.left),
            "missing": list(self.missing), "warnings": list(self.warnings), "ingest": dict(self.ingest),
            "partly_read": list(self.partly_read), "remarks": list(self.remarks),
            "partly_covered": [dict(one) for one in self.partly_covered],
            "moved": [dict(one) for one in self.moved], "grown": [dict(one) for one in self.grown],
            "rates": self.rates, "before": asdict(self.before), "after": asdict(self.after),
            "new_sources": list(self.new_sources), "verified": dict(self.verified),
            "novelty": [novelty.to_json() for novelty in self.novelty],
            "families": self.families and self.families.to_json(),
            "written": {kind: str(path) for kind, path in self.files.items()},
        }

    def to_html(self) -> str:
        """Return the report as an HTML page that contains its pictures."""
        from jinja2 import Environment, StrictUndefined

        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters.update(shown=shown, utc=_utc, number=_number, rough=_rough, counted=counted,
                                   png=lambda picture: base64.b64encode(picture).decode("ascii"))
        template = resources.files("pipeline.nightly").joinpath("report.html.j2").read_text(encoding="utf-8")
        return environment.from_string(template).render(night=self, artefacts=ARTEFACTS, mending=mending)


def free_name(folder: Path, began: datetime) -> str:
    """Return the date of a night, followed by a number if that date has a report already."""
    name = date = night_of(began)
    count = 1
    while (folder / f"{name}.json").exists():
        count += 1
        name = f"{date}-{count}"
    return name


def write_report(folder: Path, report: NightReport) -> None:
    """Write a report under its date, and again as ``latest``.

    Raises
    ------
    RunError
        It cannot be written. The message has its headline, which is written nowhere else.
    """
    contents = {"html": report.to_html().encode("utf-8", "backslashreplace"),
                "json": json.dumps(report.to_json(), indent=1, allow_nan=False).encode("ascii")}
    with name_unwritable(folder, f"the night is over ({report.headline}), but "):
        make_folder(folder)
        for kind, content in contents.items():  # the JSON last: free_name looks for it
            write_atomic(report.files[kind], content)
            write_atomic(folder / f"latest.{kind}", content)


@contextmanager
def name_unwritable(folder: Path, before: str = "") -> Iterator[None]:
    """Turn an error of the disk into a :class:`RunError` that names the folder of the reports and the cause."""
    try:
        yield
    except PipelineError:
        raise
    except OSError as error:
        raise RunError(f"{error.filename or folder}: {before}a report cannot be written there ({cause_of(error)}); "
                       "make room, or correct the permissions, or name another folder with --report-dir") from error


def night_of(began: datetime) -> str:
    """Return the name of a night: the date on which it began, in UTC."""
    return f"{began:%Y-%m-%d}"


def _utc(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _rough(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
