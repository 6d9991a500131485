"""Every error about a file names the file, the value and what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pipeline

ROOT = Path(pipeline.__file__).parent
MAKERS = {"refusal", "_refusal", "SourceError"}
NOTHING_TO_DO = {"NOT_FILTERBANK", "DUPLICATE"}
LINKS_ABOVE = "links to a folder above it"  # skipped, because the files there are found all the same


def messages(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, reason code and message of each error in a module. A value in the message is written as {}."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in MAKERS:
            reason, text = node.args[0], node.args[-1]
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            message = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            yield node.lineno, getattr(reason, "attr", ""), message


def test_every_message_ends_with_what_to_do() -> None:
    found = [(f"{path.relative_to(ROOT)}:{line}", reason, message)
             for path in ROOT.rglob("*.py") for line, reason, message in messages(path)]
    without = [(where, message) for where, reason, message in found
               if reason not in NOTHING_TO_DO and message != LINKS_ABOVE and not message.endswith("{}")
               and not all(message.rpartition("; ")[::2])]
    assert len(found) > 50, "the search finds the errors"
    assert not without
