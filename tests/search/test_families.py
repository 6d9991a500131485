"""Families of a corpus: found, listed, kept from night to night, and named on hits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import QueryError
from pipeline.families import families_folder, read_families, writing_families
from pipeline.integrity import verify
from pipeline.model import EncoderSpec
from pipeline.run import find_families, name_family
from tests.search.conftest import FINE, Made, unit

KINDS, EACH = 8, 10
WIDE = EncoderSpec("random", 1, 64, "none")
"""In many dimensions, single vectors are far from all others."""


def add(made: Made, night: int, kinds: range = range(KINDS), each: int = EACH, singles: int = 12) -> np.ndarray:
    """Add a source with windows of some emitters, and of others that are seen once. Return the emitter of each."""
    rng = np.random.default_rng(night)
    emitters = np.random.default_rng(99).normal(size=(KINDS + 2, WIDE.dimension))
    truth = np.concatenate([np.repeat(list(kinds), each), np.full(singles, -1)])
    means = np.concatenate([emitters[truth[truth >= 0]], 3 * rng.normal(size=(singles, WIDE.dimension))])
    vectors = unit(unit(means) + 0.03 * rng.normal(size=means.shape))
    made.add(f"GBT_{59000 + night}_1_T", rng.permutation(120)[: len(truth)], vectors,
             header=replace(FINE, tstart_mjd=59000.0 + night, source_name=f"T{night % 3}"), spec=WIDE)
    return truth


def ids(made: Made) -> dict[tuple[str, int], str]:
    """Return the family of each window that is in one."""
    table = read_families(made.root)
    assert table is not None
    return {(source_id, number): f"F{family}" for source_id, columns in table.sources.items()
            for number, family in zip(*(column.tolist() for column in columns), strict=True) if family}


def test_emitters_are_families_and_keep_their_ids_over_ten_nights(make: Callable[..., Made]) -> None:
    made, truth = make(), {}
    for night in range(10):
        truth[f"GBT_{59000 + night}_1_T"] = add(made, night, each=EACH)
    first = find_families(made.root)
    assert len(first.new) == KINDS
    before = ids(made)
    assert len(before) >= 0.99 * 10 * KINDS * EACH
    for night in range(10, 20):
        truth[f"GBT_{59000 + night}_1_T"] = add(made, night)
        if night == 15:
            made.index(*list(truth)[-3:], spec=WIDE)
        find_families(made.root)
        after = ids(made)
        kept = sum(after.get(window) == family for window, family in before.items())
        assert kept == len(before)  # a window never leaves its family
        before = after
    assert len(made.open().families()) == KINDS
    of_family: dict[str, set[int]] = {}
    for (source_id, number), family in before.items():
        row = int(np.flatnonzero(made.numbers[source_id] == number)[0])
        of_family.setdefault(family, set()).add(int(truth[source_id][row]))
    assert sorted(map(tuple, of_family.values())) == [(kind,) for kind in range(KINDS)]
    assert len(before) >= 0.99 * 20 * KINDS * EACH
    find_families(made.root, again=True)
    # to regroup all is no part of a night, and moves a few windows more: 1.4 % here
    assert sum(ids(made).get(window) == family for window, family in before.items()) >= 0.98 * len(before)


def test_a_new_emitter_becomes_a_new_family_and_new_since_finds_it(make: Callable[..., Made]) -> None:
    made = make()
    add(made, 0)
    find_families(made.root)
    add(made, 1, range(KINDS + 1), each=6)
    found = find_families(made.root)
    assert found.new == (f"F{KINDS + 1}",)
    assert set(found.grown) == {f"F{i}" for i in range(1, KINDS + 1)}
    assert set(found.grown.values()) == {6}
    corpus = made.open()
    assert [one.id for one in corpus.families(new_since=corpus.generation)] == [f"F{KINDS + 1}"]
    assert [one.id for one in corpus.families(new_since="2020-06-01")] == [f"F{KINDS + 1}"]  # MJD 59001
    assert len(corpus.families(new_since="2020-05-31T00:00:00Z")) == KINDS + 1
    assert [one.windows for one in corpus.families(min_windows=7)] == [EACH + 6] * KINDS
    with pytest.raises(QueryError, match=r"new_since.*2026-05-01, got 'soon'"):
        corpus.families(new_since="soon")
    assert find_families(made.root).judged == 0


def test_a_family_says_when_and_where_it_was_seen(make: Callable[..., Made]) -> None:
    made = make()
    for night in range(3):
        add(made, night)
    find_families(made.root)
    entry = name_family(made.root, "F1", name="clock", label="ours")
    assert (entry.name, entry.label) == ("clock", "ours")
    one = made.open().family("clock", k=5)
    family, record = one.family, one.to_json()
    windows = [made.open()._corpus.window(source_id, number) for source_id, number in one.windows]
    assert family.windows == len(windows) == 3 * EACH
    assert family.f_start_mhz == pytest.approx(min(window.f_start_mhz for window in windows), abs=1e-9)
    assert family.f_stop_mhz == pytest.approx(max(window.f_stop_mhz for window in windows), abs=1e-9)
    assert family.first_seen_mjd == pytest.approx(min(window.mjd for window in windows), abs=1e-9)
    assert family.last_seen_mjd == pytest.approx(max(window.mjd for window in windows), abs=1e-9)
    assert (family.scans, family.targets) == (3, (("T0", 1), ("T1", 1), ("T2", 1)))
    assert [row["windows"] for row in record["by_target"]] == [EACH] * 3
    assert len(record["members"]) == 5
    assert one.members[0].window == family.exemplar
    assert one.members[0].score == pytest.approx(1, abs=1e-5)
    assert record["first_seen"].startswith("2020-05-31T")
    assert one.png().startswith(b"\x89PNG")
    with pytest.raises(QueryError, match="another family has this name"):
        name_family(made.root, "F2", name="clock")
    with pytest.raises(QueryError, match="at most 200"):
        name_family(made.root, "F2", name="x" * 201)


def test_hits_carry_their_family_and_say_when_families_are_older(make: Callable[..., Made]) -> None:
    made = make()
    truth = add(made, 0)
    source_id = "GBT_59000_1_T"
    query = f"{source_id}/{made.numbers[source_id][0]}"
    assert {hit.family for hit in made.open().search(window=query)} == {""}
    find_families(made.root)
    name = made.open().search(window=query, k=3)[0].family
    name_family(made.root, name, name="clock")
    result = made.open().search(window=query, k=3)
    assert {(hit.family, hit.family_name) for hit in result} == {(name, "clock")}
    assert "famil" not in result.description.note
    assert result.to_json()["hits"][0]["family"] == name
    assert truth[0] == 0
    add(made, 1)
    later = made.open().search(window=query, k=30)
    assert {hit.family for hit in later if hit.source_id != source_id} == {""}
    assert "families are those of generation 1" in later.description.note
    assert "lookalike families" in later.description.note
    assert made.open().families().not_judged == KINDS * EACH + 12


def test_a_removed_source_leaves_its_families_and_their_names(make: Callable[..., Made]) -> None:
    made = make()
    add(made, 0, range(KINDS))
    add(made, 1, range(1))
    find_families(made.root)
    number = ids(made)["GBT_59000_1_T", int(made.numbers["GBT_59000_1_T"][EACH])]  # of an emitter that only night 0 has
    name_family(made.root, number, name="gone")
    made.store.publish(lambda manifest: manifest.with_removed(["GBT_59000_1_T"]))
    assert len(made.open().families()) == 1
    find_families(made.root)
    assert {source_id for source_id, _ in ids(made)} == {"GBT_59001_1_T"}
    with pytest.raises(QueryError, match="no longer holds any of its windows"):
        made.open().family("gone")
    table = read_families(made.root)
    assert table is not None
    assert table.entry("gone").id == number


def test_a_corpus_without_families_says_how_to_find_them(fill: Callable[..., Made]) -> None:
    corpus = fill().open()
    with pytest.raises(QueryError, match=r"no families were found yet; find them with: lookalike families --corpus"):
        corpus.families()


def test_damaged_families_stop_no_search_and_are_repaired(make: Callable[..., Made]) -> None:
    made = make()
    add(made, 0)
    find_families(made.root)
    path = families_folder(made.root) / "families.json"
    path.write_bytes(path.read_bytes()[:-30])
    query = f"GBT_59000_1_T/{made.numbers['GBT_59000_1_T'][0]}"
    assert "families are not shown" in made.open().search(window=query).description.note
    damages = [one for one in verify(made.root).damages if one.kind == "families"]
    assert [one.path.name for one in damages] == ["families.json"]
    assert "--repair" in damages[0].remedy


def test_what_was_added_before_the_lock_was_taken_is_judged(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make()
    add(made, 0)

    @contextmanager
    def after_a_night(root: Path) -> Iterator[None]:
        add(made, 1)
        with writing_families(root):
            yield

    monkeypatch.setattr("pipeline.run.families.writing_families", after_a_night)
    table = find_families(made.root).table
    assert sorted(table.sources) == ["GBT_59000_1_T", "GBT_59001_1_T"]
