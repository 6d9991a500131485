"""Errors, classed by who must act, and the reasons why a file was not ingested.

::

    PipelineError                          exit code
    ├─ ConfigError(ValueError)         2   you: correct the flag or corpus.toml
    ├─ EncoderError(RuntimeError)      2   you: weights are missing or do not fit
    │  └─ PrecisionError                   this machine cannot compute in the precision that was asked for
    ├─ QueryError(LookupError)         2   you: no such window, file or range
    │  └─ ParameterError                    a parameter has a value that cannot be used
    ├─ SourceError                     3   one file: it is reported, and the other files go on
    ├─ RunError(RuntimeError)          1   the run: the cluster cannot do what was asked
   ├─ LabelError(ValueError)          2   a label, or the file of labels beside a corpus, cannot be used
    └─ CorpusError                     5   the corpus
       ├─ CorpusNotFound(FileNotFoundError)  2
       ├─ CorpusMismatch(ValueError)         2   another identity; such a corpus is never used silently
       ├─ CorpusLocked                       4   a live run holds it
       └─ CorpusDamaged                      5   an object is missing or altered
          └─ SegmentDamaged                      an object of the index
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Literal, Self

FileStatus = Literal["skipped", "failed", "busy"]
"""Status of a file that was not ingested."""


class Reason(StrEnum):
    """Stable code that says why a file was not ingested. Each row is: code, status, may heal, meaning, remedy.

    Attributes
    ----------
    status : {"skipped", "failed", "busy"}
        Status of the file in reports. ``skipped`` means that nothing is wrong with it.
    may_heal : bool
        True where the same file, unchanged, may be readable on the next run.
    meaning : str
        What was found, in words.
    remedy : str
        What the user can do.
    """

    EMPTY = ("EMPTY", "failed", False, "the file has no bytes", "fetch the file again")
    NO_DATA = ("NO_DATA", "failed", False, "a header, and no samples", "fetch the file again")
    HEADER_INCONSISTENT = (
        "HEADER_INCONSISTENT", "failed", False, "the header does not fit the size of the data", "fetch the file again")
    TRUNCATED = (
        "TRUNCATED", "failed", True, "samples are missing at the end, and the file may still grow",
        "wait, copy the file again, or read its whole spectra with `--accept-truncated`")
    BAD_HEADER = (
        "BAD_HEADER", "failed", False,
        "the header is cut off or damaged, or lacks a keyword, or the file lacks the polarisation that is read",
        "fetch the file again, or use a corpus of another polarisation")
    BAD_AXIS = (
        "BAD_AXIS", "failed", False, "`foff` is 0 or not a number, or `tsamp` is not positive", "correct the header")
    ALL_MASKED = (
        "ALL_MASKED", "failed", False,
        "no window can be searched: most samples are zero, saturated, not numbers (NaN), or never change",
        "see its message, and check how the file was made")
    UNSUPPORTED_NBITS = (
        "UNSUPPORTED_NBITS", "failed", False, "samples are complex, or of a type that is not read",
        "convert the file to 32-bit floats")
    UNSUPPORTED_AXIS = (
        "UNSUPPORTED_AXIS", "failed", False, "the channels in the table of frequencies are not evenly spaced",
        "resample the file, or cut it into evenly spaced parts")
    TOO_FEW_SAMPLES = (
        "TOO_FEW_SAMPLES", "failed", False, "fewer spectra than a window has",
        "use a corpus whose windows have fewer spectra (`integrations` in `corpus.toml`)")
    TOO_FEW_CHANNELS = (
        "TOO_FEW_CHANNELS", "failed", False, "coarse channels are narrower than a window",
        "use a corpus of narrower windows")
    NOT_FILTERBANK = (
        "NOT_FILTERBANK", "skipped", False, "another kind of file; not an error", "nothing")
    BUSY = ("BUSY", "busy", True, "the file changed while it was read", "wait until the file is complete")
    GONE = (
        "GONE", "busy", True, "the file was found, and was gone when it was to be read",
        "nothing if it was moved; else check its disk")
    CORRUPT_CHUNK = (
        "CORRUPT_CHUNK", "failed", False, "a compressed chunk cannot be decoded; the message names it",
        "fetch the file again")
    PERMISSION = (
        "PERMISSION", "failed", True, "the file cannot be opened", "give permission to read it, or check the disk")
    BAD_LINK = (
        "BAD_LINK", "failed", False, "a link that leads nowhere, or in a circle", "correct or remove the link")
    DUPLICATE = (
        "DUPLICATE", "skipped", False, "the same scan as another file; not an error", "nothing")
    REFUSED_LINK = (
        "REFUSED_LINK", "failed", False, "a link to data outside the folder that you named",
        "name a folder that also holds these data")
    CRASHED = ("CRASHED", "failed", True, "each attempt to read it ended a worker", "look at the log of the worker")
    DAMAGED = (
        "DAMAGED", "failed", True, "its windows in the corpus cannot be read, so no vectors can be made of them",
        "`lookalike verify --repair`, then run again")
    REMOVED = (
        "REMOVED", "skipped", False, "you removed this scan; not an error", "`lookalike remove --undo` takes it back")

    status: FileStatus
    may_heal: bool
    meaning: str
    remedy: str

    # the defaults are only for type checkers, which take the look-up Reason("EMPTY") for a call of __new__
    def __new__(cls, code: str, status: FileStatus = "failed", may_heal: bool = False, meaning: str = "",
                remedy: str = "") -> Self:
        """Make a member whose value is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.status, member.may_heal, member.meaning, member.remedy = status, may_heal, meaning, remedy
        return member


class PipelineError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1

    @property
    def parameters(self) -> tuple[str, ...]:
        """Python names of the parameters that the message marks. Only :class:`ParameterError` marks any."""
        return ()


class ConfigError(PipelineError, ValueError):
    """A flag or a line of ``corpus.toml`` cannot be used."""

    exit_code = 2


class EncoderError(PipelineError, RuntimeError):
    """An encoder cannot be made: its weights are missing, altered or of another shape."""

    exit_code = 2


class PrecisionError(EncoderError):
    """This machine cannot compute in the precision that was asked for. Another machine may."""


class QueryError(PipelineError, LookupError):
    """The query names a window, file or range that does not exist."""

    exit_code = 2


class ParameterError(QueryError):
    """A parameter of a search has a value that cannot be used.

    The message marks names of parameters with :func:`parameter`. ``str`` spells them as Python does (``f_start_mhz``).
    The command line spells them as its flags (``--f-start``).
    """

    def __str__(self) -> str:
        return self.spelled(lambda name: name)

    def spelled(self, spell: Callable[[str], str]) -> str:
        """Return the message with each parameter spelled by a function of its Python name."""
        return re.sub(f"{_MARK}(\\w+){_MARK}", lambda found: spell(found[1]), str(self.args[0]))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Python names of the parameters that the message is about, in the order in which it names them."""
        return tuple(dict.fromkeys(re.findall(f"{_MARK}(\\w+){_MARK}", str(self.args[0]))))


_MARK = "\x1a"  # a control character, which no message has otherwise


def parameter(name: str) -> str:
    """Mark the name of a parameter in the message of a :class:`ParameterError`."""
    return f"{_MARK}{name}{_MARK}"


class RunError(PipelineError, RuntimeError):
    """The run as a whole cannot go on."""


class SourceError(PipelineError):
    """One file cannot be used. ``reason`` is the stable code of why.

    ``Exception`` gets both arguments, so that a worker can pickle the error and send it to the client.
    """

    exit_code = 3

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class LabelError(PipelineError, ValueError):
    """A label cannot be given, or the file of labels beside a corpus cannot be used."""

    exit_code = 2


class CorpusError(PipelineError):
    """The corpus cannot be used."""

    exit_code = 5


class CorpusNotFound(CorpusError, FileNotFoundError):
    """The folder holds no corpus."""

    exit_code = 2


class CorpusMismatch(CorpusError, ValueError):
    """The corpus was made with another identity (grid, gate, range or encoder)."""

    exit_code = 2


class CorpusLocked(CorpusError):
    """A live run holds the lock of the corpus."""

    exit_code = 4


class CorpusDamaged(CorpusError):
    """An object of the corpus is missing, or does not match its digest."""


class SegmentDamaged(CorpusDamaged):
    """A segment of the index is damaged. The caller, who knows the corpus, adds how to repair it."""
