"""Search: from a pattern to the windows of a corpus that look like it.

The first use of a public name loads all modules of the package. Until then nothing is loaded, so that the command line
can build its help from :mod:`pipeline.search.filter_table` without numpy. The names are listed in
:mod:`pipeline.search.public`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.search.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        public = import_module("pipeline.search.public")
        globals().update({one: getattr(public, one) for one in public.__all__})
    if name not in globals():
        raise AttributeError(f"module 'pipeline.search' has no attribute {name!r}")
    return globals()[name]
