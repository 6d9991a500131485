import errno
import os

import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank.access import access_error, open_regular


@pytest.mark.parametrize(("number", "reason"), [
    (errno.EACCES, Reason.PERMISSION), (errno.EPERM, Reason.PERMISSION), (errno.ELOOP, Reason.BAD_LINK),
    (errno.ENOENT, Reason.GONE), (errno.EIO, Reason.PERMISSION), (errno.ESTALE, Reason.PERMISSION),
])
def test_refusals_of_the_system_have_codes(tmp_path, number, reason):
    error = access_error(OSError(number, os.strerror(number)), tmp_path / "x.fil")
    assert error.reason is reason
    assert error.message.startswith(f"{tmp_path}/x.fil: ")


def test_links_that_lead_nowhere_are_bad_links(tmp_path):
    (tmp_path / "dangling.fil").symlink_to("gone.fil")
    (tmp_path / "loop.fil").symlink_to("loop.fil")
    for name in ("dangling.fil", "loop.fil"):
        with pytest.raises(SourceError, match=name) as caught:
            open_regular(tmp_path / name)
        assert caught.value.reason is Reason.BAD_LINK


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.fil")
    with pytest.raises(SourceError, match="not a regular file") as caught:
        open_regular(tmp_path / "pipe.fil")
    assert caught.value.reason is Reason.NOT_FILTERBANK
