"""Lookalike: reverse image search for radio spectrograms.

Importing this package is fast. A name loads its module when it is first used.

>>> import lookalike
>>> lookalike.ingest(["/data"], corpus="corpus")          # doctest: +SKIP
>>> lookalike.open_corpus("corpus").search(window="GBT_57436_51432_HIP77257/3015")   # doctest: +SKIP
"""

from typing import Any

import pipeline
from pipeline import __version__ as __version__

__all__ = pipeline.__all__


def __getattr__(name: str) -> Any:
    if name not in pipeline.__all__:
        raise AttributeError(f"module 'lookalike' has no attribute {name!r}")
    return getattr(pipeline, name)


def __dir__() -> list[str]:
    return sorted({"__version__", *pipeline.__all__})
