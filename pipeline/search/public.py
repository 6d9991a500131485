"""The public names of :mod:`pipeline.search`. Other packages import them from there."""

from pipeline.search.corpus import Corpus, open_corpus
from pipeline.search.description import QueryDescription
from pipeline.search.filters import Filters
from pipeline.search.request import SearchRequest
from pipeline.search.result import SearchResult
from pipeline.search.status import CorpusStatus

__all__ = ["Corpus", "CorpusStatus", "Filters", "QueryDescription", "SearchRequest", "SearchResult", "open_corpus"]
