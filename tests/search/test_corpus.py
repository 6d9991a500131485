"""An open corpus: its properties, how it stays at one generation, and what it keeps in memory."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import CorpusDamaged, CorpusError, CorpusMismatch, CorpusNotFound, QueryError
from pipeline.search import open_corpus
from pipeline.search.nearest import nearest
from pipeline.search.selection import Selection
from pipeline.search.status import IndexStatus
from pipeline.store import VectorGroup
from tests.search.conftest import SPEC, Made

A, B, C = (f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABC"))


def test_an_empty_corpus_says_to_ingest(make: Callable[..., Made]) -> None:
    with pytest.raises(QueryError, match=r"holds no sources; .* lookalike ingest DATA"):
        make().open().search(power=np.ones((4, 16)))


def test_one_all_of_whose_sources_were_removed_says_how_to_take_them_back(fill: Callable[..., Made]) -> None:
    made = fill(sources="A")
    made.store.publish(lambda manifest: manifest.with_removed([A]))
    with pytest.raises(QueryError, match=r"holds no sources; all were removed: .*lookalike remove --undo"):
        made.open().search(power=np.ones((4, 16)))
    assert made.open().status().sources == 0


def test_no_corpus(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CorpusNotFound, match=r"nothing: there is no corpus here; .*lookalike ingest DATA"):
        open_corpus(tmp_path / "nothing")


def test_an_edited_grid_is_refused(fill: Callable[..., Made]) -> None:
    made = fill(sources="A")
    path = made.root / "corpus.toml"
    path.write_text(path.read_text().replace("window = 16", "window = 32"))
    with pytest.raises(CorpusMismatch, match=r"scan\.window"):
        made.open()


def test_a_corpus_stays_as_it_was_opened(fill: Callable[..., Made]) -> None:
    made = fill(sources="A", count=20)
    corpus = made.open()
    number = made.numbers[A][0]
    before = list(corpus.search(window=f"{A}/{number}"))
    made.add(B, range(20), made.vectors[A].astype(np.float32))
    made.index(A)
    assert list(corpus.search(window=f"{A}/{number}")) == before
    assert corpus.generation == 1
    assert B in {hit.source_id for hit in made.open().search(window=f"{A}/{number}")}


def test_what_is_gone_a_day_after_it_was_removed_says_to_open_again(fill: Callable[..., Made]) -> None:
    made = fill()
    corpus = made.open()
    made.store.publish(lambda manifest: replace(
        manifest, sources={name: entry for name, entry in manifest.sources.items() if name != B}))
    shutil.rmtree(made.root / "vectors" / SPEC.key / B)
    with pytest.raises(CorpusError, match=rf"generation 3 and is at 4 now.*open the corpus again \(.*{B}") as caught:
        corpus.search(window=f"{A}/{made.numbers[A][0]}")
    assert not isinstance(caught.value, CorpusDamaged)
    assert {hit.source_id for hit in made.open().search(window=f"{A}/{made.numbers[A][0]}", k=99)} == {A, C}
    shutil.rmtree(made.root / "vectors" / SPEC.key / C)
    with pytest.raises(CorpusDamaged, match=C):  # not removed: damaged
        made.open().search(window=f"{A}/{made.numbers[A][0]}")


@pytest.mark.parametrize("damaged", [f"sources/{B}/group.json", f"vectors/{SPEC.key}/{B}/group.json",
                                     f"index/{A}/segment.json", f"index/{A}/vectors.npy"])
def test_what_is_damaged_is_named_with_a_command_that_mends_it(
    fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    made = fill()
    made.index(A)
    (made.root / damaged).write_bytes(b"damaged")
    monkeypatch.chdir(made.root.parent)
    with pytest.raises(CorpusDamaged, match=re.escape(damaged.split("/")[1])) as caught:
        open_corpus(made.root.name).search(window=f"{A}/{made.numbers[A][0]}", k=50)
    assert str(caught.value).endswith(f"; mend it with: lookalike verify --repair --corpus {made.root.name}")


@pytest.mark.parametrize("exact", [False, True])
def test_threads_get_the_answers_one_would(fill: Callable[..., Made], exact: bool) -> None:
    made = fill(count=60)
    made.index(A, B)
    windows = [f"{source}/{number}" for source in (A, B, C) for number in made.numbers[source][:8]]
    alone = [list(made.open().search(window=window, exact=exact)) for window in windows]
    corpus = made.open()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda window: list(corpus.search(window=window, exact=exact)), windows * 4))
    assert together == alone * 4


def test_few_groups_kept_open_change_nothing(fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch) -> None:
    made = fill(count=30)
    number = made.numbers[A][0]
    expected = list(made.open().search(window=f"{A}/{number}", k=20))
    monkeypatch.setattr("pipeline.search.snapshot.MAX_OPEN_GROUPS", 2)
    monkeypatch.setattr("pipeline.search.snapshot.ROWS_READ_AT_ONCE", 3)
    monkeypatch.setattr("pipeline.search.nearest.SCAN_NUMBERS", 5 * SPEC.dimension)
    corpus = made.open()
    assert list(corpus.search(window=f"{A}/{number}", k=20)) == expected
    assert len(corpus._corpus._kept) == 2


def test_what_unindexed_sources_hold_is_read_once_while_there_is_room(
    fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(count=30)
    made.index(A)
    number = made.numbers[A][0]
    expected = list(made.open().search(window=f"{A}/{number}", k=20))
    read = []
    vectors = VectorGroup.vectors
    monkeypatch.setattr(VectorGroup, "vectors", lambda group, *a: (read.append(group.source_id), vectors(group, *a))[1])
    a_source = 30 * SPEC.dimension * 4  # bytes of its vectors; of its window numbers, 240
    for room, again in ((10 * a_source, []), (a_source + 3 * 240, [C]), (0, [B, C])):
        monkeypatch.setattr("pipeline.search.snapshot.MAX_KEPT_BYTES", room)
        opened = made.open()._corpus
        selection = Selection.of(opened, SPEC.key, frozenset(["2.794Hz-18.25s"]))
        query = made.vectors[A][:1].astype(np.float32)
        first = nearest(selection, query, 90)
        assert {B, C} <= set(read)
        read.clear()
        second = nearest(selection, query, 90)
        assert read == again
        read.clear()
        np.testing.assert_array_equal(first.score, second.score)
        corpus = made.open()
        for _ in range(2):
            assert list(corpus.search(window=f"{A}/{number}", k=20)) == expected
        read.clear()


def test_status(fill: Callable[..., Made]) -> None:
    made = fill(count=30)
    made.index(A, C)
    status = made.open().status()
    on_disk = sum(path.stat().st_size for path in made.root.rglob("*") if path.is_file())
    record = status.to_json()
    assert record.pop("corpus") == str(made.root)
    assert record == {
        "generation": 4, "sources": 3, "resolutions": {"2.794Hz-18.25s": 3}, "files": {}, "reasons": {}, "views": {},
        "overviews": 0,
        "windows_seen": 300, "windows_kept": 90, "vectors": {"random-v1": 90}, "encoder": "random-v1",
        "sources_embedded": {"random-v1": 3}, "windows_lacking": {"random-v1": 0}, "vectors_indexed": 60,
        "vectors_unindexed": 30, "segments": 1, "cells": 0, "size_bytes": on_disk,
        "without_signal": 0, "not_searched": 0, "partly_covered": 3,
        "share_skipped": pytest.approx(1 - 976 * 8 / (1024 * 9)),  # 60 windows of 16 channels and 1 in the rest of 24
        "index": {"random-v1": {"vectors_indexed": 60, "vectors_unindexed": 30, "segments": 1, "cells": 0}},
    }
    json.dumps(status.to_json())


def test_status_tells_encoders_apart(fill: Callable[..., Made]) -> None:
    made = fill(count=30)
    made.index(A, C)
    other = replace(SPEC, name="other")
    for source_id in (A, B):
        made.add_vectors(source_id, made.vectors[source_id].astype(np.float32), other)
    status = made.open().status()
    assert status.index == {SPEC.key: IndexStatus(60, 30, 1), other.key: IndexStatus(0, 60, 0)}
    record = status.to_json()
    assert (record["vectors_indexed"], record["vectors_unindexed"], record["segments"]) == (60, 90, 1)


def test_a_stored_window_is_searched_for_without_the_heavy_libraries(fill: Callable[..., Made]) -> None:
    made = fill(count=30)
    made.index(A, B)
    code = (
        "import sys; from pipeline.search import Filters, open_corpus\n"
        f"result = open_corpus({str(made.root)!r}).search(window='{A}/{made.numbers[A][0]}')\n"
        "assert len(result) == 10\n"
        f"narrow = open_corpus({str(made.root)!r}).search(window='{A}/{made.numbers[A][0]}', per_file=2, per_mhz=3,\n"
        "    filters=Filters(only_file=('GBT_59000_[01]*',), only_mhz=((1529.999, 1540.0),)))\n"
        "assert len(narrow) == 3\n"
        "heavy = {'tensorflow', 'keras', 'numba', 'pynndescent', 'blimpy', 'matplotlib', 'dask', 'distributed'}\n"
        "heavy |= {'zarr'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
