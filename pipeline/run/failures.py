"""Failures of a run: which of them end it, and which are reported as the failure of one file."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

from pipeline.errors import ConfigError, CorpusDamaged, EncoderError, PrecisionError, Reason, RunError
from pipeline.model import SourceReport, Timing
from pipeline.support.disk_faults import REMEDIES
from pipeline.support.interrupts import require_not_interrupted

logger = logging.getLogger(__name__)

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""Errors of a disk that only writing can have."""
UNWRITABLE = {*FULL, errno.EACCES, errno.EPERM}
"""Errors of the corpus' disk. Such an error of a source file is reported by its task instead."""


def is_unwritable(error: BaseException) -> TypeGuard[OSError]:
    """Return True for an error of the corpus' disk, which ends the run."""
    return isinstance(error, OSError) and error.errno in UNWRITABLE


def unwritable(root: Path, error: OSError) -> RunError:
    """Return the error that tells the user what to do about the corpus' disk."""
    remedy = REMEDIES.get(error.errno or 0, "check its disk")
    what = "written" if error.errno in FULL else "read or written"
    return RunError(f"{root}: cannot be {what} ({error}); {remedy}; then run again. What is committed stays")


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Turn errors of a full, read-only or broken corpus disk into a :class:`RunError` that says what to do.

    A folder in the place of a file of the corpus, or the other way round, raises :class:`CorpusDamaged`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ENOTDIR):
            place = error.filename2 or error.filename or root
            raise CorpusDamaged(f"{place}: a folder is where a file should be, or a file where a folder should be; "
                                "move it out of the corpus, and run again") from error
        if error.errno not in {*UNWRITABLE, errno.EIO}:
            raise
        raise unwritable(root, error) from error


def crashed(path: str, source_id: str, error: BaseException) -> SourceReport:
    """Report a task that failed without a known reason in its file; raise the error if it ends the whole run.

    A worker that cannot compute in the run's precision does not end the run: other workers may be able to, now or in
    the next run.
    """
    if isinstance(error, PrecisionError):
        logger.warning("%s: task refused: %s", path, error)
        return SourceReport(path, "failed", source_id, Reason.CRASHED, f"{path}: {error}", timing=Timing())
    if is_unwritable(error) or isinstance(error, ConfigError | EncoderError | RunError):
        raise error
    require_not_interrupted(error)
    logger.warning("%s: task failed: %r", path, error)
    return SourceReport(path, "failed", source_id, Reason.CRASHED, f"{path}: {type(error).__name__}: {error}",
                        timing=Timing())
