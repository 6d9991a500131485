"""Errors of the corpus' disk: each ends the run with its cause and its own remedy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import RunError
from pipeline.run.failures import FULL, UNWRITABLE, disk_errors
from pipeline.support.disk_faults import REMEDIES


@pytest.mark.parametrize("number", sorted({*UNWRITABLE, errno.EIO}), ids=errno.errorcode.__getitem__)
def test_an_error_of_the_disk_ends_the_run_with_its_own_remedy(number: int, tmp_path: Path) -> None:
    error = OSError(number, os.strerror(number), "/corpus/file")
    with pytest.raises(RunError) as caught, disk_errors(tmp_path):
        raise error
    what = "written" if number in FULL else "read or written"
    assert str(caught.value) == (f"{tmp_path}: cannot be {what} ({error}); {REMEDIES[number]}; then run again. What is "
                                 "committed stays")


def test_another_error_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError), disk_errors(tmp_path):
        raise TimeoutError(errno.ETIMEDOUT, "timed out")
