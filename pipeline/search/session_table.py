"""The user's corrections of sessions: a CSV file beside the corpus, as ``lookalike cadences --csv`` prints it."""

from __future__ import annotations

import csv
from pathlib import Path

from pipeline.catalogue import Corrections, Manifest, Session, sessions_of, sources_named
from pipeline.errors import ConfigError
from pipeline.support.text import counted
from pipeline.support.user_files import read_user_table

COLUMNS = ("scan", "session", "pointing")
"""Columns that are read. Others, such as those that the command prints for people, are ignored."""


def table_path(root: Path) -> Path:
    """Return the path of the corrections for a corpus, which may not exist: ``CORPUS-cadences.csv`` beside it."""
    root = root.absolute()
    return root.with_name(f"{root.name}-cadences.csv")


def sessions_in(root: Path, manifest: Manifest) -> list[Session]:
    """Group the scans of a corpus into sessions, with the user's corrections.

    Raises
    ------
    ConfigError
        The file of corrections cannot be used; the message names it and the line.
    """
    return sessions_of(manifest.sources, _corrections(table_path(root), manifest))


def _corrections(path: Path, manifest: Manifest) -> Corrections:
    lines = read_user_table(path)
    if not any(lines):  # no file; or one that a shell has emptied, to write the output of the command to it
        return {}
    reader = csv.DictReader(lines, strict=True)
    said: dict[str, tuple[str, str]] = {}
    paths = {scan_id: (entry.path, *entry.also_at) for scan_id, entry in manifest.sources.items()}
    try:
        if lacking := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ConfigError(f"{path}: has no column {lacking[0]!r}; its first line must name {', '.join(COLUMNS)}")
        for row in reader:
            scan, session, pointing = ((row[name] or "").strip() for name in COLUMNS)
            found = sources_named(scan, paths)
            if len(found) > 1:
                raise ConfigError(f"{path}, line {reader.line_num}: {scan!r} names {counted(len(found), 'scan')}: give "
                                  "the id of one")
            said.update((scan_id, (session, pointing)) for scan_id in found)  # a scan of another corpus is no fault
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: is no CSV ({error})") from error
    return said
