"""Examples of what is alike and what is not, as a user names them. Uses no files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from pipeline.errors import ParameterError, parameter
from pipeline.model import Hit, Window

LABEL = "label:"
"""Begin of an example that stands for all windows with a label."""
MAX_EXAMPLES = 1000
"""Maximum number of windows that are used as examples of one kind. Of more, some are chosen evenly."""
_RANGE = re.compile(r"(?P<file>.+):(?P<low>\d+(?:\.\d+)?)\s*[–-]\s*(?P<high>\d+(?:\.\d+)?)(?:\s*MHz)?", re.DOTALL)

Form = str | Any
"""``SOURCE/NUMBER``, ``FILE:MHZ–MHZ``, ``label:TEXT``, or an array of power."""


def forms_of(examples: Any, name: str) -> tuple[Form, ...]:
    """Return examples as a tuple of texts and arrays. Hits and windows become texts.

    Parameters
    ----------
    examples : iterable, or a single example
        Texts, hits, windows or arrays.
    name : str
        Name of the parameter, for messages.

    Raises
    ------
    ParameterError
        An example is none of these.
    """
    if isinstance(examples, str | Hit | Window | np.ndarray) or not isinstance(examples, Iterable):
        examples = (examples,)
    return tuple(_form(one, name) for one in examples)


def _form(example: Any, name: str) -> Form:
    if isinstance(example, Hit):
        return f"{example.source_id}/{example.window.number}"
    if isinstance(example, Window):
        return f"{example.source_id}/{example.number}"
    if isinstance(example, str):
        text = example.strip()
        if not text or text == LABEL:
            raise ParameterError(f"{parameter(name)} {example!r} names nothing: give SOURCE/NUMBER, FILE:MHZ–MHZ or "
                                 f"{LABEL}TEXT")
        return text
    if np.ndim(example) == 2:
        return example
    raise ParameterError(f"{parameter(name)}: an example is text such as SOURCE/NUMBER, FILE:MHZ–MHZ or {LABEL}TEXT, a "
                         f"hit, or an array of power (spectra, channels); got {type(example).__name__}")


def with_file(text: str, change: Callable[[str], str]) -> str:
    """Return an example with another file, if it is the range of a file; any other as it is.

    Parameters
    ----------
    change : callable
        Gets the name of the file, and returns the other one.
    """
    found = _RANGE.fullmatch(text.strip())
    return f"{change(found['file'])}:{found['low']}–{found['high']}" if found else text


def range_in(text: str) -> tuple[str, float, float] | None:
    """Return file, lower and upper end in MHz of ``FILE:MHZ–MHZ``; None for another text."""
    found = _RANGE.fullmatch(text)
    return (found["file"], float(found["low"]), float(found["high"])) if found else None


def forms_to_json(forms: Iterable[Form]) -> list[Any]:
    """Return examples as plain values: texts, and arrays as nested lists in which null stands for no value."""
    return [form if isinstance(form, str) else power_to_json(form) for form in forms]


def power_to_json(power: Any) -> list[list[float | None]]:
    """Return an array of power as nested lists. Pixels without a value are null."""
    filled = np.ma.filled(np.ma.asarray(power, np.float64), np.nan)
    return [[pixel if np.isfinite(pixel) else None for pixel in row] for row in filled.tolist()]


def power_from_json(rows: Any, name: str) -> Any:
    """Return nested lists as an array of float64, null being NaN."""
    try:
        return np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"{parameter(name)} must be a list of rows of numbers, all of one length") from None


def forms_from_json(value: Any, name: str) -> tuple[Form, ...]:
    """Return examples from what :func:`forms_to_json` returns; raise :class:`ParameterError` for another value."""
    if not isinstance(value, list | tuple):
        raise ParameterError(f"{parameter(name)} must be a list, got {value!r}")
    return tuple(one if isinstance(one, str) else power_from_json(one, name) for one in value)


class HasExamples(Protocol):
    """A request of a search, which may have examples."""

    @property
    def like(self) -> tuple[Form, ...]:
        """Examples of what is alike."""

    @property
    def unlike(self) -> tuple[Form, ...]:
        """Examples of what is not alike."""


def has_examples(request: HasExamples) -> bool:
    """Tell whether a request has examples."""
    return bool(request.like or request.unlike)


def check_examples(request: HasExamples) -> None:
    """Raise :class:`ParameterError` if other parameters of a request do not go with its examples."""
    given = f"{parameter('like')} and {parameter('unlike')}"
    for name in ("rerank", "expand", "near_frequency"):
        if has_examples(request) and getattr(request, name):
            raise ParameterError(f"{parameter(name)} does not go with {given}: each gives hits another order")
    if has_examples(request) and getattr(request, "all_views", False):
        raise ParameterError(f"{parameter('all_views')} does not go with {given}: examples belong to one view")
