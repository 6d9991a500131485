"""A file of a corpus that this user may not read is no damage: it is named, and nothing is repaired or forgotten."""

from __future__ import annotations

import builtins
import io
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RunError
from pipeline.nightly import nightly
from pipeline.search import open_corpus
from pipeline.store import CorpusStore
from pipeline.support.disk_faults import words_of
from tests.cli.conftest import Lookalike, lookalike
from tests.run.damages import CONFIG
from tests.security.attacked import Attacked, attacked, original, snapshot

__all__ = ["attacked", "lookalike", "original"]

PLACES = ["CURRENT", "manifest", "sources/ID/group.json", "sources/ID/windows.npy", "sources/ID/exposure.npy",
          "sources/ID/cutout/zarr.json", "sources/ID/cutout/c.0.0.0", "vectors/KEY/ID/group.json",
          "vectors/KEY/ID/vector/zarr.json", "vectors/KEY/ID/vector/c.0.0", "index/SEG/segment.json",
          "index/SEG/vectors.npy"]


def closed(patch: pytest.MonkeyPatch, place: Path) -> None:
    """Refuse to open a file, or to look into a folder, as the system does for a user who may not. Root always may."""

    def refusing(name: str, really: Callable[..., Any], *, of_folder: bool = False) -> Callable[..., Any]:
        def refuse(path: Any, *arguments: Any, **more: Any) -> Any:
            asked = Path(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else None
            if asked is not None and (asked == place if not of_folder else place in asked.parents):
                raise PermissionError(13, "Permission denied", str(asked))
            return really(path, *arguments, **more)

        return refuse

    is_folder = stat.S_ISDIR(os.stat(place).st_mode)
    for module, name in ((os, "open"), (io, "open"), (builtins, "open"), *(((os, "stat"),) if is_folder else ())):
        patch.setattr(module, name, refusing(name, getattr(module, name), of_folder=is_folder))


def told(attacked: Attacked, command: str) -> tuple[int, str]:
    """Run a command; return its exit code and what the command line says."""
    try:
        return attacked.call(command)
    except OSError as error:
        return RunError.exit_code, words_of(error) or ""


def file_of(attacked: Attacked, place: str) -> Path:
    number = int((attacked.root / "CURRENT").read_text().split()[0])
    return attacked.place(place if place != "manifest" else f"manifest/{number:08d}.json")


@pytest.mark.parametrize("place", PLACES)
def test_a_closed_file_is_named_by_every_reader_and_nothing_is_mended(
    attacked: Attacked, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before, source_id = file_of(attacked, place), snapshot(attacked.root), attacked.source_id
    with monkeypatch.context() as patch:
        closed(patch, path)
        for command in ("verify", "verify --repair"):
            code, said = told(attacked, command)
            assert code == 1
            assert str(path) in said
            assert "Permission denied" in said
            assert "ask its owner for permission" in said
        with pytest.raises(PermissionError) as caught:
            open_corpus(attacked.root).search(window=f"{source_id}/5", k=3)
        assert caught.value.filename == str(path)
    after = snapshot(attacked.root)
    for found in (before, after):  # a run takes the lock
        for name in [name for name in found if name.split("/")[0] == "lock"]:
            del found[name]
    assert after == before
    assert attacked.call("verify") == (0, "")


def test_the_command_line_names_file_cause_and_remedy(
    attacked: Attacked, lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = attacked.place("sources/ID/windows.npy")
    closed(monkeypatch, path)
    for command in (["verify"], ["search", "--window", f"{attacked.source_id}/5"]):
        ran = lookalike(*command, "--corpus", attacked.root)
        assert (ran.code, ran.err) == (
            1, f"lookalike: {path}: cannot be read or written (Permission denied); ask its owner for permission\n")


@pytest.mark.parametrize("command", ["ingest", "embed", "index", "remove"])
def test_a_source_in_a_closed_folder_is_not_forgotten(
    attacked: Attacked, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = CorpusStore.open(attacked.root).manifest()
    with monkeypatch.context() as patch:
        closed(patch, attacked.root / "sources")
        code, said = told(attacked, command)
    assert code == 1
    assert "/corpus/sources/GBT_" in said
    assert "ask its owner for permission" in said
    assert CorpusStore.open(attacked.root).manifest() == held


def test_a_night_says_in_words_which_file_is_closed(attacked: Attacked, monkeypatch: pytest.MonkeyPatch) -> None:
    path = attacked.place("index/SEG/vectors.npy")
    with monkeypatch.context() as patch:
        closed(patch, path)
        config = replace(CONFIG, nightly=replace(CONFIG.nightly, verify=1.0))
        report = nightly([attacked.data], attacked.root, config=config, serial=True)
    assert report.exit_code == 3
    assert [(step.name, step.message) for step in report.steps if step.status == "failed"] == [
        ("verify", f"{path}: cannot be read or written (Permission denied); ask its owner for permission")]
