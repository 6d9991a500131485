"""The command reference equals the output of ``--help``."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_commands_print() -> None:
    spec = importlib.util.spec_from_file_location("make_commands", DOCS / "make_commands.py")
    assert spec is not None
    assert spec.loader is not None
    make_commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_commands)
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    # only the words are compared, because versions of click break lines differently
    assert written.split() == make_commands.page().split(), "run: python docs/make_commands.py"
