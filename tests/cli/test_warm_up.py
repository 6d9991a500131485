"""``lookalike warm-up``. The graph, which takes long to compile, is left to `make setup`."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pipeline.index
from tests.cli.conftest import Lookalike


def test_what_a_run_compiles_is_compiled(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[Path, int, int]] = []

    def build_segment(folder: Path, vectors: Any, *_: Any) -> Any:
        assert folder.parent.is_dir()
        return SimpleNamespace(search=lambda queries, k: built.append((folder, len(queries), k)))

    monkeypatch.setattr(pipeline.index, "build_segment", build_segment)
    ran = lookalike("warm-up")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"compiled in \d+ s\n", ran.out)
    ((folder, queries, k),) = built
    assert (queries, k) == (1, 10)
    assert not folder.parent.exists()  # nothing is left behind
