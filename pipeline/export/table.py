"""A table of anything: rows, and what each column holds. Hits, scans, windows and families become tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.export.columns import COLUMNS, Column
from pipeline.model import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows with the same columns."""

    name: str
    """What a row is, in the plural, such as ``hits``."""
    description: str
    columns: Mapping[str, Column]
    """Name → what the column holds, in order."""
    rows: Sequence[Mapping[str, Any]]
    """Values by the names of columns: text, numbers, truth values or None."""
    about: Mapping[str, str] = field(default_factory=dict)
    """Facts about the whole table, as texts, such as the query."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary: what the table is, its columns with units and meanings, and its rows."""
        return {"name": self.name, "description": self.description, **self.about,
                "columns": {name: {"unit": one.unit, "description": one.description}
                            for name, one in self.columns.items()},
                "rows": [dict(row) for row in self.rows]}

    def save(self, path: str | Path) -> Path:
        """Write the table to a file, in the format that the suffix of its name chooses: .csv, .vot, .parquet, .json
        or .html.

        Returns
        -------
        Path
            ``path``.

        Raises
        ------
        ConfigError
            The suffix chooses no format, a package for it is not installed, or the file cannot be written.
        """
        from pipeline.export.formats import save_table

        return save_table(self, path)


def table_of_hits(result: Result) -> Table:
    """Return the hits of a search as a table."""
    facts = {"query": json.dumps(result.query), "encoder": result.encoder, "corpus": json.dumps(dict(result.corpus)),
             "verdict": result.words_of_verdict, "note": result.description.note}
    return Table(name="hits", description=f"Look-alikes of {result.description}", columns=COLUMNS, rows=result.rows(),
                 about={name: value for name, value in facts.items() if value})
