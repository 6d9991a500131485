"""The empty corpus of :mod:`tests.store.conftest`."""

from tests.store.conftest import store

__all__ = ["store"]
