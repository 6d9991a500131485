"""Several searches at once give what each gives by itself; and the forms that a query may have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ParameterError, QueryError
from pipeline.filterbank import open_filterbank
from pipeline.search import Corpus, Filters, SearchRequest, SearchResult
from pipeline.search.from_power import array_of
from pipeline.search.from_signal import signal_of, words_of_signal
from pipeline.simulate import FAMILIES, UNSEEN, Envelope, Signal
from tests.search.archive import Archive


def ranges(archive: Archive, path: Path) -> list[dict]:
    return [{"file": path, "f_start_mhz": one.f_start_mhz, "f_stop_mhz": one.f_stop_mhz} for one in archive.truth[path]]


def facts(result: SearchResult) -> list[tuple]:
    return [(hit.source_id, hit.window.number, hit.score, hit.merged, hit.copies, hit.on_off) for hit in result]


@pytest.fixture(scope="module")
def corpus(archive: Archive) -> Corpus:
    return archive.open()


def test_searches_together_give_what_each_gives_by_itself(archive: Archive, corpus: Corpus) -> None:
    window = "/".join(map(str, next(iter(archive.vectors()))))
    power = np.random.default_rng(0).standard_gamma(50, (16, 256))
    queries = [*ranges(archive, archive.outside)[:3], *ranges(archive, archive.two)[:2], window, power]
    for how in ({"k": 3, "exact": True}, {"expand": True, "per_file": 2}, {"each_window": True, "on_off": True}):
        together = corpus.search_many(queries, **how)
        alone = [corpus.search_many([query], **how)[0] for query in queries]
        assert len(together) == len(queries)
        assert list(map(facts, together)) == list(map(facts, alone))
        assert [one.description for one in together] == [one.description for one in alone]


def test_windows_are_cut_once_and_queries_encoded_together(
    archive: Archive, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, encoded = [], []
    from pipeline.search import draft, origin

    cut, embed = origin._cut, draft.embed
    monkeypatch.setattr(origin, "_cut", lambda *given: cuts.append(len(given[2])) or cut(*given))
    monkeypatch.setattr(draft, "embed", lambda *given: encoded.append(len(given[2])) or embed(*given))
    queries = ranges(archive, archive.outside)

    corpus.search_many([*queries, *queries])

    assert cuts == [len(queries)]  # all lie in a few coarse channels, and each window is cut once
    assert encoded == [2 * len(queries)]


def test_each_query_is_compared_with_unrelated_signals_once(
    archive: Archive, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    from pipeline.search import figures

    plain = figures._scores_of
    monkeypatch.setattr(figures, "_scores_of", lambda *given: compared.append(len(given[1])) or plain(*given))
    queries = ranges(archive, archive.outside)
    half = {"filters": Filters(not_mhz=((1.0, 2.0),))}

    found = corpus.search_many([*queries, *({**one, **half} for one in queries)])

    assert sorted(compared) == [len(queries)] * 2  # once for all windows, once for those that pass the filter
    for together, query in zip(found, queries, strict=False):  # products of several queries differ in their last bits
        expected = [hit.expected for hit in corpus.search(**query)]
        assert [hit.expected for hit in together] == pytest.approx(expected, rel=1e-3)


def test_progress_is_told(archive: Archive, corpus: Corpus) -> None:
    told: list[tuple[str, int, int]] = []
    queries = ranges(archive, archive.outside)

    corpus.search_many(queries, step=lambda *what: told.append(what))

    assert list(dict.fromkeys(what for what, _, _ in told)) == ["windows cut", "encoded", "searched"]
    assert [done for what, done, _ in told if what == "searched"] == list(range(len(queries)))


def test_a_query_that_cannot_be_used_is_named_and_stops_no_other(archive: Archive, corpus: Corpus) -> None:
    good = ranges(archive, archive.outside)[0]
    with pytest.raises(QueryError, match=r"query 1: gone\.h5: no such file"):
        corpus.search_many([good, {**good, "file": "gone.h5"}])

    answers = list(corpus.answers([SearchRequest(**good), SearchRequest(**{**good, "file": "gone.h5"}),
                                   SearchRequest(**good)]))

    assert [type(one) for one in answers] == [SearchResult, QueryError, SearchResult]
    assert facts(answers[0]) == facts(answers[2])


def test_a_hit_of_several_windows_resembles_any_of_them(archive: Archive, corpus: Corpus) -> None:
    stored = archive.vectors()
    names = list(stored)[:3]

    result = corpus.search(window=[f"{source}/{number}" for source, number in names], k=8, exact=True)

    own = np.array([stored[name] / np.linalg.norm(stored[name]) for name in names])
    for hit in result:
        vector = stored[hit.source_id, hit.window.number]
        assert hit.score == pytest.approx(float((own @ (vector / np.linalg.norm(vector))).max()), abs=1e-3)
        assert (hit.source_id, hit.window.number) not in names
    assert not result.description.arranged
    assert result.query["names"] == [f"{source}/{number}" for source, number in names]


def test_a_vector_finds_its_own_window_first(archive: Archive, corpus: Corpus) -> None:
    (source, number), vector = list(archive.vectors().items())[1]

    result = corpus.search(vector=3 * vector)

    assert (result[0].source_id, result[0].window.number) == (source, number)
    assert result[0].score == pytest.approx(1, abs=1e-3)
    assert result.plot().png.startswith(b"\x89PNG")
    assert facts(corpus.search_many([vector])[0]) == facts(corpus.search(vector=vector))


@pytest.mark.parametrize(("vector", "words"), [
    (np.ones(3), "numbers, got an array"), (np.zeros((1, 1)), "numbers, got"), ("far", "numbers, got")])
def test_other_vectors_are_refused(corpus: Corpus, vector: object, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        corpus.search(vector=vector)


def test_a_zero_vector_is_refused(archive: Archive, corpus: Corpus) -> None:
    with pytest.raises(QueryError, match="zero or not finite"):
        corpus.search(vector=np.zeros_like(next(iter(archive.vectors().values()))))


@pytest.mark.parametrize("which", ["outside", "two"])  # frequencies descend in one file, and ascend in the other
def test_a_waterfall_is_taken_as_it_is(archive: Archive, corpus: Corpus, which: str) -> None:
    blimpy = pytest.importorskip("blimpy")
    path = getattr(archive, which)
    one = archive.truth[path][0]
    waterfall = blimpy.Waterfall(str(path), f_start=one.f_start_mhz - 3e-4, f_stop=one.f_stop_mhz + 3e-4)
    result = corpus.search_many([waterfall])[0]

    assert (waterfall.header["foff"] < 0) == (which == "outside")
    assert result.description.shape == waterfall.data[:, 0].shape
    ascending = waterfall.data[:, 0, ::-1] if which == "outside" else waterfall.data[:, 0]
    assert facts(result) == facts(corpus.search(power=ascending))
    with open_filterbank(path) as file:  # our own reader gives ascending channels
        first = round(file.header.channel_at(one.f_start_mhz - 3e-4))
        spectra, channels = ascending.shape
        assert any(np.array_equal(array_of(waterfall), file.read(0, spectra, start, start + channels))
                   for start in range(first - 2, first + 3))


def test_a_waterfall_without_samples_is_refused(archive: Archive, corpus: Corpus) -> None:
    blimpy = pytest.importorskip("blimpy")
    with pytest.raises(QueryError, match="has no samples"):
        corpus.search(power=blimpy.Waterfall(str(archive.outside), load_data=False))


@pytest.mark.parametrize("query", [3, object(), [], np.zeros((2, 2, 2))])
def test_other_forms_are_refused(corpus: Corpus, query: object) -> None:
    with pytest.raises(ParameterError, match="a query is"):
        corpus.search_many([query])


def test_a_request_takes_no_other_parameters(corpus: Corpus) -> None:
    with pytest.raises(ParameterError, match="no other parameters"):
        corpus.search_many([SearchRequest(window="A/1")], k=3)


def test_a_simulated_signal_finds_its_kind(archive: Archive, corpus: Corpus) -> None:
    for name in ("comb", "rising", "hump"):
        result = corpus.search(signal={"family": name, "snr": 40}, k=3)
        best = result[0]
        kinds = {one.placed.signal.name for path in (archive.one, archive.two) for one in archive.truth[path]
                 if path.name == Path(best.file).name and one.f_start_mhz < best.window.f_stop_mhz
                 and best.window.f_start_mhz < one.f_stop_mhz}
        assert name in kinds, (name, kinds)
        assert facts(corpus.search(signal={"family": name, "snr": 40}, k=3)) == facts(result)


def test_a_description_of_a_signal_has_the_fields_of_a_signal() -> None:
    signal = signal_of({"drift_hz_per_s": 0.5, "lines": 3, "spacing_hz": 80,
                        "envelope": {"kind": "pulsed", "period_s": 60, "duty": 0.5}})

    assert signal == Signal("signal", drift_hz_per_s=0.5, spacing_hz=80, amplitudes=(1.0, 1.0, 1.0),
                            envelope=Envelope("pulsed", 60, 0.5))
    assert signal_of({"family": "pulsed-comb"}) == FAMILIES["pulsed-comb"]
    assert signal_of(FAMILIES["curved"]) == FAMILIES["curved"]


@pytest.mark.parametrize(("given", "words"), [
    ({"lines": 4, "spacing_hz": 55, "envelope": {"kind": "pulsed", "period_s": 110, "duty": 0.5}},
     "4 equal lines, pulsed envelope period_s 110.0 duty 0.5, spacing_hz 55.0"),
    ({"amplitudes": [1, 0.5], "spacing_hz": 55, "snr": 9}, "snr 9.0, spacing_hz 55.0, amplitudes [1.0, 0.5]"),
    ({"path": {"kind": "sinusoid", "reach_hz": 50, "period_s": 99}, "name": "mine"},
     "mine, sinusoid path reach_hz 50.0 period_s 99.0")])
def test_a_signal_is_described_by_what_was_given(given: dict[str, object], words: str) -> None:
    assert words_of_signal(signal_of(given)) == words


@pytest.mark.parametrize(("given", "words"), [
    ({"drift": 1}, "Signal has no 'drift'.*; family and lines may be given, too"),
    ({"width_hz": -3}, "width_hz must be above 0, got -3"),
    ({"lines": 2}, "several lines need spacing_hz"), ({"lines": 1.5}, "lines must be a whole number"),
    ({"family": "dragon"}, "no signal family 'dragon'"), ({"snr": "loud"}, "Expected"), (7, "must be a Signal"),
    ({"amplitudes": []}, "amplitudes must be"), ({"drift_hz_per_s": float("nan")}, "must be finite"),
    ({"family": ["comb"]}, "family must be a name"), ({"snr": 1e300}, "snr must be from -1e"),
    ({"amplitudes": [1, float("nan")], "spacing_hz": 9}, "must be finite"),
    ({"path": {"kind": "sinusoid", "reach_hz": float("nan"), "period_s": 1}}, "must be finite"),
    ({"envelope": {"kind": "random", "period_s": 1e-300}}, "period_s must be at least 1e-06 s"),
    ({"envelope": {"kind": "burst", "duty": 0.0}}, "duty must be above 0")])
def test_other_descriptions_are_refused(given: object, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        signal_of(given)


@pytest.mark.parametrize("name", [*FAMILIES, *UNSEEN])
def test_every_family_can_be_asked_for(name: str) -> None:
    assert signal_of({"family": name}).name


@pytest.mark.parametrize(("given", "words"), [
    ({"drift_hz_per_s": 1e9}, "MHz wide"), ({"width_hz": 1e9}, "MHz wide"), ({"lines": 9, "spacing_hz": 1e9}, "wide"),
    ({"curvature_hz_per_s2": 1e9}, "MHz wide"), ({"broadening_hz_per_s": 1e9}, "MHz wide"),
    ({"lines": 1000, "spacing_hz": 1, "drift_hz_per_s": 100}, "changes too fast"),
    ({"path": {"kind": "zigzag", "reach_hz": 1000, "period_s": 1e-6}}, "changes too fast"),
    ({"envelope": {"kind": "random", "period_s": 1e-6, "duty": 0.5}}, "changes too fast")])
def test_signals_that_would_fill_the_memory_are_refused(corpus: Corpus, given: dict[str, object], words: str) -> None:
    with pytest.raises(QueryError, match=words):
        corpus.search(signal=given)


def test_a_request_with_a_signal_or_vectors_survives_json() -> None:
    signal = SearchRequest.from_json(SearchRequest(signal=FAMILIES["pulsed-comb"]).to_json())
    assert signal_of(signal.signal) == FAMILIES["pulsed-comb"]
    vector = SearchRequest.from_json(SearchRequest(vector=np.array([1.0, np.nan])).to_json())
    assert np.array_equal(vector.vector, [1.0, np.nan], equal_nan=True)
    assert SearchRequest.from_json(SearchRequest(window=["A/1", "B/2"]).to_json()).window == ("A/1", "B/2")
