"""Sources are removed from a corpus, and taken back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, IndexConfig
from pipeline.errors import CorpusLocked, CorpusNotFound, QueryError, Reason
from pipeline.run import index, ingest, remove
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, SourceGroup
from tests.run.small import SCAN, archive, by_name, config, contents, write_scan

KEEP_ALL = replace(SCAN, keep_all=True)
INDEXED = replace(config(KEEP_ALL), index=IndexConfig(exact_below=50))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scans, their corpus and its index. Tests must not change them."""
    folder = tmp_path_factory.mktemp("remove")
    ingest([archive(folder / "data", 5)], folder / "corpus", config=config(KEEP_ALL), serial=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.index.build.MIN_GRAPH_VECTORS", 10**9)  # compiling takes most of a minute
        index(folder / "corpus", config=INDEXED)
    return folder


@pytest.fixture
def data(made: Path) -> Path:
    return made / "data"


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "corpus", tmp_path / "corpus"))


def id_of(root: Path, name: str) -> str:
    (found,) = {i for i, entry in CorpusStore.open(root).manifest().sources.items() if Path(entry.path).name == name}
    return found


def found(root: Path, query: str) -> set[str]:
    """Return the sources of all hits of a search for a window."""
    return {hit.source_id for hit in open_corpus(root).search(window=query, k=1000)}


def again(data: Path, root: Path, how: Config = config(KEEP_ALL)) -> dict[str, tuple[str, Reason | None]]:  # noqa: B008
    return {name: (r.status, r.reason) for name, r in by_name(ingest([data], root, config=how, serial=True)).items()}


SKIPPED = ("skipped", None)
REMOVED = ("skipped", Reason.REMOVED)


def test_what_is_removed_is_found_no_more_and_does_not_come_back(corpus: Path, data: Path) -> None:
    gone, other = id_of(corpus, "scan0.h5"), id_of(corpus, "scan3.h5")
    query = f"{other}/{SourceGroup.open(corpus, other).numbers[0]}"
    before = found(corpus, query)
    assert len(before) == 5
    (done,) = remove(["scan0.h5"], corpus)
    assert (done.source_id, Path(done.path).name, done.windows) == (gone, "scan0.h5", 64)
    assert dict(done.vectors) == {"power-spectrum-v1": 64}
    assert found(corpus, query) == before - {gone}
    manifest = CorpusStore.open(corpus).manifest()
    assert [segment.live_count for segment in manifest.segments] == [256], "the others' rows are served as before"
    assert again(data, corpus) == {"scan0.h5": REMOVED, **dict.fromkeys(
        ["scan1.fil", "scan2.h5", "scan3.h5", "scan4.fil"], SKIPPED)}
    assert CorpusStore.open(corpus).manifest().generation == manifest.generation, "nothing is probed, nothing changes"
    assert found(corpus, query) == before - {gone}
    assert open_corpus(corpus).status().to_json()["vectors_indexed"] == 256


def test_files_of_a_removed_scan_are_known_wherever_they_turn_up(corpus: Path, data: Path, tmp_path: Path) -> None:
    gone = id_of(corpus, "scan0.h5")
    remove([gone], corpus)
    copy = Path(shutil.copytree(data, tmp_path / "elsewhere"))
    write_scan(copy / "same.fil", 0)
    report = ingest([copy], corpus, config=config(KEEP_ALL), serial=True, dry_run=True)
    assert by_name(report)["same.fil"].reason is Reason.REMOVED
    for _ in range(2):
        report = ingest([copy], corpus, config=config(KEEP_ALL), serial=True)
        for name in ("scan0.h5", "same.fil"):
            one = by_name(report)[name]
            assert (one.status, one.reason, one.source_id) == ("skipped", Reason.REMOVED, gone)
            assert one.message == (f"{copy / name}: was removed; to take it in again: "
                                   f"lookalike remove --undo {gone} --corpus CORPUS")
        assert report.exit_code == 0
    assert report.tasks == 0, "the second time it is known"


def test_taken_back_within_a_day_it_is_there_at_once(corpus: Path, data: Path, made: Path) -> None:
    before = contents(made / "corpus")
    gone = id_of(corpus, "scan1.fil")
    inode = (corpus / "sources" / gone).stat().st_ino
    remove([gone], corpus)
    (back,) = remove(["scan1.fil"], corpus, undo=True)
    assert (back.source_id, back.windows, back.is_held) == (gone, 64, True)
    assert again(data, corpus) == dict.fromkeys(["scan0.h5", "scan1.fil", "scan2.h5", "scan3.h5", "scan4.fil"], SKIPPED)
    assert (corpus / "sources" / gone).stat().st_ino == inode
    after = contents(corpus)
    assert after.keys() == before.keys()
    assert after["files"] == before["files"]
    assert found(corpus, f"{gone}/{SourceGroup.open(corpus, gone).numbers[0]}") >= {gone}


def test_taken_back_later_its_file_is_read_again(
    corpus: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = id_of(corpus, "scan0.h5")
    numbers = SourceGroup.open(corpus, gone).numbers
    remove([gone], corpus)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.store.retirement.GRACE_S", 0.0)
        assert again(data, corpus)["scan0.h5"] == REMOVED
    assert not (corpus / "sources" / gone).exists()
    assert not list(corpus.glob(f"vectors/*/{gone}"))
    (back,) = remove([gone[:-2]], corpus, undo=True)
    assert (back.source_id, back.windows, back.is_held) == (gone, 0, False)
    assert again(data, corpus)["scan0.h5"] == ("done", None)
    np.testing.assert_array_equal(SourceGroup.open(corpus, gone).numbers, numbers)
    manifest = CorpusStore.open(corpus).manifest()
    assert (len(manifest.sources), manifest.retired, manifest.removed) == (5, {}, {})
    (segment,) = manifest.segments
    assert gone in segment.dead, "it is scanned until the next index"


def test_all_or_none(corpus: Path) -> None:
    before = CorpusStore.open(corpus).manifest()
    with pytest.raises(QueryError, match=r"nothing\.h5: no source of .*corpus has this id or file name; there are GBT"):
        remove(["scan0.h5", "nothing.h5"], corpus)
    with pytest.raises(QueryError, match="GBT: could be any of GBT_"):
        remove(["scan0.h5", "GBT"], corpus)
    with pytest.raises(QueryError, match=r"nothing\.h5: no source removed from .* there are none"):
        remove(["nothing.h5"], corpus, undo=True)
    planned = remove(["scan0.h5", "scan2.h5", "scan0.h5"], corpus, dry_run=True)
    assert [Path(one.path).name for one in planned] == ["scan0.h5", "scan2.h5"]
    with CorpusStore.open(corpus).lock(), pytest.raises(CorpusLocked):
        remove(["scan0.h5"], corpus)
    assert CorpusStore.open(corpus).manifest() == before
    assert remove(["scan0.h5", "scan2.h5"], corpus) == planned
    manifest = CorpusStore.open(corpus).manifest()
    assert (manifest.generation, len(manifest.sources)) == (before.generation + 1, 3)


def test_what_has_been_done_before_is_told_apart_from_what_never_was_there(corpus: Path) -> None:
    gone, other = id_of(corpus, "scan0.h5"), id_of(corpus, "scan2.h5")
    remove([gone], corpus)
    for name in (gone, gone[:-2], "scan0.h5"):
        undo = f"lookalike remove --undo {gone} --corpus {corpus}"
        with pytest.raises(QueryError, match=f"^{name}: was removed before; .*: {undo}$"):
            remove([name], corpus)
    with pytest.raises(QueryError, match=f"^scan2.h5: {other} is in the corpus, there is nothing to take back$"):
        remove(["scan2.h5"], corpus, undo=True)
    with pytest.raises(QueryError, match=r"^GBT: could be any of"):
        remove(["GBT"], corpus)
    remove(["GBT"], corpus, undo=True)
    with pytest.raises(QueryError, match=r"^GBT: no source removed from .* there are none"):
        remove(["GBT"], corpus, undo=True)


def test_what_an_interrupted_run_had_committed_can_be_removed(corpus: Path) -> None:
    gone = id_of(corpus, "scan4.fil")
    entry = CorpusStore.open(corpus).manifest().sources[gone]
    forgotten = CorpusStore.open(corpus)
    forgotten.publish(lambda m: m.without_sources([gone]))
    forgotten.publish(lambda m: replace(m, retired={}))  # as if it had never been named
    (done,) = remove([gone], corpus)
    assert (done.source_id, done.windows) == (gone, entry.windows_kept)
    assert gone not in CorpusStore.open(corpus).manifest().sources


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFound):
        remove(["a"], tmp_path / "nowhere")
