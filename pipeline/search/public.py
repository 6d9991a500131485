"""The public names of :mod:`pipeline.search`. Other packages import them from there."""

from pipeline.search.cells import Routes, routes_of
from pipeline.search.corpus import Corpus, open_corpus
from pipeline.search.description import QueryDescription
from pipeline.search.encoder import encoder_key
from pipeline.search.example_forms import with_file
from pipeline.search.families import MEMBER_COLUMNS, Families, FamilyMembers
from pipeline.search.filter_table import FILTERS, Filter
from pipeline.search.filters import Filters
from pipeline.search.hit_rows import request_of_pixels
from pipeline.search.labelled import CorpusLabels
from pipeline.search.limits import FullPlaces
from pipeline.search.listing import (
    ListedScan,
    ListedWindow,
    channel_starts,
    list_scan,
    list_window,
    list_windows,
    table_of_scans,
    table_of_windows,
    views_of,
)
from pipeline.search.nearest import Nearest, best_scores, to_unit_length
from pipeline.search.neighbours import nearest_of_each
from pipeline.search.occurrence_settings import OccurrenceSettings
from pipeline.search.overview import Overview
from pipeline.search.request import SearchRequest
from pipeline.search.result import HIT_COLUMNS, SearchResult
from pipeline.search.row_answer import ROW_COLUMNS, RowAnswer
from pipeline.search.row_scans import ScanFinder
from pipeline.search.rows_html import page_of_rows, words_of_rows
from pipeline.search.selection import Selection, is_approximate
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.status import CorpusStatus

__all__ = [
    "FILTERS",
    "HIT_COLUMNS",
    "MEMBER_COLUMNS",
    "ROW_COLUMNS",
    "Corpus",
    "CorpusLabels",
    "CorpusStatus",
    "Families",
    "FamilyMembers",
    "Filter",
    "Filters",
    "FullPlaces",
    "ListedScan",
    "ListedWindow",
    "Nearest",
    "OccurrenceSettings",
    "OpenCorpus",
    "Overview",
    "QueryDescription",
    "Routes",
    "RowAnswer",
    "ScanFinder",
    "SearchRequest",
    "SearchResult",
    "Selection",
    "best_scores",
    "channel_starts",
    "encoder_key",
    "is_approximate",
    "list_scan",
    "list_window",
    "list_windows",
    "nearest_of_each",
    "open_corpus",
    "page_of_rows",
    "request_of_pixels",
    "routes_of",
    "table_of_scans",
    "table_of_windows",
    "to_unit_length",
    "views_of",
    "with_file",
    "words_of_rows",
]
