"""Results of a search in the formats of other programs: tables, pages, pictures, cut-outs, and messages by SAMP."""

from pipeline.export.columns import COLUMNS
from pipeline.export.csv_table import csv_of
from pipeline.export.cut_outs import write_cut_outs
from pipeline.export.formats import FORMATS, PLOTS, encoded, format_of, save
from pipeline.export.page import notebook_html_of
from pipeline.export.samp import send_by_samp

__all__ = [
    "COLUMNS",
    "FORMATS",
    "PLOTS",
    "csv_of",
    "encoded",
    "format_of",
    "notebook_html_of",
    "save",
    "send_by_samp",
    "write_cut_outs",
]
