"""Text tables of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.evaluate.gating import OperatingCurve
from pipeline.evaluate.labelled_scores import Estimate, Means
from pipeline.evaluate.metrics import Scores
from pipeline.evaluate.published import FIGURES, PublishedScores
from pipeline.evaluate.refine import LABELS, names_of
from pipeline.evaluate.report import Report
from pipeline.evaluate.retrieval import Retrieval
from pipeline.evaluate.scales import ScaleScores
from pipeline.evaluate.sets import SetSpec
from pipeline.evaluate.steps import MIN_FOUND_SHARE, StepCurve

SHOWN_MISTAKES = 10
"""Number of mistakes among labelled windows that are listed."""

Rows = Sequence[Sequence[str]]


def format_report(report: Report) -> list[str]:
    """Return the lines of all tables, and of the list of what was not measured."""
    out: list[str] = []
    sections = (_speed, _retrieval, _families, _rerank, _published, _steps, _depth, _scales,
                _answers, _refine, _coverage, _gate, _notebook, _real, _labelled)
    for section in sections:
        made = list(section(report))
        out += made if not made or not made[-1] else [*made, ""]
    out += [f"not measured: {name}: {reason}" for name, reason in report.not_measured.items()]
    return out if report.not_measured else out[:-1]


def format_table(head: Sequence[str], rows: Rows) -> list[str]:
    """Return the lines of a table; the first column is aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()

    return [line(head), *(line(row) for row in rows)]


def _speed(report: Report) -> Iterator[str]:
    if not report.speed:
        return
    head, rows = ["encoder", "windows/s"], [[name, f"{one.windows_per_s:,.0f}"] for name, one in report.speed.items()]
    if slowest := report.speed.get("resnet50"):
        head.append("× resnet50")
        for row, one in zip(rows, report.speed.values(), strict=True):
            row.append(f"{one.windows_per_s / slowest.windows_per_s:,.0f}")
    yield "Speed, in batches"
    yield from format_table(head, rows)


def _retrieval(report: Report) -> Iterator[str]:
    for name, results in report.retrieval.items():
        yield f"Retrieval: {name}"
        rows = [[_set_name(one.spec), *_scores(one.overall), *_scores(one.expanded)[1:]] for one in results]
        yield from format_table([*_SCORES_HEAD, *(f"expanded: {_SCORES_HEAD[2]}", *_SCORES_HEAD[3:])], rows)
        yield ""


def _families(report: Report) -> Iterator[str]:
    """Make one table of mAP for the named families at the usual strength, with a column per encoder."""
    by_encoder = {name: _by_family(results) for name, results in report.retrieval.items()}
    families = list(dict.fromkeys(family for found in by_encoder.values() for family in found))
    if families:
        yield "mAP by family, SNR 6–60: families of the catalogue, then families unseen in training"
        rows = [[family, *(_share(found.get(family)) for found in by_encoder.values())] for family in families]
        yield from format_table(["family", *by_encoder], rows)


def _by_family(results: Sequence[Retrieval]) -> dict[str, float]:
    named = [one for kind in ("catalogue", "unseen") for one in results
             if one.spec.families == kind and one.spec.snr == (6.0, 60.0)]
    return {family: found.mean_average_precision for one in named for family, found in one.by_family.items()}


def _rerank(report: Report) -> Iterator[str]:
    for name, results in report.rerank.items():
        yield f"Re-ranking (search --rerank): {name}; mAP and P@5 by vectors, by correlation, and by both"
        rows = [[_set_name(one.spec), *(_share(value) for found in (one.vectors, one.correlation, one.both)
                                        for value in (found.mean_average_precision, found.precision_at_5))]
                for one in results]
        yield from format_table(["", *("vectors", "P@5", "correlation", "P@5", "both", "P@5")], rows)
        yield ""


def _answers(report: Report) -> Iterator[str]:
    for name, results in report.answers.items():
        yield f"Significance: {name}; unrelated hits where 1 and 0.1 are expected, and what is called convincing"
        rows = [[one.name, f"{one.windows:,.0f}", str(one.queries),
                 *(f"{value:.2f}" for value in (one.at_one, one.at_tenth, one.found, one.kin, one.pure, one.quiet,
                                                one.false, one.decoys))] for one in results]
        yield from format_table(["", "windows", "queries", "at 1", "at .1", "found", "kin", "pure", "quiet", "false",
                                 "decoys"], rows)
        yield "found: queries with five kin or more that get a convincing hit. kin: median share of these kin that"
        yield "convince. pure: convincing hits that are kin. quiet: queries without kin with nothing convincing. false:"
        yield "share of unrelated hits among those with q ≤ 0.1. decoys: their hits where 1 is expected."
        yield ""


def _refine(report: Report) -> Iterator[str]:
    for name, results in report.refine.items():
        yield f"Refined by labels (search --like, --unlike): {name}; P@10 and mAP of the query alone → with labels"
        rows = [[title, *(cell for one in results if one.name == title for cell in (
            f"{one.plain_at_10:.2f} → {one.refined_at_10:.2f}", f"{one.plain:.2f} → {one.refined:.2f}"))]
            for title in names_of(results)]
        yield from format_table(["", *(head for count in LABELS for head in (f"{count} labels", "mAP"))], rows)
        yield ""


def _coverage(report: Report) -> Iterator[str]:
    if report.coverage:
        yield "Occurrence: share of simulated archives whose interval of 95 % covers the truth"
        rows = [[f"{one.mean:g}", f"{one.rate:.3f}", f"{one.share:.3f}"] for one in report.coverage]
        yield from format_table(["expected emitters", "rate", "share of scans"], rows)


def _published(report: Report) -> Iterator[str]:
    if not report.published:
        return
    yield "Published protocol: 100 injected classes, on noise only and on interference"
    rows = [[name, *_published_cells(one)] for name, one in report.published.items()]
    for one in FIGURES:
        spread = "" if one.spread is None else f"{one.spread:.2f}"
        accuracy = "" if one.disentanglement is None else f"{one.disentanglement:.3f}"
        rows.append([f"{one.name} (published)", "", "", "", one.silhouette, "", spread, accuracy])
    head = ["silhouette", "cosine", "spread", "interf.: silhouette", "cosine", "spread", "4-way accuracy"]
    yield from format_table(["", *head], rows)


def _published_cells(one: PublishedScores) -> list[str]:
    clusters = [f"{value:.3f}" if i < 2 else f"{value:.2f}" for c in (one.clean, one.busy)
                for i, value in enumerate((c.silhouette, c.silhouette_cosine, c.spread))]
    return [*clusters, f"{one.disentanglement:.3f}"]


def _steps(report: Report) -> Iterator[str]:
    for name, curve in report.step.items():
        yield f"Step: {name}; {curve.on_boundary} of {curve.signals} signals lie on a boundary of the 256-channel grid"
        rows = [[str(one.step), f"{one.cost:.2f}", *map(_share, (one.found, one.found_on_boundary, one.recalled,
                                                                one.recalled_on_boundary))] for one in curve.steps]
        yield from format_table(["step", "cost", "found", "on boundary", "recalled", "on boundary"], rows)
        yield _recommended(curve)
        yield ""


def _recommended(curve: StepCurve) -> str:
    asked = f"{100 * MIN_FOUND_SHARE:.0f} % of those on a boundary"
    if curve.recommended is None:
        return f"no step finds {asked}"
    return f"cheapest step that finds {asked}: {curve.recommended}"


def _depth(report: Report) -> Iterator[str]:
    if not report.depth:
        return
    yield "Depth of cutouts, mixed kinds, SNR 6–60"
    rows = [[f"{name}, {'float32' if one.bits == 32 else f'{one.bits} bits'}", *_scores(one.scores)]
            for name, depths in report.depth.items() for one in depths]
    yield from format_table(_SCORES_HEAD, rows)


def _scales(report: Report) -> Iterator[str]:
    for name, found in report.scales.items():
        yield f"Patterns of many sizes, seen through views, SNR 6–60: {name}"
        head = ["", "width, Hz", "length, s", "view", "patterns", "kept", "P@5", "recall", "kind@5"]
        yield from format_table(head, [_scale(one) for one in found])
        yield ""


def _scale(one: ScaleScores) -> list[str]:
    shares = map(_share, (one.kept, one.precision_at_5, one.recall, one.kind_at_5))
    return [f"{one.product} {one.kind}", f"{one.size.width_hz:g}", f"{one.size.duration_s:.3g}", one.view or "1x",
            f"{one.patterns}", *shares]


def _gate(report: Report) -> Iterator[str]:
    if report.gate is None:
        return
    curve: OperatingCurve = report.gate
    yield f"Gate: share of windows kept, by SNR per bin; {curve.per_cell} windows per family and strength"
    head = ["false alarms set", "measured", *(f"{snr:g}" for snr in curve.snrs)]
    yield from format_table(head, [
        [f"{one.false_alarm:g}", f"{one.false_alarm_measured:.2e}", *map(_share, one.overall)] for one in curve.points])
    usual = min(curve.points, key=lambda one: abs(one.false_alarm - 1e-3))
    yield ""
    yield from format_table([f"at {usual.false_alarm:g}", *head[2:]],
                            [[family, *map(_share, shares)] for family, shares in usual.by_family.items()])


def _notebook(report: Report) -> Iterator[str]:
    if report.notebook:
        yield "The notebook, and encoders on the same windows"
        yield from format_table(_SCORES_HEAD, [[name, *_scores(one)] for name, one in report.notebook.items()])


def _real(report: Report) -> Iterator[str]:
    for name, checks in report.real.items():
        yield f"Real signals among noise and unrelated signals: {name}"
        for one in checks:
            yield f"{'yes' if one.passed else 'NO '}  {one.question}"
            yield f"     first: {', '.join(one.first)}; ranks: {_ranks(one.ranks)}"
        yield ""


def _labelled(report: Report) -> Iterator[str]:
    for name, forms in report.labelled.items():
        yield f"Real windows, labelled by eye: {name}; in brackets bootstrap intervals of 95 %"
        yield from format_table(_MEANS_HEAD, [
            [f"{one.form}; mean over {over}", *_means(means)] for one in forms for over, means in one.means.items()])
        yield ""
        yield f"{name}, expanded queries (search --expand) less plain ones"
        yield from format_table(_MEANS_HEAD, [
            [f"{one.form}; mean over {over}", *_means(means, "+.3f")]
            for one in forms for over, means in one.by_expansion.items()])
        yield ""
        for other in forms[0].differences:
            yield f"{name} less {other}"
            yield from format_table(_MEANS_HEAD, [
                [f"{one.form}; mean over {over}", *_means(means, "+.3f")]
                for one in forms for over, means in one.differences[other].items()])
            yield ""
        yield f"{name}, by kind: P@1, P@5 and mAP, {', then '.join(one.form for one in forms)}"
        rows = [[kind, f"{forms[0].by_kind[kind].queries}", *(
            _share(value.value) for one in forms for value in _three(one.by_kind[kind]))] for kind in forms[0].by_kind]
        yield from format_table(["kind", "queries", *["P@1", "P@5", "mAP"] * len(forms)], rows)
        yield ""
        yield f"{name}, worst mistakes, {forms[0].form}: query, wrong first answer, best right answer and its rank"
        for one in forms[0].mistakes[:SHOWN_MISTAKES]:
            yield (f"{one.kind} {one.query}  {one.wrong_score:.3f} {one.wrong_kind} {one.wrong}  "
                   f"{one.right_score:.3f} {one.right} ({one.right_rank})")
        yield ""


def _means(means: Means, form: str = ".3f") -> list[str]:
    return [f"{means.queries}",
            *(f"{one.value:{form}} ({one.low:{form}} to {one.high:{form}})" for one in _three(means))]


def _three(means: Means) -> tuple[Estimate, Estimate, Estimate]:
    return means.precision_at_1, means.precision_at_5, means.mean_average_precision


def _ranks(ranks: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {rank}" for name, rank in ranks.items())


_MEANS_HEAD = ["", "queries", "P@1", "P@5", "mAP"]
_SCORES_HEAD = ["", "queries", "mAP", "R-prec.", "P@5", "noise@5"]


def _scores(one: Scores) -> list[str]:
    shares = (one.mean_average_precision, one.r_precision, one.precision_at_5, one.noise_at_5)
    return [f"{one.queries}", *map(_share, shares)]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _set_name(spec: SetSpec) -> str:
    return f"{spec.name}, SNR {spec.snr[0]:g}–{spec.snr[1]:g}"
