"""Settings all tests share."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# a busy machine is no failure; pytest-timeout stops what hangs
settings.register_profile("lookalike", deadline=None)
settings.load_profile("lookalike")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have no test read what the person who runs the tests says of runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        for name in list(os.environ):
            if name.startswith("LOOKALIKE_RUN_"):
                patch.delenv(name)
        yield
