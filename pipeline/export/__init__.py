"""Results in the formats of other programs: tables, pages, pictures, cut-outs, and messages by SAMP."""

from pipeline.export.columns import COLUMNS, FAMILY_COLUMNS, NIGHT_COLUMNS, ROW_COLUMNS, SCAN_COLUMNS, WINDOW_COLUMNS
from pipeline.export.csv_table import csv_of
from pipeline.export.cut_outs import write_cut_outs
from pipeline.export.formats import FORMATS, PLOTS, TABLE_FORMATS, encoded, encoded_table, format_of, save
from pipeline.export.page import notebook_html_of
from pipeline.export.samp import send_by_samp
from pipeline.export.table import Table

__all__ = [
    "COLUMNS",
    "FAMILY_COLUMNS",
    "FORMATS",
    "NIGHT_COLUMNS",
    "PLOTS",
    "ROW_COLUMNS",
    "SCAN_COLUMNS",
    "TABLE_FORMATS",
    "WINDOW_COLUMNS",
    "Table",
    "csv_of",
    "encoded",
    "encoded_table",
    "format_of",
    "notebook_html_of",
    "save",
    "send_by_samp",
    "write_cut_outs",
]
