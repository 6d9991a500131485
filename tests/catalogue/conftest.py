"""The header and the encoder of the small corpora of :mod:`tests.store.conftest`."""

from tests.store.conftest import header, spec

__all__ = ["header", "spec"]
