"""What the API answers about files that people send."""

from __future__ import annotations

from typing import Any

from pipeline.web.answers import Answer


class QueryRow(Answer):
    """A row of a file that holds patterns."""

    row: int
    words: str
    """What the row holds."""
    request: dict[str, Any] | None
    """Body of the search for it; None if it cannot be searched for."""
    reason: str
    """Why it cannot; empty if it can."""
    parameters: tuple[str, ...] = ()
    """Names of parameters in ``reason``, such as ``hz`` of a picture."""


class QueryRows(Answer):
    """The rows of a file that holds patterns."""

    kind: str
    rows: list[QueryRow]
    left_out: int
    """Rows of the file beyond those that are listed."""
    table: str = ""
    """Id under which a hit table is kept, to search for its rows together; empty for other files."""
    picture: str = ""
    """Id under which a picture is kept, to be read again; empty for other files."""
    is_drawn: bool = False
    """True if there is a drawing of what was read from the picture."""


class RowAnswerRecord(Answer):
    """What the search for a row of a hit table gives (:class:`pipeline.search.RowAnswer`)."""

    row: int
    words: str
    """The answer in a few words."""
    words_of_best: str
    """Score of the best hit, and how many windows score so well by chance; empty without hits."""
    look_alikes: int | None
    """Hits that are more than chance; None where that is unknown."""
    of_hits: int | None
    """Hits; None if the row was not searched for."""
    best_window: str
    """The best hit as ``SOURCE/NUMBER``; empty if there is none."""
    best_target: str
    best_f_start_mhz: float | None
    family: str
    """Id of the family of the best convincing look-alike that is in one; empty if none is."""
    family_name: str
    own_windows: int | None
    """Windows of the row's own scan and range, which are left out of its look-alikes."""
    on_off: str
    """Whether the signal of the row is also where the telescope pointed elsewhere."""
    hits_on_off: str
    known: str
    """Bands of known interference that the row touches."""
    note: str
    reason: str
    """Why the row was not searched for."""


class RowAnswers(Answer):
    """What the searches for rows of a hit table give."""

    generation: int
    answers: list[RowAnswerRecord]
