"""Tables in the format of the Virtual Observatory, which TOPCAT and astropy read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Xml

from pipeline.export.columns import Column
from pipeline.export.table import Table
from pipeline.support.text import shown

NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
"""Of versions 1.3 and 1.4, as their schema says."""
UTC = "utc"
"""Id of the time system of columns with an MJD."""
_TYPES: Mapping[str, dict[str, str]] = {
    "whole": {"datatype": "long"},
    "real": {"datatype": "double"},
    "yes_no": {"datatype": "boolean"},
    "text": {"datatype": "unicodeChar", "arraysize": "*"},
}


def votable_of(table: Table) -> bytes:
    """Return a table as a VOTable 1.4, in UTF-8.

    Each column has its unit, its UCD and a description. ``INFO`` elements hold what is known about the whole table.
    Control characters in names appear escaped, because XML cannot hold them.
    """
    root = Xml.Element("VOTABLE", {"version": "1.4", "xmlns": NAMESPACE})
    resource = Xml.SubElement(root, "RESOURCE", {"type": "results", "name": "lookalike"})
    Xml.SubElement(resource, "TIMESYS", {"ID": UTC, "timeorigin": "MJD-origin", "timescale": "UTC",
                                         "refposition": "TOPOCENTER"})
    element = Xml.SubElement(resource, "TABLE", {"name": table.name, "nrows": str(len(table.rows))})
    Xml.SubElement(element, "DESCRIPTION").text = shown(table.description)
    for name, column in table.columns.items():
        _field(element, name, column)
    rows = Xml.SubElement(Xml.SubElement(element, "DATA"), "TABLEDATA")
    for row in table.rows:
        cells = Xml.SubElement(rows, "TR")
        for name in table.columns:
            Xml.SubElement(cells, "TD").text = _cell(row[name])
    for name, value in table.about.items():
        Xml.SubElement(resource, "INFO", {"name": name, "value": shown(value)})
    Xml.indent(root)
    content: bytes = Xml.tostring(root, "UTF-8", xml_declaration=True)
    return content + b"\n"


def _field(table: Xml.Element, name: str, column: Column) -> None:
    attributes = {"name": name, "ID": name, "ucd": column.ucd, **_TYPES[column.kind]}
    if column.unit:
        attributes["unit"] = column.unit
    if name == "mjd" or name.endswith("_mjd"):
        attributes["ref"] = UTC
    field = Xml.SubElement(table, "FIELD", attributes)
    Xml.SubElement(field, "DESCRIPTION").text = column.description


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return shown(value) if isinstance(value, str) else repr(value)
