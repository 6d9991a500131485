"""The cluster and the corpus of the tests of runs."""

from tests.run.conftest import client, cluster, good, undisturbed

__all__ = ["client", "cluster", "good", "undisturbed"]
