"""Upgrade: bring a corpus that an earlier version made to the format of this version.

Windows, vectors and index segments are not touched: groups of format 1 are read as they are. Source files are not read.
Each step replaces one file atomically, and a step that is done is not done again: after a kill, the next upgrade does
the steps that are left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config import CONFIG_FILE, Config
from pipeline.errors import ConfigError
from pipeline.run.failures import disk_errors
from pipeline.store import (
    CURRENT,
    IDENTITY,
    CorpusStore,
    count_old_groups,
    is_identity_in_current_format,
    is_in_current_format,
    pasted,
    write_identity,
)
from pipeline.support.durable import write_atomic
from pipeline.support.toml_tables import read_toml, tables_of

_RUN = "run"
_OLD_COMMENT = "# [index], [run] and [nightly] may be edited at any time."
_NEW_COMMENT = "# [index] and [nightly] may be edited at any time."


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade changed, or would change."""

    changes: tuple[str, ...]
    """One sentence for each file that was replaced; empty if the corpus is in the format of this version."""
    dry_run: bool
    """True if nothing was written."""
    files_to_read: int = 0
    """Source files that an ingest must read again before the corpus has all that this version stores. No such change
    of the format exists yet."""
    bytes_to_read: int = 0
    """Size of these files."""
    groups_of_format_1: int = 0
    """Sources, and sets of vectors of a source, that are stored in many files. They are read as they are, and stay."""

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``upgrade --json`` prints."""
        return {**asdict(self), "changes": list(self.changes)}


@dataclass(frozen=True, slots=True)
class _Step:
    """One file to replace."""

    change: str
    make: Callable[[], object]


def upgrade(corpus: str | Path = "corpus", *, dry_run: bool = False) -> Upgrade:
    """Bring a corpus to the format of this version, without reading source files.

    Parameters
    ----------
    corpus : path
        Folder of the corpus.
    dry_run : bool
        Find what would change, and write nothing.

    Returns
    -------
    Upgrade
        What changed; no changes if the corpus was in this format before.

    Raises
    ------
    ConfigError
        ``corpus.toml`` has a table ``[run]`` with values of its own; nothing was changed.
    CorpusNotFound, CorpusLocked, CorpusDamaged, CorpusMismatch, RunError
        No corpus is there; another run holds it; it is damaged; a newer version made it; or its disk cannot be
        written. Run the upgrade again after the cause is removed.
    """
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    if dry_run:
        steps = _steps(store)
    else:
        with disk_errors(root), store.lock():
            steps = _steps(store)
            for step in steps:
                step.make()
    return Upgrade(tuple(step.change for step in steps), dry_run,
                   groups_of_format_1=count_old_groups(root, store.manifest()))


def _steps(store: CorpusStore) -> list[_Step]:
    """Find what is to be done. Every check comes before the first write."""
    root, steps = store.root, []
    path = root / CONFIG_FILE
    text = read_toml(path)  # empty if the file is missing, which ``verify`` reports
    upgraded = _without_run(path, text)
    if upgraded != text:
        steps.append(_Step(f"{CONFIG_FILE}: the table [run] is taken out; all its values were defaults",
                           lambda: write_atomic(path, upgraded.encode())))
    if not is_identity_in_current_format(root):
        steps.append(_Step(f"{IDENTITY}: written in the current format", lambda: write_identity(root, store.identity)))
    if not is_in_current_format(root):
        steps.append(_Step(f"{CURRENT}: a new generation of the manifest, in the current format",
                           lambda: store.publish(replace)))  # a copy counts as a change
    return steps


def _without_run(path: Path, text: str) -> str:
    """Return ``corpus.toml`` without its table ``[run]``; the other tables stay as they are.

    Raises
    ------
    ConfigError
        The table has values that are no defaults, or the text is not TOML.
    """
    tables = tables_of(path, text)
    if _RUN not in tables:
        return text
    Config.of_corpus(path.parent)  # refuses values that are not the defaults, and unknown keys
    del tables[_RUN]
    lines: list[str] = []
    is_run = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            is_run = re.match(rf"\s*\[\s*{_RUN}\s*\]", line) is not None
        if not is_run or line.lstrip().startswith("#"):  # a comment may belong to the table below it
            lines.append(line)
    changed = "".join(lines).replace(_OLD_COMMENT, _NEW_COMMENT)
    if tables_of(path, changed) != tables:
        raise ConfigError(f"{path}: [run] can only be taken out by hand; delete its lines, then run "
                          + pasted("lookalike upgrade", path.parent))
    return changed
