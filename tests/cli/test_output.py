"""Results and errors of writing."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pipeline.cli.output import name_unwritable, put_json
from pipeline.errors import ConfigError


def test_numbers_that_json_lacks_are_an_error() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        put_json({"snr": float("nan")})


@pytest.mark.parametrize(("error", "words"), [
    (OSError(errno.ENOSPC, "no room"), r"out: cannot be written \(No space left on device\)"),
    (OSError("unable to lock file"), r"out: cannot be written \(unable to lock file\)"),
])
def test_what_cannot_be_written_is_named(error: OSError, words: str) -> None:
    with pytest.raises(ConfigError, match=words), name_unwritable(Path("out")):
        raise error
