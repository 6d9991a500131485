"""Hits as a VOTable, the table format of the Virtual Observatory, which TOPCAT and astropy read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Xml

from pipeline.export.columns import COLUMNS, Column
from pipeline.model import Result
from pipeline.support.text import shown

NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
"""Of versions 1.3 and 1.4, as their schema says."""
UTC = "utc"
"""Id of the time system of the column ``mjd``."""
_TYPES: Mapping[str, dict[str, str]] = {
    "whole": {"datatype": "long"},
    "real": {"datatype": "double"},
    "yes_no": {"datatype": "boolean"},
    "text": {"datatype": "unicodeChar", "arraysize": "*"},
}


def votable_of(result: Result) -> bytes:
    """Return the hits as a VOTable 1.4, in UTF-8.

    Each column has its unit, its UCD and a description. ``INFO`` elements hold the query, the encoder, the verdict and
    the note. Control characters in names appear escaped, because XML cannot hold them.
    """
    root = Xml.Element("VOTABLE", {"version": "1.4", "xmlns": NAMESPACE})
    resource = Xml.SubElement(root, "RESOURCE", {"type": "results", "name": "lookalike"})
    Xml.SubElement(resource, "TIMESYS", {"ID": UTC, "timeorigin": "MJD-origin", "timescale": "UTC",
                                         "refposition": "TOPOCENTER"})
    table = Xml.SubElement(resource, "TABLE", {"name": "hits", "nrows": str(len(result.hits))})
    Xml.SubElement(table, "DESCRIPTION").text = shown(f"Look-alikes of {result.description}")
    for name, column in COLUMNS.items():
        _field(table, name, column)
    rows = Xml.SubElement(Xml.SubElement(table, "DATA"), "TABLEDATA")
    for row in result.rows():
        cells = Xml.SubElement(rows, "TR")
        for name in COLUMNS:
            Xml.SubElement(cells, "TD").text = _cell(row[name])
    for name, value in about(result).items():
        Xml.SubElement(resource, "INFO", {"name": name, "value": shown(value)})
    Xml.indent(root)
    content: bytes = Xml.tostring(root, "UTF-8", xml_declaration=True)
    return content + b"\n"


def about(result: Result) -> dict[str, str]:
    """Return what a table of hits should carry with it: query, encoder, corpus, verdict and note, as texts."""
    facts = {"query": json.dumps(result.query), "encoder": result.encoder, "corpus": json.dumps(dict(result.corpus)),
             "verdict": result.words_of_verdict, "note": result.description.note}
    return {name: value for name, value in facts.items() if value}


def _field(table: Xml.Element, name: str, column: Column) -> None:
    attributes = {"name": name, "ID": name, "ucd": column.ucd, **_TYPES[column.kind]}
    if column.unit:
        attributes["unit"] = column.unit
    if name == "mjd":
        attributes["ref"] = UTC
    field = Xml.SubElement(table, "FIELD", attributes)
    Xml.SubElement(field, "DESCRIPTION").text = column.description


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return shown(value) if isinstance(value, str) else repr(value)
