# The public names: this file is their only list. Type checkers read it, and pipeline/__init__.py reads it to find the
# module of a name when the name is first used.

from pipeline.config import Config as Config
from pipeline.encoders import encode as encode
from pipeline.errors import PipelineError as PipelineError
from pipeline.execute.cluster_search import open_on_cluster as open_on_cluster
from pipeline.filterbank import read_waterfall as read_waterfall
from pipeline.hit_tables import parse_hit_table as parse_hit_table
from pipeline.hit_tables import read_hit_table as read_hit_table
from pipeline.integrity import verify as verify
from pipeline.interference import KnownBand as KnownBand
from pipeline.interference import known_bands as known_bands
from pipeline.nightly import nightly as run_nightly  # pipeline.nightly is the package of that name
from pipeline.plot_reader import PlotReading as PlotReading
from pipeline.plot_reader import read_plot as read_plot
from pipeline.run import embed as embed
from pipeline.run import find_families as find_families
from pipeline.run import index as build_index  # pipeline.index is the package of that name
from pipeline.run import ingest as ingest
from pipeline.run import name_family as name_family
from pipeline.run import remove as remove
from pipeline.run import upgrade as upgrade
from pipeline.search import Filters as Filters
from pipeline.search import SearchRequest as SearchRequest
from pipeline.search import SearchResult as SearchResult
from pipeline.search import open_corpus as open_corpus

__all__ = ["Config", "Filters", "KnownBand", "PipelineError", "PlotReading", "SearchRequest", "SearchResult",
           "build_index", "embed", "encode", "find_families", "ingest", "known_bands", "name_family", "open_corpus",
           "open_on_cluster", "parse_hit_table", "read_hit_table", "read_plot",
           "read_waterfall", "remove", "run_nightly", "upgrade", "verify"]
__version__: str
