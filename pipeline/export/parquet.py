"""Hits as a Parquet file, which pandas, DuckDB and Spark read."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

from pipeline.errors import ConfigError
from pipeline.export.columns import COLUMNS
from pipeline.export.votable import about
from pipeline.model import Result
from pipeline.support.text import shown


def parquet_of(result: Result) -> bytes:
    """Return the hits as Parquet, with the columns of :meth:`pipeline.search.SearchResult.to_dataframe`.

    The metadata of each column hold its unit and description; those of the table hold the query, the encoder, the
    verdict and the note.

    Raises
    ------
    ConfigError
        pyarrow is not installed.
    """
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError("Parquet needs pyarrow, which is not installed; install it with: pip install pyarrow"
                          ) from error
    types = {"whole": arrow.int64(), "real": arrow.float64(), "yes_no": arrow.bool_(), "text": arrow.string()}
    schema = arrow.schema(
        [arrow.field(name, types[column.kind], metadata={"description": column.description, "unit": column.unit})
         for name, column in COLUMNS.items()],
        metadata={f"lookalike.{name}": shown(value) for name, value in about(result).items()})
    rows = [{name: _cell(row[name], column.kind) for name, column in COLUMNS.items()} for row in result.rows()]
    written = BytesIO()
    parquet.write_table(arrow.Table.from_pylist(rows, schema=schema), written)
    return written.getvalue()


def _cell(value: Any, kind: str) -> Any:
    """Return a value that fits its column. Bytes of names that are not UTF-8 appear escaped."""
    if kind != "text":
        return value
    return "" if value is None else value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
