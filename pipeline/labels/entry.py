"""Entries of the file of labels: a label of a place, and the undoing of earlier entries. Uses no files."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pipeline.errors import LabelError
from pipeline.model import Window
from pipeline.support.clock import now_s
from pipeline.support.records import Count, Days, Mhz, UnixSeconds, json_of, record_of
from pipeline.support.sealed_json import is_whole, sealed
from pipeline.views import View, split_id

FORMAT = 1
"""Number of the format of the file."""
MAX_TEXT_LETTERS = 200
"""Largest length of the text of a label, and of the name of who gave it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a source. It does not depend on how the source is cut into windows, nor on any encoder."""

    scan: str
    """Id of the scan."""
    view: str
    """Name of the averaged view, whose channels and spectra are counted; empty for the plain one."""
    channel_start: Count
    """First channel; channel 0 has the lowest frequency."""
    channel_stop: Count
    spectrum_start: Count
    spectrum_stop: Count

    @property
    def source_id(self) -> str:
        """Id of the source: that of the scan, or of its averaged view."""
        return View.named(self.view).id_of(self.scan)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return (self.channel_stop - self.channel_start) * (self.spectrum_stop - self.spectrum_start)

    @classmethod
    def of(cls, window: Window) -> Place:
        """Return the place of a window."""
        return cls(*split_id(window.source_id), window.channel_start, window.channel_stop, window.spectrum_start,
                   window.spectrum_stop)


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody said of a place."""

    id: str
    action: str
    """Id of the act of labelling, which labels that were given together share."""
    place: Place
    text: str
    who: str
    at_s: UnixSeconds
    """When, in Unix seconds."""
    f_start_mhz: Mhz
    """Lower end of the place. This and the next two are for people to read: only ``place`` counts."""
    f_stop_mhz: Mhz
    mjd: Days
    """Begin of the place, UTC."""

    @property
    def source_id(self) -> str:
        """Id of the source that it belongs to."""
        return self.place.source_id

    @property
    def time(self) -> str:
        """When, as ISO 8601 in UTC, to the second."""
        return datetime.fromtimestamp(self.at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def to_json(self) -> dict[str, Any]:
        """Return one flat record, with the columns of an export."""
        return {"id": self.id, "label": self.text, **asdict(self.place), "f_start_mhz": round(self.f_start_mhz, 9),
                "f_stop_mhz": round(self.f_stop_mhz, 9), "mjd": round(self.mjd, 9), "who": self.who, "time": self.time}


@dataclass(frozen=True, slots=True)
class Undo:
    """The undoing of earlier entries: labels no longer count, and what an undoing had undone counts again."""

    id: str
    of: tuple[str, ...]
    """Ids of the entries, or of acts of labelling."""
    who: str
    at_s: UnixSeconds


Entry = Label | Undo
_KINDS: dict[str, type[Label] | type[Undo]] = {"label": Label, "undo": Undo}


def new_id() -> str:
    """Return an id that no other entry has."""
    return uuid4().hex[:16]


def labels_of(windows: Sequence[Window], text: str, who: str | None = None) -> list[Label]:
    """Make labels of one text for some windows, all of one act. Without ``who``, they are this user's.

    Raises
    ------
    LabelError
        The text or the name cannot be used.
    """
    text, who, at_s, action = checked(text, "label"), checked(who or user(), "name of a person"), now_s(), new_id()
    return [Label(new_id(), action, Place.of(window), text, who, at_s, window.f_start_mhz, window.f_stop_mhz,
                  window.mjd) for window in windows]


def checked(text: str, what: str) -> str:
    """Return a text without spaces at its ends; raise :class:`LabelError` if it cannot be used.

    Parameters
    ----------
    what : str
        What the text is, for the message.
    """
    text = text.strip()
    if not text or len(text) > MAX_TEXT_LETTERS or not text.isprintable():
        shown = text if len(text) <= MAX_TEXT_LETTERS else f"{text[:MAX_TEXT_LETTERS]}…"
        raise LabelError(f"{shown!r} cannot be a {what}: give 1 to {MAX_TEXT_LETTERS} characters on one line")
    return text


def user() -> str:
    """Return the name of this user, or the number of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def first_line() -> bytes:
    """Return the first line of a file of labels, which names its format."""
    return _line({"kind": "labels", "format": FORMAT})


def line_of(entry: Entry) -> bytes:
    """Return the line that stores an entry. Its last key is its digest."""
    kind = next(name for name, one in _KINDS.items() if isinstance(entry, one))
    return _line({"kind": kind, **asdict(entry)})


def _line(record: dict[str, Any]) -> bytes:
    return b"".join(sealed([json.dumps(record, separators=(",", ":"))])) + b"\n"


def check_first_line(line: bytes) -> None:
    """Raise ``ValueError`` if a line is not the first one of a file of labels in this format."""
    record = json_of(line) if is_whole(line) else None
    if not isinstance(record, dict) or record.get("kind") != "labels":
        raise ValueError("its first line is not that of a file of labels")
    if record.get("format") != FORMAT:
        raise ValueError(f"it has format {record.get('format')}, which a newer version of this program wrote")


def entry_of(line: bytes) -> Entry:
    """Read an entry from its line, without the line break. Raise ``ValueError`` if the line is damaged."""
    if not is_whole(line):
        raise ValueError("does not fit its digest")
    record = json_of(line)
    kind = _KINDS.get(record.pop("kind", ""))
    if kind is None:
        raise ValueError("is an entry of an unknown kind")
    record.pop("sha256")
    entry: Entry = record_of(kind, record)
    if isinstance(entry, Label):
        check_label(entry)
    return entry


def check_label(label: Label) -> None:
    """Raise ``ValueError`` if the values of a label do not fit: a digest that fits proves nothing."""
    place = label.place
    View.named(place.view)  # raises ValueError
    if not (place.channel_start < place.channel_stop and place.spectrum_start < place.spectrum_stop):
        raise ValueError("its channels or spectra are no range: the first must be less than the stop")
    if not place.scan.isprintable() or not place.scan:
        raise ValueError(f"{place.scan!r} is no id of a scan")
    if checked(label.text, "label") != label.text or checked(label.who, "name of a person") != label.who:
        raise ValueError(f"{label.text!r} has spaces at its ends")
