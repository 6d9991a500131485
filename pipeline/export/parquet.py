"""Tables as Parquet files, which pandas, DuckDB and Spark read."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

from pipeline.errors import ConfigError
from pipeline.export.table import Table
from pipeline.support.text import shown


def parquet_of(table: Table) -> bytes:
    """Return a table as Parquet.

    The metadata of each column hold its unit and description; those of the table hold what is known about all of it.

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
         for name, column in table.columns.items()],
        metadata={f"lookalike.{name}": shown(value) for name, value in table.about.items()})
    rows = [{name: _cell(row[name], column.kind) for name, column in table.columns.items()} for row in table.rows]
    written = BytesIO()
    parquet.write_table(arrow.Table.from_pylist(rows, schema=schema), written)
    return written.getvalue()


def _cell(value: Any, kind: str) -> Any:
    """Return a value that fits its column. What UTF-8 cannot express, such as a byte of a name, appears escaped."""
    if kind != "text":
        return value
    return "".join(shown(one) if "\ud800" <= one <= "\udfff" else one for one in value or "")
