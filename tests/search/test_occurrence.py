"""How often, when and where a pattern occurs in a simulated cadence of known signals."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ParameterError
from pipeline.run import embed
from pipeline.search import Corpus, Filters, SearchRequest, open_corpus
from pipeline.search.unrelated import Unrelated
from tests.cli.conftest import Lookalike, lookalike
from tests.fixtures.old_corpus import unpacked
from tests.search.cadence import SIGNALS, WIDTH, make_cadence

__all__ = ["lookalike"]

CHANNEL_MHZ = 2.7939677238464355e-06
SCAN_H = 16 * 18.253611008 / 3600


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_cadence(tmp_path_factory.mktemp("occurrence"))
    embed(folder, encoder="spectral", serial=True)
    return folder


@pytest.fixture(scope="module")
def corpus(root: Path) -> Corpus:
    return open_corpus(root, encoder="spectral")


def scans(corpus: Corpus) -> list[str]:
    return sorted(corpus._corpus.manifest.sources)


def steady(corpus: Corpus) -> str:
    """Return the window of the first scan that holds the steady line."""
    return f"{scans(corpus)[0]}/{SIGNALS['steady'][1]}"


def test_all_signals_are_divided_by_all_that_was_searched(corpus: Corpus) -> None:
    found = corpus.occurrence()
    kept = {one: corpus._corpus.numbers(one) for one in scans(corpus)}
    assert found.windows_counted == sum(map(len, kept.values()))
    assert found.windows_searched == 7 * WIDTH // 256
    assert found.whole.exposure_mhz_h == pytest.approx(7 * WIDTH * CHANNEL_MHZ * SCAN_H)
    by_target = {row.bin.label: row for row in found.tables["target"]}
    assert {name: row.scans for name, row in by_target.items()} == {"A": 4, "B": 1, "C": 1, "D": 1}
    dates = [row for row in found.tables["date"] if row.is_observed]
    assert [(row.bin.label, row.scans) for row in dates] == [("2020-05-31", 6), ("2020-06-01", 1)]


def test_the_windows_of_a_pattern_are_those_of_its_convincing_hits(corpus: Corpus) -> None:
    window = steady(corpus)
    hits = [hit for hit in corpus.search(window=window, k=100)]
    request = SearchRequest(window=window, min_score=hits[len(hits) // 2].score)
    found = corpus.occurrence(request)
    named = {(hit.source_id, number) for hit in corpus.search(window=window, k=100, min_score=request.min_score)
             for number in (hit.window.number, *hit.merged) if hit.source_id != scans(corpus)[0]}
    assert found.windows_counted == len(named) > 3
    assert found.whole.scans == 6, "the scan of the query is left out"
    assert "1 scan left out" in found.notes[0]
    with_query = corpus.occurrence(request, with_query=True)
    assert with_query.whole.scans == 7
    assert with_query.windows_counted > found.windows_counted
    convincing = corpus.occurrence(SearchRequest(window=window))
    assert "its hit is convincing" in convincing.counts_if
    few = corpus.occurrence(SearchRequest(window=window, expected_below=1e-9))
    assert few.windows_counted <= convincing.windows_counted


def test_filters_restrict_what_was_searched_as_well(corpus: Corpus) -> None:
    tiling = corpus._corpus.tiling(scans(corpus)[0])
    low, high = (tiling.header.channel_edge_mhz(256 * window) for window in (4, 14))
    whole, part = corpus.occurrence(), corpus.occurrence(filters=Filters(only_mhz=((low, high),), only_target=("A",)))
    assert part.whole.scans == 4
    assert part.windows_searched == 4 * 10
    assert part.whole.exposure_mhz_h == pytest.approx(whole.whole.exposure_mhz_h * 4 * 10 / (7 * WIDTH // 256))
    rest = corpus.occurrence(filters=Filters(not_mhz=((low, high),), only_target=("A",)))
    of_target = corpus.occurrence(filters=Filters(only_target=("A",)))
    assert part.whole.exposure_mhz_h + rest.whole.exposure_mhz_h == pytest.approx(of_target.whole.exposure_mhz_h)
    assert part.windows_counted + rest.windows_counted == of_target.windows_counted
    day = corpus.occurrence(filters=Filters(after_mjd=59_000.9))
    assert (day.whole.scans, day.bands_mhz) == (1, whole.bands_mhz)


def test_nothing_seen_says_what_was_searched(corpus: Corpus) -> None:
    found = corpus.occurrence(SearchRequest(window=steady(corpus), min_score=1.0))
    assert found.whole.emitters == 0
    assert found.statement.endswith("emitters per MHz h (95 %)")
    assert f"not seen in {6 * WIDTH // 256} windows of 6 scans" in found.statement
    assert found.sensitivity is not None
    assert "would have been kept with a probability of at least 95 %" in found.words_of_sensitivity


def test_given_windows_count(corpus: Corpus) -> None:
    names = [f"{one}/{SIGNALS['steady'][1]}" for one in scans(corpus)[:3]]
    found = corpus.occurrence(windows=names, by=["target"])
    assert (found.whole.scans, found.whole.scans_with, found.windows_counted) == (7, 3, 3)
    assert found.whole == corpus.occurrence(windows=[(name.rpartition("/")[0], SIGNALS["steady"][1])
                                                     for name in names]).whole
    assert corpus.occurrence(windows=[]).statement.endswith("not observed; nothing was searched")


def test_windows_with_a_label_count(corpus: Corpus) -> None:
    names = [f"{one}/{SIGNALS['steady'][1]}" for one in scans(corpus)[:3]]
    every = corpus.occurrence().windows_counted
    corpus.labels.add(names[:2], "carrier")
    try:
        found = corpus.occurrence(filters=Filters(only_label=("carrier",)))
        assert (found.windows_counted, found.whole.scans, found.whole.scans_with) == (2, 7, 2)
        assert f"labels leave out {every - 2} of {every} windows" in found.notes
        left = corpus.occurrence(windows=names, filters=Filters(not_label=("carrier",)))
        assert (left.windows_counted, left.whole.scans_with) == (1, 1)
        hits = corpus.occurrence(SearchRequest(window=names[2], filters=Filters(only_label=("carrier",))))
        assert hits.whole.scans_with == 2
    finally:
        corpus.labels.undo()


def test_corpora_of_earlier_versions_are_counted(tmp_path: Path) -> None:
    old = open_corpus(unpacked(tmp_path, "routed"))
    found = old.occurrence()
    assert found.windows_counted == found.windows_searched > 0, "this corpus keeps all windows"
    assert found.sensitivity is None
    assert found.statement.startswith("windows of any kind: seen in 1 of 1 scan ")
    assert "keeps all windows" in found.notes[0]


def test_what_cannot_be_counted_is_refused(
    root: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = SearchRequest(window=steady(corpus))
    for settings, words in (({"by": ["year"]}, "got 'year'"), ({"bin_mhz": 0}, "must be above 0"),
                            ({"emitter_khz": -1}, "must be 0 or more"), ({"colour": 1}, "colour"),
                            ({"bin_mhz": 1e-9}, "bins, and at most")):
        with pytest.raises(ParameterError, match=words):
            corpus.occurrence(request, **settings)
    with pytest.raises(ParameterError, match="do not go with a count"):
        corpus.occurrence(SearchRequest(window=steady(corpus), per_file=1))
    with pytest.raises(ParameterError, match="filters of its own"):
        corpus.occurrence(request, filters=Filters())
    monkeypatch.setattr("pipeline.search.figures.unrelated_of", lambda *_: Unrelated(reason="there are none"))
    with pytest.raises(ParameterError, match=r"which hits count is unknown.*min_score"):
        open_corpus(root).occurrence(request)


def test_the_command_prints_tables_json_csv_and_a_picture(lookalike: Lookalike, root: Path, corpus: Corpus,
                                                          tmp_path: Path) -> None:
    picture = tmp_path / "rates.png"
    ran = lookalike("occurrence", "--corpus", root, "--plot", picture)
    found = corpus.occurrence()
    assert ran.out.splitlines()[0] == found.statement
    assert "not observed" in ran.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    record = lookalike("occurrence", "--corpus", root, "--json").json
    assert record == found.to_json()
    rows = list(csv.DictReader(io.StringIO(lookalike("occurrence", "--corpus", root, "--csv").out)))
    assert [row["by"] for row in rows][:2] == ["all", "frequency"]
    assert sum(int(row["emitters"]) for row in rows if row["by"] == "target") == found.whole.emitters
    empty = [row for row in rows if row["observed"] == "False"]
    assert {row["rate_per_mhz_h"] for row in empty} == {""}
    of_query = lookalike("occurrence", "--corpus", root, "--window", steady(corpus), "--encoder", "spectral",
                         "--min-score", "0.5", "--by", "local hour", "--json").json
    assert list(of_query["by"]) == ["local hour"]
    assert of_query["counts_if"] == "its score is at least 0.5"
    array = tmp_path / "pattern.npy"
    np.save(array, np.ones((16, 256)) + np.eye(16, 256))
    assert lookalike("occurrence", "--corpus", root, "--npy", array, "--encoder", "spectral", "--min-score", "0.9",
                     "--only-target", "A", "--json").json["all"]["scans"] == 4
    assert lookalike("occurrence", "--corpus", root, "--like", steady(corpus), "--encoder", "spectral", "--min-score",
                     "0.9", "--json").json["what"] != found.what
    own = lookalike("occurrence", "--corpus", root, "--window", steady(corpus), "--json").json  # by power-spectrum
    assert own["counts_if"].startswith("its hit is convincing")
