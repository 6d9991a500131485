"""``lookalike label`` and ``lookalike labels``."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Lookalike


@pytest.fixture
def own(corpus: Path, tmp_path: Path) -> Path:
    """A corpus that a test may label."""
    shutil.copytree(corpus, tmp_path / "own")
    return tmp_path / "own"


def test_labels_are_given_listed_shown_with_hits_exported_and_undone(
    lookalike: Lookalike, own: Path, kept: str, tmp_path: Path
) -> None:
    best = lookalike("search", "--corpus", own, "--window", kept, "-k", "1", "--json").json["hits"][0]
    other = f"{best['source']}/{best['window']}"
    assert lookalike("labels", "--corpus", own).out == "0 labels\n"

    given = lookalike("label", "--corpus", own, kept, other, "--as", "comb", "--by", "ann")
    assert (given.code, given.out) == (0, "2 windows labelled comb\n")
    again = lookalike("label", "--corpus", own, other, "--as", "comb")
    assert again.out == "0 windows labelled comb; 1 had this label before\n"
    assert "    labelled comb\n" in lookalike("search", "--corpus", own, "--window", kept, "-k", "1").out
    listed = lookalike("labels", "--corpus", own)
    assert listed.out.startswith("2 labels\nlabel  ")
    assert {line.split()[-1] for line in listed.out.splitlines()[2:]} == {kept, other}
    lookalike("search", "--corpus", own, "--like", "comb").assert_refused(2, "but is a label: give label:comb")
    exported = lookalike("labels", "--corpus", own, "--csv").out
    assert [(row["label"], row["who"]) for row in csv.DictReader(exported.splitlines())] == [("comb", "ann")] * 2
    assert [one["label"] for one in lookalike("labels", "--corpus", own, "--text", "COMB", "--json").json["labels"]
            ] == ["comb", "comb"]
    assert lookalike("labels", "--corpus", own, "--text", "line").out == "0 labels\n"

    undone = lookalike("label", "--corpus", own, "--undo", "--by", "ann")
    assert undone.out.startswith("undone; lookalike label --undo ")
    assert lookalike("labels", "--corpus", own).out == "0 labels\n"
    (tmp_path / "l.csv").write_text(exported)
    assert lookalike("labels", "--corpus", own, "--import", tmp_path / "l.csv").out.startswith("2 new labels of ")
    assert lookalike("labels", "--corpus", own, "--import", tmp_path / "l.csv").out.startswith("0 new labels of ")


def test_a_search_and_a_count_keep_to_labels(lookalike: Lookalike, own: Path, kept: str) -> None:
    first, second = lookalike("search", "--corpus", own, "--window", kept, "-k", "2", "--json").json["hits"]
    names = [f"{hit['source']}/{hit['window']}" for hit in (first, second)]
    lookalike("label", "--corpus", own, names[0], "--as", "comb")

    def found(*options: str) -> list[str]:
        hits = lookalike("search", "--corpus", own, "--window", kept, "-k", "1", "--json", *options).json["hits"]
        return [f"{hit['source']}/{hit['window']}" for hit in hits]

    assert (found("--label", "COMB"), found("--not-label", "comb")) == (names[:1], names[1:])
    left = lookalike("search", "--corpus", own, "--window", kept, "--label", "comb")
    assert "note: labels leave out " in left.err
    assert left.out.startswith("1 hit among 1 of ")
    lookalike("search", "--corpus", own, "--window", kept, "--not-label", "comp").assert_refused(
        2, "--not-label comp: no window has this label; near ones are 'comb'")
    lookalike("search", "--corpus", own, "--window", kept, "--label", " ").assert_refused(
        2, "only_label: a text is empty")
    assert lookalike("occurrence", "--corpus", own, "--label", "comb", "--json").json["windows_counted"] == 1


def test_what_cannot_be_labelled_is_refused(lookalike: Lookalike, own: Path, kept: str, tmp_path: Path) -> None:
    def label(*arguments: str | Path) -> object:
        return lookalike("label", "--corpus", own, *arguments)

    label(kept).assert_misused("give one of --as and --undo")
    label("--as", "x").assert_misused("give the windows to label, each as SOURCE/NUMBER")
    label("nothing/1", "--as", "x").assert_refused(2, "nothing")
    label(kept, "--as", "a\nb").assert_refused(2, "'a\\nb' cannot be a label: give 1 to 200 characters on one line")
    label("--undo").assert_refused(2, "has given no label that is not undone")
    label("--undo", "7").assert_refused(2, "has no entry 7")
    lookalike("labels", "--corpus", own, "--csv", "--json").assert_misused("choose one of")
    lookalike("labels", "--corpus", own, "--import", tmp_path / "no.csv").assert_refused(2, "no.csv")


def test_a_search_is_refined_by_examples_and_says_what_to_label_next(
    lookalike: Lookalike, own: Path, kept: str
) -> None:
    first = lookalike("search", "--corpus", own, "--window", kept, "-k", "3", "--json").json["hits"]
    like, unlike = (f"{hit['source']}/{hit['window']}" for hit in first[:2])
    lookalike("label", "--corpus", own, kept, like, "--as", "comb")

    said = lookalike("search", "--corpus", own, "--like", "label:comb", "--unlike", unlike, "--to-label", "2")

    assert said.code == 0, said
    assert "score: cosine with what 2 examples of --like have in common and others lack, among them 1 of --unlike" in (
        said.out)
    assert [line.split()[0] for line in said.out.partition("to label next:\n")[2].splitlines()] == [
        "borderline", "random"]
    record = lookalike("search", "--corpus", own, "--window", kept, "--like", like, "--unlike", unlike, "--to-label",
                       "2", "--json").json
    assert (record["query"]["like"], record["query"]["unlike"]) == (2, 1)
    assert [one["why"] for one in record["to_label"]] == ["borderline", "random"]
    shown = {f"{hit['source']}/{hit['window']}" for hit in record["hits"]}
    assert not shown & {kept, like, unlike}
    plain = lookalike("search", "--corpus", own, "--window", kept, "--to-label", "2")
    plain.assert_misused("--to-label goes with --like or --unlike")
    lookalike("search", "--corpus", own, "--like", kept, "--rerank").assert_misused(
        "--rerank does not go with --like and --unlike")
    lookalike("search", "--corpus", own, "--like", "label:line").assert_refused(2, "labels are comb")
