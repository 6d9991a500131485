"""Lookalike: reverse image search for radio spectrograms.

The public names are listed in ``__init__.pyi``. A name loads its module when it is first used, so importing the package
loads nothing heavy. Users import the package ``lookalike``, which has the same names.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


@cache
def _homes() -> dict[str, tuple[str, str]]:
    """Return public name → its module, and its name there."""
    import ast

    tree = ast.parse(Path(__file__).with_name("__init__.pyi").read_text(encoding="utf-8"))
    return {alias.asname or alias.name: (str(node.module), alias.name)
            for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_homes())
    if name.startswith("__") or name not in _homes():
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    module, attribute = _homes()[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
