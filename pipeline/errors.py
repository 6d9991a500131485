"""Errors, classed by who must act.

::

    PipelineError                          exit code
    ├─ ConfigError(ValueError)         2   you: fix the flag or corpus.toml
    ├─ EncoderError(RuntimeError)      2   you: weights are missing or do not fit
    │  └─ PrecisionError                   a machine does not compute in what was asked for
    ├─ QueryError(LookupError)         2   you: no such window, file or range
    ├─ SourceError                     3   one file: reported, the others go on
    ├─ RunError(RuntimeError)          1   the run: the cluster cannot do what was asked
    └─ CorpusError                     5   the corpus
       ├─ CorpusNotFound(FileNotFoundError)  2
       ├─ CorpusMismatch(ValueError)         2   another identity; never silently reused
       ├─ CorpusLocked                       4   a live run holds it
       └─ CorpusDamaged                      5   an object is missing or altered
          └─ SegmentDamaged                      one of the index: what to do, who knows the corpus adds
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why one source was not ingested: a stable code for reports and scripts."""

    EMPTY = "EMPTY"
    NO_DATA = "NO_DATA"
    HEADER_INCONSISTENT = "HEADER_INCONSISTENT"
    TRUNCATED = "TRUNCATED"
    BAD_HEADER = "BAD_HEADER"
    BAD_AXIS = "BAD_AXIS"
    UNSUPPORTED_NBITS = "UNSUPPORTED_NBITS"
    TOO_FEW_SAMPLES = "TOO_FEW_SAMPLES"
    TOO_FEW_CHANNELS = "TOO_FEW_CHANNELS"
    NOT_FILTERBANK = "NOT_FILTERBANK"
    BUSY = "BUSY"
    CORRUPT_CHUNK = "CORRUPT_CHUNK"
    PERMISSION = "PERMISSION"
    BAD_LINK = "BAD_LINK"
    DUPLICATE = "DUPLICATE"
    REFUSED_LINK = "REFUSED_LINK"
    CRASHED = "CRASHED"
    REMOVED = "REMOVED"

    @property
    def is_information(self) -> bool:
        """True where nothing is wrong: the file is simply not another source, or one that is not wanted."""
        return self in {Reason.NOT_FILTERBANK, Reason.DUPLICATE, Reason.REMOVED}

    @property
    def may_heal(self) -> bool:
        """True where the same file may well be readable on the next run."""
        return self in {Reason.TRUNCATED, Reason.BUSY, Reason.PERMISSION, Reason.CRASHED}


class PipelineError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class ConfigError(PipelineError, ValueError):
    """A flag or a line of ``corpus.toml`` cannot be used."""

    exit_code = 2


class EncoderError(PipelineError, RuntimeError):
    """An encoder cannot be made: weights missing, altered or of another shape."""

    exit_code = 2


class PrecisionError(EncoderError):
    """This machine does not compute in the precision that was asked for. Another machine may."""


class QueryError(PipelineError, LookupError):
    """The query names something that is not there."""

    exit_code = 2


class RunError(PipelineError, RuntimeError):
    """The run as a whole cannot go on."""


class SourceError(PipelineError):
    """One file cannot be used. ``reason`` is its stable code.

    Both arguments go to ``Exception``: that is what lets a worker pickle the error to the client.
    """

    exit_code = 3

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class CorpusError(PipelineError):
    """The corpus cannot be used."""

    exit_code = 5


class CorpusNotFound(CorpusError, FileNotFoundError):
    """There is no corpus in the folder."""

    exit_code = 2


class CorpusMismatch(CorpusError, ValueError):
    """The corpus was made with another identity (grid, gate, range, encoder)."""

    exit_code = 2


class CorpusLocked(CorpusError):
    """A live run holds the corpus."""

    exit_code = 4


class CorpusDamaged(CorpusError):
    """An object of the corpus is missing or does not match its digest."""


class SegmentDamaged(CorpusDamaged):
    """A segment of the index is. The message does not say how to mend it: the index does not know its corpus."""
