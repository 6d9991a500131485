"""Objects that are set aside are put back, unless something else has taken their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.integrity.set_aside import bring_back, set_aside
from pipeline.store import CorpusStore
from tests.store import conftest as of_stores

store = of_stores.store


@pytest.fixture
def folder(store: CorpusStore) -> Path:
    folder = store.root / "vectors" / "key" / "source"
    folder.mkdir(parents=True)
    (folder / "file").write_text("damaged")
    return folder


def test_what_is_replaced_is_deleted(store: CorpusStore, folder: Path) -> None:
    with set_aside(store.root, folder):
        assert not folder.exists()
        assert (store.root / "damaged/vectors/key/source/file").read_text() == "damaged"
        folder.mkdir()
        (folder / "file").write_text("new")
    assert (folder / "file").read_text() == "new"
    assert not (store.root / "damaged").exists()


def test_what_is_not_replaced_is_put_back(store: CorpusStore, folder: Path) -> None:
    with pytest.raises(RuntimeError), set_aside(store.root, folder):
        raise RuntimeError
    assert (folder / "file").read_text() == "damaged"
    assert not (store.root / "damaged").exists()


def test_a_folder_that_is_missing_is_no_trouble(store: CorpusStore, folder: Path) -> None:
    other = folder.with_name("other")
    with set_aside(store.root, other):
        other.mkdir()
    assert other.is_dir()


@pytest.mark.parametrize("kind", ["sources/a", "vectors/key/a", "index/a", "encoders/a"])
def test_after_a_kill_every_kind_is_put_back(store: CorpusStore, kind: str) -> None:
    aside = store.root / "damaged" / kind
    aside.mkdir(parents=True)
    bring_back(store.root)
    assert (store.root / kind).is_dir()
    assert not (store.root / "damaged").exists()


def test_a_segment_is_put_back_with_all_that_it_holds(store: CorpusStore) -> None:
    aside = store.root / "damaged" / "index" / "a"
    (aside / "cell-0001").mkdir(parents=True)
    (aside / "segment.json").write_text("damaged")
    bring_back(store.root)
    assert {path.name for path in (store.root / "index" / "a").iterdir()} == {"cell-0001", "segment.json"}
    assert not (store.root / "damaged").exists()


def test_a_file_kept_for_the_user_stays(store: CorpusStore) -> None:
    os.makedirs(store.root / "damaged")
    (store.root / "damaged" / "corpus.toml").write_text("mine")
    bring_back(store.root)
    assert (store.root / "damaged" / "corpus.toml").read_text() == "mine"
