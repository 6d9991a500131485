"""Lookalike: reverse image search for radio spectrograms.

Public names load what they need when they are first used; importing the package loads nothing heavy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ingest": "pipeline.run",
    "index": "pipeline.run",
    "open_corpus": "pipeline.search",
    "encode": "pipeline.encoders",
    "Config": "pipeline.config",
    "PipelineError": "pipeline.errors",
}
__all__ = ["Config", "PipelineError", "encode", "index", "ingest", "open_corpus"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
