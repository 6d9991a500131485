"""Results as JSON, tables and picture."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from pipeline.errors import ConfigError
from pipeline.evaluate.depth import Depth
from pipeline.evaluate.gating import OperatingCurve, OperatingPoint
from pipeline.evaluate.labelled_scores import Estimate, FormScores, Means, Mistake
from pipeline.evaluate.metrics import Scores
from pipeline.evaluate.picture import _figure, _panels, draw
from pipeline.evaluate.published import Clusters, PublishedScores
from pipeline.evaluate.real import Check
from pipeline.evaluate.report import RANDOM, Report
from pipeline.evaluate.rerank import RerankScores
from pipeline.evaluate.retrieval import Retrieval
from pipeline.evaluate.scales import ScaleScores
from pipeline.evaluate.sets import SetSpec
from pipeline.evaluate.skies import Size
from pipeline.evaluate.speed import Speed
from pipeline.evaluate.steps import StepCurve, StepScores
from pipeline.evaluate.tables import format_report, format_table


def scored(value: float, queries: int = 10) -> Scores:
    return Scores(queries, value, 0.5, 0.25, 0.125)


def means(value: float) -> Means:
    return Means(9, *(Estimate(one, one - 0.125, one + 0.125) for one in (value, value / 2, value / 4)))


def form_scores(form: str, value: float, other: str = "") -> FormScores:
    mistake = Mistake(7, "comb", 8, "dense", 0.875, 9, 0.5, 12)
    return FormScores(form, {"queries": means(value)}, {"comb": means(value)}, {"queries": means(0.5)},
                      {other: {"queries": means(-value)}} if other else {}, (mistake,))


def full_report() -> Report:
    clusters = Clusters(0.25, 0.375, 1.5)
    unseen = SetSpec("unseen kinds", "unseen")
    return Report(
        seed=3, full=False, encoders={"one": "one-v1", "two": "two-v1"}, not_measured={"notebook": "no weights"},
        speed={"one": Speed(5000.0), "resnet50": Speed(10.0)},
        retrieval={name: [Retrieval(SetSpec("mixed kinds", snr=(2.0, 6.0)), scored(value), scored(0.9375),
                                    {"mixed-00": scored(value)}),
                          Retrieval(unseen, scored(value), scored(value), {"zigzag": scored(value - 0.5)})]
                   for name, value in (("one", 0.75), ("two", 0.625))},
        rerank={"one": [RerankScores(unseen, scored(0.5), scored(0.375), scored(0.875))]},
        published={"one": PublishedScores(clusters, clusters, 0.9375),
                   RANDOM: PublishedScores(clusters, Clusters(-0.02, float("nan"), 1.0), 0.25)},
        step={"one": StepCurve(8, 4, tuple(StepScores(step, 0.75, 0.5, 0.25, 0.125, 256 / step) for step in (64, 256)),
                               None)},
        depth={"one": [Depth(32, scored(0.5)), Depth(8, scored(0.4375)), Depth(4, scored(0.375))]},
        scales={"one": [ScaleScores(".0000", "comb", Size(3000.0, 292.0), "f4", 8, 0.875, 0.75, 0.5, 1.0)]},
        notebook={"notebook, cosine": scored(0.0625)},
        real={"one": [Check("a finds b", False, ("noise", "b"), {"b": 7})]},
        labelled={"one": [form_scores("cut", 0.75), form_scores("arrays", 0.5)],
                  "two": [form_scores("cut", 0.25, "one"), form_scores("arrays", 0.125, "one")]},
        gate=OperatingCurve((2.0, 6.0), 100, 1000,
                            (OperatingPoint(1e-3, 9.5e-4, (0.5, 1.0), {"steady": (0.25, 1.0)}),)),
        elapsed_s=12.0,
    )


def test_json_holds_every_figure_and_nothing_that_json_cannot() -> None:
    record = json.loads(json.dumps(full_report().to_json(), allow_nan=False))
    assert record["encoders"] == {"one": "one-v1", "two": "two-v1"}
    assert record["retrieval"]["two"][0]["overall"]["mean_average_precision"] == 0.625
    assert record["retrieval"]["one"][0]["spec"]["snr"] == [2, 6]
    assert record["published"][RANDOM]["busy"]["silhouette_cosine"] is None
    assert record["published_figures"][0] == {"name": "β-VAE", "silhouette": "-0.123", "spread": 2.16,
                                              "disentanglement": 0.877}
    assert record["step"]["one"]["steps"][1]["found_on_boundary"] == 0.5
    assert record["gate"]["points"][0]["by_family"]["steady"] == [0.25, 1]
    assert record["real"]["one"][0]["ranks"] == {"b": 7}
    assert record["labelled"]["two"][0]["differences"]["one"]["queries"]["precision_at_1"]["low"] == -0.375
    assert "published_figures" not in Report(0, False).to_json()


def test_tables_show_every_part() -> None:
    made = format_report(full_report())
    said = "\n".join(" ".join(line.split()) for line in made)
    for words in (
        "one 5,000 500",
        "encoder windows/s × resnet50",
        "resnet50 10 1",
        "mixed kinds, SNR 2–6 10 0.750 0.500 0.250 0.125 0.938 0.500 0.250 0.125",
        "zigzag 0.250 0.125",
        "unseen kinds, SNR 6–60 0.500 0.250 0.375 0.250 0.875 0.250",
        "one 0.250 0.375 1.50 0.250 0.375 1.50 0.938",
        "random vectors 0.250 0.375 1.50 -0.020 nan 1.00 0.250",
        "β-VAE (published)",
        "4 of 8 signals lie on a boundary",
        "no step finds 95 % of those on a boundary",
        "one, float32 10 0.500",
        "one, 4 bits 10 0.375",
        ".0000 comb 3000 292 f4 8 0.875 0.750 0.500 1.000",
        "0.001 9.50e-04 0.500 1.000",
        "steady 0.250 1.000",
        "notebook, cosine 10 0.062",
        "NO a finds b",
        "first: noise, b; ranks: b 7",
        "one, expanded queries (search --expand) less plain ones",
        "cut; mean over queries 9 +0.500 (+0.375 to +0.625) +0.250 (+0.125 to +0.375) +0.125 (+0.000 to +0.250)",
        "cut; mean over queries 9 0.750 (0.625 to 0.875) 0.375 (0.250 to 0.500) 0.188 (0.062 to 0.312)",
        "two less one",
        "arrays; mean over queries 9 -0.125 (-0.250 to +0.000)",
        "comb 9 0.750 0.375 0.188 0.500 0.250 0.125",
        "comb 7 0.875 dense 8 0.500 9 (12)",
        "not measured: notebook: no weights",
    ):
        assert words in said, said
    assert all(a or b for a, b in itertools.pairwise(made))  # no two consecutive blank lines


def test_tables_of_nothing_are_empty() -> None:
    assert format_report(Report(0, False)) == []


def test_columns_are_aligned() -> None:
    assert format_table(["", "b"], [["long name", "1"], ["x", "22,222"]]) == ["                b", "long name       1",
                                                                      "x          22,222"]


def test_picture_shows_what_was_measured(tmp_path: Path) -> None:
    whole = imread(draw(tmp_path / "whole.png", full_report()))
    one = imread(draw(tmp_path / "one.png", Report(0, False, depth=full_report().depth)))
    assert whole.shape[0] == 2 * one.shape[0]
    assert whole.shape[1] == 2 * one.shape[1]
    assert one.std() > 0.05


def test_legends_of_the_picture_cover_nothing() -> None:
    report = full_report()
    report.retrieval |= {f"trial {i}": report.retrieval["one"] for i in range(5)}  # the legend needs two rows
    figure = _figure([panel for panel, _ in _panels(report)], report)
    FigureCanvasAgg(figure).draw()
    assert len(figure.axes) == 4
    for axes in figure.axes:
        legend, title = axes.get_legend().get_window_extent(), axes.title.get_window_extent()
        assert axes.get_window_extent().y1 <= legend.y0 < legend.y1 <= title.y0


@pytest.mark.parametrize(("name", "report", "words"), [
    ("a.xyz", full_report(), "cannot draw a .xyz"),
    ("a.png", Report(0, False), "nothing to draw"),
    ("no/folder/a.png", full_report(), "cannot be written"),
])
def test_a_picture_that_cannot_be_drawn_is_refused(tmp_path: Path, name: str, report: Report, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        draw(tmp_path / name, report)
