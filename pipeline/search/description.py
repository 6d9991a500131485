"""What was searched for, in words and numbers. Uses no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from pipeline.search.frequency_range import Range
from pipeline.support.text import listed

QueryKind = Literal["window", "windows", "file", "array", "signal", "vector"]

_FIELDS: Mapping[QueryKind, tuple[str, ...]] = {
    "window": ("source", "file", "target", "window", "f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s"),
    "file": ("source", "file", "target", "f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s", "polarisation",
             "windows", "arranged"),
    "windows": ("names", "windows"),
    "array": ("shape", "windows", "arranged"),
    "signal": ("signal", "shape", "windows", "arranged"),
    "vector": ("shape", "windows"),
}
"""Kind of a query → the fields that describe it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryDescription:
    """What was searched for: a window of the corpus, a range of a file, or an array."""

    kind: QueryKind
    source: str = ""
    """Source id. Empty for an array."""
    file: str = ""
    """Path of the file, or the name the user gave. Empty for an array."""
    target: str = ""
    """Name of the observed target."""
    window: int | None = None
    """Number of the window; None unless ``kind`` is ``window``."""
    f_start_mhz: float | None = None
    """Lower end in MHz; None for an array."""
    f_stop_mhz: float | None = None
    """Upper end in MHz; None for an array."""
    t_start_s: float | None = None
    """Begin, in seconds after the first spectrum of the file; None for an array, and for a range that begins with the
    file."""
    t_stop_s: float | None = None
    """End, in the same seconds; None for an array, and for a range that ends with the file."""
    polarisation: int | None = None
    """Number of the polarisation; None unless ``kind`` is ``file``."""
    names: tuple[str, ...] = ()
    """Names of several windows, as ``SOURCE/NUMBER``."""
    signal: str = ""
    """Properties of a simulated signal, in words."""
    shape: tuple[int, ...] | None = None
    """(spectra, channels) of an array or of a simulated signal; (vectors, numbers) of vectors."""
    windows: int = 1
    """Number of windows through which the pattern was searched for."""
    arranged: bool = False
    """True if a hit is a place where several of these windows are arranged as in the pattern; False if each was
    searched for by itself."""
    like: int = 0
    """Number of windows that are examples of what is alike, if examples refined the search. The pattern counts."""
    unlike: int = 0
    """Number of windows that are examples of what is not alike."""
    note: str = ""
    """What the user should know about the answer; empty for nothing."""

    def __str__(self) -> str:
        if self.like:
            return f"{self._pattern} (refined by {self.like} examples of what is alike, {self.unlike} of what is not)"
        return self._pattern

    @property
    def _pattern(self) -> str:
        if self.kind == "window":
            return f"window {self.source}/{self.window}"
        if self.kind == "file":
            assert self.f_start_mhz is not None
            assert self.f_stop_mhz is not None
            wanted = Range(self.f_start_mhz, self.f_stop_mhz, self.t_start_s, self.t_stop_s)
            return f"{wanted} of {self.file}"
        if self.kind == "windows":
            return f"{len(self.names)} windows: {listed(self.names, 3)}"
        if self.kind == "signal":
            return f"simulated signal: {self.signal}"
        return f"{self.kind} of shape {self.shape}"

    def with_notes(self, *notes: str) -> Self:
        """Return a description with more notes. Empty ones are left out."""
        return replace(self, note="; ".join(filter(None, [self.note, *notes])))

    def to_json(self) -> dict[str, Any]:
        """Return the fields that describe a query of this kind, and the note if there is one."""
        record: dict[str, Any] = {"kind": self.kind, **{name: getattr(self, name) for name in _FIELDS[self.kind]}}
        record |= {name: list(value) for name, value in record.items() if isinstance(value, tuple)}
        if self.like:
            record |= {"like": self.like, "unlike": self.unlike}
        return {**record, "note": self.note} if self.note else record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Make a description from the dictionary that :meth:`to_json` returns. Other keys are ignored."""
        names = ("kind", "note", "like", "unlike", *_FIELDS[record["kind"]])
        values = {name: record[name] for name in names if name in record}
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values)
