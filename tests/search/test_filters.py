"""Filters, compared with a naive loop over windows: alone and in searches."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.catalogue import SourceEntry
from pipeline.errors import QueryError
from pipeline.grid.tiling import Tiling
from pipeline.index import Segment
from pipeline.model import CoarseLayout, WindowGrid
from pipeline.search import Corpus, Filters, SearchResult
from pipeline.search.filter_values import parse_mjd
from pipeline.search.merge import Candidate, merge
from tests.search.conftest import COARSE, FINE, INTEGRATIONS, SPEC, Made, unit

NAMES = [f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABCDE")]
HEADERS = [
    FINE,
    replace(FINE, source_name="HIP1", tstart_mjd=59_001.25),
    replace(FINE, fch1_mhz=1540.0, source_name="Voyager1 ", telescope_id=4),
    replace(FINE, fch1_mhz=1540.0, foff_mhz=-FINE.foff_mhz, tstart_mjd=59_002.25, telescope_id=77),
    replace(FINE, source_name="HIP1-OFF", tstart_mjd=59_003.25),
]
"""Headers of the sources: two bands and five days."""
EDGE = FINE.channel_edge_mhz
HIGH_EDGE = HEADERS[2].channel_edge_mhz
BLOCK_DAYS = 4 * FINE.tsamp_s / 86_400


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Corpus of five sources of 40 windows. A and C are in one segment, D in another."""
    made = Made(tmp_path_factory.mktemp("filters") / "corpus")
    for i, (name, header) in enumerate(zip(NAMES, HEADERS, strict=True)):
        rng = np.random.default_rng(i)
        vectors = unit(1 + rng.normal(size=(40, SPEC.dimension)))
        made.add(name, rng.permutation(2 * 60)[:40], vectors, header=header, path=f"/data/night{i % 2}/{'abcde'[i]}.h5")
    made.store.publish(lambda m: m.with_also_at(NAMES[1], ["/copies/one[1].fil"]))
    made.index(NAMES[0], NAMES[2])
    made.index(NAMES[3])
    return made


@pytest.fixture(scope="module")
def corpus(made: Made) -> Corpus:
    return made.open()


def passing(made: Made, wanted: Callable[[str, int, int, int], bool]) -> dict[tuple[str, int], np.ndarray]:
    """Return the vectors of the stored windows for which ``wanted(source, block, first, last channel)`` is true."""
    found = {}
    for name in NAMES:
        for number, vector in zip(made.numbers[name].tolist(), made.vectors[name], strict=True):
            window = made.tiling(name).window(name, number)
            if wanted(name, window.spectrum_start // INTEGRATIONS, window.channel_start, window.channel_stop - 1):
                found[name, number] = vector
    return found


def expected(made: Made, vectors: dict[tuple[str, int], np.ndarray], query: tuple[str, int]) -> list[tuple]:
    """Return the hits that brute force finds among some windows."""
    row = made.numbers[query[0]].tolist().index(query[1])
    wanted = made.vectors[query[0]][row]
    scores = {key: float(vector @ wanted / np.linalg.norm(vector) / np.linalg.norm(wanted))
              for key, vector in vectors.items() if key != query}
    merged = merge([Candidate(score, made.tiling(name).window(name, number), 0)
                    for (name, number), score in scores.items()])
    return [(one.best.window.source_id, one.best.window.number, one.others) for one in merged]


def told(result: SearchResult) -> list[tuple]:
    return [(hit.source_id, hit.window.number, hit.merged) for hit in result]


channels = st.tuples(st.integers(0, 1022), st.integers(1, 400)).map(lambda pair: (pair[0], min(sum(pair), 1024)))
bands = st.sampled_from([EDGE, HIGH_EDGE])
ranges = st.lists(st.tuples(bands, channels), max_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), only=ranges, not_=ranges, only_file=st.lists(st.sampled_from(NAMES), max_size=3, unique=True),
       not_file=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
       after=st.none() | st.integers(0, 9), before=st.none() | st.integers(0, 9), exact=st.booleans())
def test_a_search_equals_brute_force_over_what_passes(
    made: Made, corpus: Corpus, data: st.DataObject, only: list, not_: list, only_file: list[str],
    not_file: list[str], after: int | None, before: int | None, exact: bool,
) -> None:
    """Times are counted in time blocks, two per source. A time lies in the middle between two blocks."""
    if after is not None and before is not None and after >= before:
        after, before = None, before

    def moment(block: int | None) -> float | None:
        if block is None:
            return None
        day, second = divmod(block, 2)
        return 59_000.25 + day + (second - 0.5) * BLOCK_DAYS

    def shares(name: str, first: int, last: int, bands: list) -> bool:
        is_high = HEADERS[NAMES.index(name)].fch1_mhz > 1535
        # the upper band of D ascends: its lowest channel is not C's, but 1023 channels higher
        shift = 1023 if name == NAMES[3] else 0
        return any(is_high == (edge is HIGH_EDGE) and start <= last + shift and first + shift < stop
                   for edge, (start, stop) in bands)

    days = {NAMES[0]: 0, NAMES[1]: 1, NAMES[2]: 0, NAMES[3]: 2, NAMES[4]: 3}

    def wanted(name: str, block: int, first: int, last: int) -> bool:
        at = 2 * days[name] + block
        return ((not only or shares(name, first, last, only)) and not shares(name, first, last, not_)
                and (not only_file or name in only_file) and name not in not_file
                and (after is None or at >= after) and (before is None or at < before))

    filters = Filters(
        only_mhz=tuple((edge(a), edge(b)) for edge, (a, b) in only),
        not_mhz=tuple((edge(a), edge(b)) for edge, (a, b) in not_),
        only_file=tuple(only_file), not_file=tuple(not_file), after_mjd=moment(after), before_mjd=moment(before))
    left = passing(made, wanted)
    query = data.draw(st.sampled_from(sorted(passing(made, lambda *_: True))))
    asked = {"window": f"{query[0]}/{query[1]}", "filters": filters, "exact": exact}
    if not left:
        with pytest.raises(QueryError):
            corpus.search(**asked)
        return
    result = corpus.search(**asked, k=7)
    assert told(result) == expected(made, left, query)[:7]
    assert result.corpus["searched"] == len(left)
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.timeout(400)  # building a graph compiles for up to two minutes, once a session
def test_recall_by_the_graph(make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch) -> None:
    made, rng = make(), np.random.default_rng(1)
    centres = unit(rng.normal(size=(40, SPEC.dimension)))
    header, coarse = replace(FINE, nchans=16 * 5000), CoarseLayout(16 * 5000, "flag")
    for name in NAMES[:2]:
        vectors = unit(centres[rng.integers(0, 40, 2000)] + 0.3 * rng.normal(size=(2000, SPEC.dimension)))
        made.add(name, 4 * rng.permutation(2500)[:2000], vectors, header=header, coarse=coarse)  # none touch
    made.index(*NAMES[:2])
    monkeypatch.setattr("pipeline.index.segment.SCANNED_PER_NEIGHBOUR", 1)  # otherwise all rows are scanned
    walked = []
    walk = Segment._walk
    monkeypatch.setattr(Segment, "_walk", lambda *a: (walked.append(a[2]), walk(*a))[1])
    corpus, edge = made.open(), header.channel_edge_mhz
    found = total = 0
    for filters in (Filters(not_file=(NAMES[0],)), Filters(only_mhz=((edge(0), edge(30_000)),)),
                    Filters(not_mhz=((edge(2000), edge(70_000)),))):
        for number in made.numbers[NAMES[0]][:25]:
            by_graph, exact = (corpus.search(window=f"{NAMES[0]}/{number}", filters=filters, k=10, exact=exact)
                               for exact in (False, True))
            found += len({*told(by_graph)} & {*told(exact)})
            total += len(exact)
    assert total == 3 * 25 * 10
    assert found / total >= 0.95
    assert len(walked) >= 75
    assert max(walked) > 200, "50 are fetched: where a fifth or less passes, many more must be asked for"


@pytest.mark.parametrize(("filters", "sources"), [
    (Filters(), "ABCDE"),
    (Filters(only_file=("a.h5",)), "A"),
    (Filters(only_file=("night1/d.h5", "/data/night0/a.h5")), "AD"),
    (Filters(only_file=("/data/night0/*",)), "ACE"),
    (Filters(only_file=("night?/[ab].h5",)), "AB"),
    (Filters(only_file=("one[1].fil",)), "B"),
    (Filters(only_file=("GBT_59000_1", "GBT_*_C")), "BC"),
    (Filters(only_file=("GBT",), not_file=("b.h5", "*_E")), "ACD"),
    (Filters(only_target=("voyager1",)), "ACD"),
    (Filters(only_target=("HIP1",)), "B"),
    (Filters(only_target=("hip*",)), "BE"),
    (Filters(only_telescope=("gbt",)), "ABE"),
    (Filters(only_telescope=("4", "T77")), "CD"),
    (Filters(only_telescope=("77",), only_target=("VOYAGER1",)), "D"),
    (Filters(only_mhz=((1539.0, 1541.0),)), "CD"),
    (Filters(only_mhz=((-np.inf, 1535.0),)), "ABE"),
    (Filters(not_mhz=((1520.0, 1535.0), (1.0, 2.0))), "CD"),
    (Filters(after_mjd=59_002.0), "DE"),
    (Filters(before_mjd=59_001.0), "AC"),
    (Filters(after_mjd=59_001.0, before_mjd=59_003.0), "BD"),
])
def test_which_sources_pass(made: Made, filters: Filters, sources: str) -> None:
    filters.check(made.store.manifest(), str)
    assert [name[-1] for name, entry in made.store.manifest().sources.items()
            if filters.accept_source(name, entry)] == list(sources)
    assert bool(filters) == (filters != Filters())


@given(ranges=st.lists(channels, max_size=2), not_=st.lists(channels, max_size=2), step=st.sampled_from([4, 16, 20]),
       after=st.none() | st.integers(0, 2), before=st.none() | st.integers(0, 2))
def test_windows_equal_a_naive_loop(
    ranges: list[tuple[int, int]], not_: list[tuple[int, int]], step: int, after: int | None, before: int | None
) -> None:
    """Windows overlap or have gaps. Frequencies have nine decimals, as in printed hits."""
    if after is not None and before is not None and after >= before:
        before = None
    tiling = Tiling(FINE, WindowGrid(16, step, 4), COARSE)
    mhz = [tuple((round(EDGE(a), 9), round(EDGE(b), 9)) for a, b in pairs) for pairs in (ranges, not_)]
    filters = Filters(only_mhz=mhz[0], not_mhz=mhz[1], after_mjd=None if after is None else FINE.mjd_at(after * 73.0),
                      before_mjd=None if before is None else FINE.mjd_at(before * 73.0))  # a block is 73.014 s
    numbers = np.random.default_rng(0).permutation(tiling.n_windows)
    windows = [tiling.window("", int(number)) for number in numbers]

    def share(window, pairs) -> bool:
        return any(set(range(a, b)) & set(range(window.channel_start, window.channel_stop)) for a, b in pairs)

    begins = [(window.spectrum_start // 4) for window in windows]
    naive = [(not ranges or share(window, ranges)) and not share(window, not_)
             and (after is None or at >= after) and (before is None or at < before)
             for window, at in zip(windows, begins, strict=True)]
    assert filters.accept_windows(tiling, numbers).tolist() == naive
    if filters.accept_all_windows(FINE):
        assert all(naive)


@pytest.mark.parametrize(("filters", "message"), [
    ({"only_file": ("x.h5",)}, "only_file x.h5: no source has this path, .* there are GBT_59000_0_A, GBT_59000_1_B"),
    ({"not_file": ("a.h5", "x*")}, r"not_file x\*: no source has this path"),
    ({"only_target": ("HIP2",)}, "only_target HIP2: .* observed are 'HIP1', 'HIP1-OFF', 'VOYAGER1', 'Voyager1'; the "
                                "nearest is 'HIP1'$"),
    ({"only_target": ("HIP?_OFF",)}, r"'Voyager1'; 'HIP\?\?OFF' is true of 'HIP1-OFF'$"),
    ({"only_target": ("yager",)}, r"'Voyager1'; '\*yager\*' is true of 'VOYAGER1', 'Voyager1'$"),
    ({"only_target": ("3C273",)}, "observed are 'HIP1', 'HIP1-OFF', 'VOYAGER1', 'Voyager1'$"),
    ({"only_telescope": ("ATA",)}, r"only_telescope ATA: .* there are GBT \(6\), PKS \(4\), T77 \(77\)$"),
    ({"only_mhz": ((1420.0, 1421.0),)}, "only_mhz 1420.0:1421.0: .* observed are 1529.997140–1530.000001 MHz, 1539"),
    ({"after_mjd": 60_000.0}, "after_mjd MJD 60000.0: nothing was observed then, but from MJD 59000.25000 to 59003.25"),
    ({"before_mjd": 58_000.0}, "before_mjd MJD 58000.0: nothing was observed then"),
    ({"only_file": ("a.h5",), "only_target": ("HIP1",)},
     "no source .* passes these filters: only_file a.h5, only_target HIP1$"),
    ({"only_mhz": ((EDGE(1018.2), EDGE(1018.3)),)}, "none of the 120 windows with a signal in the 3 sources concerned"),
])
def test_a_filter_that_leaves_nothing_is_named_with_what_there_is(
    corpus: Corpus, made: Made, filters: dict, message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        corpus.search(window=f"{NAMES[0]}/{made.numbers[NAMES[0]][0]}", filters=Filters(**filters))


@pytest.mark.parametrize(("filters", "message"), [
    ({"only_mhz": ((2.0, 1.0),)}, "only_mhz 2.0:1.0 MHz is no range: give the lower frequency first"),
    ({"not_mhz": ((1.0, 1.0),)}, "not_mhz 1.0:1.0 MHz is no range"),
    ({"only_mhz": ((float("nan"), 1.0),)}, "is no range"),
    ({"not_known": ("GPS",)}, "not_known GPS: no band of known interference has this name or kind; alike are 'GPS L5'"),
    ({"not_known": ("gps*", "qqq")}, "not_known qqq: no band of known interference .*; kinds are 'aviation', 'broad"),
    ({"only_file": ("",)}, "only_file: a name is empty"),
    ({"after_mjd": 2.0, "before_mjd": 1.0}, "after_mjd must be less than before_mjd, got MJD 2.0 and 1.0"),
])
def test_what_makes_no_sense_is_refused(filters: dict, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        Filters(**filters)


@pytest.mark.parametrize(("text", "mjd"), [
    ("57436.59528", 57436.59528), ("57436", 57436.0), ("2016-02-18", 57436.0), ("20160218", 57436.0),
    ("2016-02-18T12:00", 57436.5), ("2016-02-18 18:00:00", 57436.75), ("2016-02-18T12:00:00Z", 57436.5),
    ("2016-02-18T12:00:00-06:00", 57436.75), ("2000-01-01T12:00:00", 51544.5),
])
def test_moments(text: str, mjd: float) -> None:
    assert parse_mjd(text) == pytest.approx(mjd, abs=1e-9)


def test_a_moment_agrees_with_the_epoch_of_unix() -> None:
    assert parse_mjd(datetime.fromtimestamp(0, UTC).isoformat()) == 40_587


@pytest.mark.parametrize("text", ["2016", "", "yesterday", "1e5", "157436.5", "nan"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="is no date: give one such as 2016-02-18"):
        parse_mjd(text)


def test_known_interference_is_left_out_by_band_and_telescope(
    corpus: Corpus, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second band is in GPS and outside of Green Bank's notch; the table is read once, as the filter is made."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "lookalike").mkdir()
    rows = "name,kind,f_start_mhz,f_stop_mhz,telescope\n"
    table = tmp_path / "lookalike" / "known-bands.csv"
    table.write_text(f"{rows}Near,own,{HIGH_EDGE(300)},{HIGH_EDGE(400)},\nNotch,own,{EDGE(100)},{EDGE(200)},GBT\n"
                     f"Other notch,own,{EDGE(0)},{EDGE(1024)},ATA\n")
    filters = Filters(not_known=("own",))
    table.unlink()  # a worker on another machine has no such table
    query = (NAMES[4], int(made.numbers[NAMES[4]][0]))
    left = passing(made, lambda name, block, first, last: not (
        (HEADERS[NAMES.index(name)].fch1_mhz == FINE.fch1_mhz and first < 200 and last >= 100)
        or (name == NAMES[2] and first < 400 and last >= 300)
        or (name == NAMES[3] and first < 400 and last >= 300)))
    left.pop(query, None)
    for chosen in (filters, pickle.loads(pickle.dumps(filters))):
        result = corpus.search(window=f"{query[0]}/{query[1]}", filters=chosen, exact=True, k=9)
        assert told(result) == expected(made, left, query)[:9]
    assert filters.to_json() == {"not_known": ["own"]}


def test_names_of_files_are_those_of_every_copy(made: Made) -> None:
    entry: SourceEntry = made.store.manifest().sources[NAMES[1]]
    for path in (entry.path, *entry.also_at):
        assert Filters(only_file=(Path(path).name,)).accept_source(NAMES[1], entry)
        assert not Filters(not_file=(path,)).accept_source(NAMES[1], entry)
