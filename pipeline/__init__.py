"""Lookalike: reverse image search for radio spectrograms.

Public names load what they need when they are first used; importing the package loads nothing heavy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ingest": ("pipeline.run", "ingest"),
    "embed": ("pipeline.run", "embed"),
    "build_index": ("pipeline.run", "index"),  # pipeline.index is the package of that name
    "open_corpus": ("pipeline.search", "open_corpus"),
    "open_on_cluster": ("pipeline.run.search", "open_on_cluster"),
    "Filters": ("pipeline.search", "Filters"),
    "remove": ("pipeline.run", "remove"),
    "verify": ("pipeline.run", "verify"),
    "upgrade": ("pipeline.run", "upgrade"),
    "run_nightly": ("pipeline.nightly", "nightly"),  # pipeline.nightly is the package of that name
    "encode": ("pipeline.encoders", "encode"),
    "read_waterfall": ("pipeline.filterbank", "read_waterfall"),
    "Config": ("pipeline.config", "Config"),
    "PipelineError": ("pipeline.errors", "PipelineError"),
}
__all__ = ["Config", "Filters", "PipelineError", "build_index", "embed", "encode", "ingest", "open_corpus",
           "open_on_cluster", "read_waterfall", "remove", "run_nightly", "upgrade", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
