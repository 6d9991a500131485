"""Settings all tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

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


UserSays = Callable[[str], Path]


@pytest.fixture
def user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserSays:
    """Write lines into the table ``[run]`` of the user's file; return the file."""

    def write(lines: str) -> Path:
        folder = tmp_path / "xdg" / "lookalike"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder.parent))
        path = folder / "config.toml"
        path.write_text(f"[run]\n{lines}")
        path.chmod(0o600)
        folder.parent.chmod(0o700)
        return path

    return write
