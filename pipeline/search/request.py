"""What a user asks of a search: the pattern to look for, and how to look for it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from os import PathLike, fspath
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pipeline.errors import ParameterError, parameter
from pipeline.search.example_forms import (
    check_examples,
    forms_from_json,
    forms_of,
    forms_to_json,
)
from pipeline.search.filters import Filters
from pipeline.search.limits import HitLimits
from pipeline.search.request_json import array_from_json, array_to_json, is_of_type, signal_to_json

_P = ParamSpec("_P")
_Owner = TypeVar("_Owner")
_Answer = TypeVar("_Answer")
PATTERNS = ("file", "window", "power", "signal", "vector")
"""Parameters that may hold the pattern."""
_OBJECTS = ("power", "signal", "vector")
"""Those of them that are no plain values."""


@dataclass(frozen=True, kw_only=True, eq=False)  # comparing arrays gives an array, not one truth value
class SearchRequest:
    """One search: the pattern, and how to look for it.

    The pattern is exactly one of ``file``, ``window``, ``power``, ``signal`` and ``vector``.
    With ``like``, there may be none.

    Parameters
    ----------
    file : path, optional
        File with the pattern: a path, or the id, the beginning of the id, or the file name of a source of the corpus.
        The file need not be in the corpus. Needs ``f_start_mhz`` and ``f_stop_mhz``.
    f_start_mhz, f_stop_mhz : float, optional
        Lower and upper end of the pattern in ``file``, in MHz. A range of up to 1.5 windows is covered by one window, a
        wider one by several. Then hits are places where these windows are arranged as in the pattern.
    t_start_s, t_stop_s : float, optional
        Begin and end of the pattern in ``file``, in seconds after its first spectrum. The time blocks that hold any of
        these spectra are searched for. Default: all time blocks.
    window : str or sequence of str, optional
        A window of the corpus, as ``SOURCE/NUMBER``. The source is named by its id, the beginning of its id, or a file
        name. Several windows are examples of one pattern: a hit resembles any of them.
    power : (spectra, channels) array or blimpy.Waterfall, optional
        Linear power, channels in ascending frequency, of any size. A ``Waterfall`` is taken as it is: its header says
        which way its channels run.
    signal : pipeline.simulate.Signal or mapping, optional
        A signal that is simulated with the channels and spectra of the corpus; as a mapping, with the names of the
        fields of ``Signal``. ``family`` names one to begin with, and ``lines`` is short for that many equal lines.
    vector : (d,) or (n, d) array, optional
        Vectors of the encoder, such as :func:`lookalike.encode` makes. A hit resembles any of them.
    like, unlike : iterable, optional
        Examples of what is alike, and of what is not: ``SOURCE/NUMBER``, ``FILE:MHZ–MHZ``, ``label:TEXT`` for all
        windows with a label, hits, or arrays as in ``power``. The score of a hit is then the cosine with the direction
        that they give, and no hit overlaps an example (:mod:`pipeline.search.refined`). Not with ``rerank``,
        ``expand``, ``near_frequency`` or ``all_views``.
    k : int
        Maximum number of hits.
    exact : bool
        Compare the query with every vector instead of following the index.
    careful : bool
        Follow the index farther: slower, but fewer look-alikes are missed.
    encoder : str, optional
        Name or key of the encoder whose vectors are compared. Default: the encoder the corpus was opened with. If
        several encoders share the name, the one of ``corpus.toml`` is used; give the key to choose another.
    polarisation : int, optional
        Number of the polarisation of ``file`` to look at. Default: the one that the corpus was made of.
    view : str, optional
        Averaged view of the corpus through which the pattern is seen and searched for, such as ``f4``; ``1x`` for none.
        Default: for a range, the view whose windows are about as large, or a finer one if a window of it shows the
        whole pattern; for a window, its own; for an array, none.
    all_views : bool
        Search through all views. Hits that show the same pixels are one.
    each_window : bool
        Search for each window of a wide or long pattern by itself, wherever it lies. By default, their arrangement
        counts.
    all_resolutions : bool
        Search all resolution classes. Otherwise only the class of the query is searched; for an array, the largest.
    rerank : bool
        Compare the best hits with the query pixel by pixel, and order them by both scores
        (:mod:`pipeline.search.correlate`). Each hit then has a ``match``, and ``reranked``, which ``expected`` belongs
        to.
    rerank_drift, rerank_mirror : bool
        While comparing pixel by pixel, allow for up to one channel per spectrum more or less drift, or for reversed
        frequency. Need ``rerank``.
    expand : bool
        Expand the query by its two nearest look-alikes, and order hits by the cosine with the expanded vector
        (:mod:`pipeline.search.expand`). A pattern of several windows whose arrangement counts is not expanded. Not with
        ``rerank`` or ``near_frequency``.
    near_frequency : float
        How much nearness to the query's frequency counts in the order of hits: 0 for not at all, 1 for as much as the
        pattern. Not with ``rerank``, and not for an array, which has no frequency.
    filters : Filters, optional
        Frequencies, files, targets, telescopes and times to search. All other windows are ignored.
    on_off_power : bool
        Judge this by power measured in the files, along the track of the signal (:mod:`pipeline.search.off_power`).
        Implies ``on_off``.
    per_file : int, optional
        Maximum number of hits from one source.
    on_off : bool
        Say for each hit whether its signal is also in scans of its session at another pointing
        (:mod:`pipeline.search.on_off`).
    on_only : bool
        Only hits that are seen at one pointing of their session. Implies ``on_off``.
    per_mhz : int, optional
        Maximum number of hits that begin in one MHz, such as from 1532 MHz up to but not including 1533 MHz.
    min_score : float, optional
        Lowest score of a hit. With ``rerank`` and ``near_frequency``, too, this is the cosine.
    expected_below : float, optional
        Highest number of unrelated windows that score as well as a hit by chance (``Hit.expected``).
    q : bool
        Give each hit its false discovery rate (``Hit.q``).
    inside : bool
        The files of ``filters.only_file`` stand for the whole corpus: the numbers of a result count them alone.
    one_shot : bool
        The process ends after this search. Then up to a million vectors are compared one by one, which takes less time
        than loading the library that follows the index.

    Raises
    ------
    ParameterError
        Not exactly one pattern is given, a value is out of range, or two parameters contradict each other.
    """

    file: str | PathLike[str] | None = None
    f_start_mhz: float | None = None
    f_stop_mhz: float | None = None
    t_start_s: float | None = None
    t_stop_s: float | None = None
    window: str | Sequence[str] | None = None
    power: Any = None
    signal: Any = None
    vector: Any = None
    like: Any = ()
    unlike: Any = ()
    k: int = 10
    exact: bool = False
    careful: bool = False
    encoder: str | None = None
    polarisation: int | None = None
    view: str | None = None
    all_views: bool = False
    each_window: bool = False
    all_resolutions: bool = False
    rerank: bool = False
    rerank_drift: bool = False
    rerank_mirror: bool = False
    expand: bool = False
    near_frequency: float = 0.0
    filters: Filters | None = None
    on_off: bool = False
    on_only: bool = False
    on_off_power: bool = False
    per_file: int | None = None
    per_mhz: int | None = None
    min_score: float | None = None
    expected_below: float | None = None
    q: bool = False
    inside: bool = False
    one_shot: bool = False

    def __post_init__(self) -> None:
        if self.window is not None and not isinstance(self.window, str):
            object.__setattr__(self, "window", tuple(self.window))
        for name in ("like", "unlike"):
            object.__setattr__(self, name, forms_of(getattr(self, name), name))
        self._check_pattern()
        check_examples(self)
        if self.k < 1:
            raise ParameterError(f"{parameter('k')} must be at least 1, got {self.k}")
        if (self.rerank_drift or self.rerank_mirror) and not self.rerank:
            raise ParameterError(f"{parameter('rerank_drift')} and {parameter('rerank_mirror')} go with "
                                 f"{parameter('rerank')}")
        if self.view is not None and (self.all_views or self.window is not None):
            raise ParameterError(f"{parameter('view')} does not go with {parameter('all_views')}, nor with "
                                 f"{parameter('window')}, which belongs to a view")
        if not 0 <= self.near_frequency < math.inf:
            raise ParameterError(f"{parameter('near_frequency')} must be 0 or more, got {self.near_frequency}")
        if self.near_frequency and (self.rerank or self._placeless):
            other = parameter("rerank") if self.rerank else f"{parameter(self._placeless)}: it has no frequency"
            raise ParameterError(f"{parameter('near_frequency')} does not go with {other}")
        if self.min_score is not None and not -1 <= self.min_score <= 1:
            raise ParameterError(f"{parameter('min_score')} must be from -1 to 1, got {self.min_score}")
        if self.expected_below is not None and not 0 < self.expected_below < math.inf:
            raise ParameterError(f"{parameter('expected_below')} must be above 0, got {self.expected_below}")
        if self.expand and (self.rerank or self.near_frequency):
            raise ParameterError(f"{parameter('expand')} does not go with {parameter('rerank')}, nor with "
                                 f"{parameter('near_frequency')}: each gives hits another order")
        _ = self.limits  # checks them

    @property
    def _placeless(self) -> str:
        """Name of the parameter with the pattern if that has no frequency; otherwise empty."""
        return next((name for name in _OBJECTS if getattr(self, name) is not None), "")

    @property
    def is_by_example(self) -> bool:
        """True if there is no pattern, but examples of what is alike."""
        return bool(self.like) and all(getattr(self, name) is None for name in PATTERNS)

    @property
    def limits(self) -> HitLimits:
        """Limits on hits per file and per MHz."""
        return HitLimits(self.per_file, self.per_mhz)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters that differ from their defaults. Pixels of ``power`` without a value are null."""
        given = {field.name: getattr(self, field.name) for field in fields(self)
                 if field.name not in (*_OBJECTS, "like", "unlike") and getattr(self, field.name) != field.default}
        given |= {name: forms_to_json(forms) for name in ("like", "unlike") if (forms := getattr(self, name))}
        if self.file is not None:
            given["file"] = fspath(self.file)
        if self.filters is not None:
            given["filters"] = self.filters.to_json()
        for name in ("power", "vector"):
            if getattr(self, name) is not None:
                given[name] = array_to_json(getattr(self, name))
        if self.signal is not None:
            given["signal"] = signal_to_json(self.signal)
        return given

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Make a request from a dictionary, such as one that :meth:`to_json` returns.

        Raises
        ------
        ParameterError
            A name is unknown, or a value is of another type or cannot be used.
        """
        types = {field.name: str(field.type) for field in fields(cls)}
        values = dict(record)
        for name, value in record.items():
            if name not in types:
                raise ParameterError(f"{name!r} is no parameter of a search; there are {', '.join(types)}")
            if name == "filters":
                if not isinstance(value, Mapping):
                    raise ParameterError(f"{parameter(name)} must be an object, got {value!r}")
                values[name] = Filters.from_json(value)
            elif name in ("power", "vector"):
                values[name] = array_from_json(name, value)
            elif name == "signal":
                if not isinstance(value, Mapping):
                    raise ParameterError(f"{parameter(name)} must be an object, got {value!r}")
            elif name in ("like", "unlike"):
                values[name] = forms_from_json(value, name)
            elif not is_of_type(value, types[name]):
                raise ParameterError(f"{parameter(name)} must be of type {types[name]}, got {value!r}")
        return cls(**values)

    def _check_pattern(self) -> None:
        given = [parameter(name) for name in PATTERNS if getattr(self, name) is not None]
        if len(given) != 1 and not (self.is_by_example and not given):
            *others, last = map(parameter, PATTERNS)
            raise ParameterError(f"give one of {', '.join(others)} and {last}, got {' and '.join(given) or 'none'}; "
                                 f"{parameter('like')} may replace all of them")
        if self.vector is not None and self.rerank:
            raise ParameterError(f"{parameter('rerank')} compares pixels, and {parameter('vector')} has none")
        if self.all_views and not isinstance(self.window, str | None):
            raise ParameterError(f"{parameter('all_views')} does not go with several windows")
        f_start, f_stop = parameter("f_start_mhz"), parameter("f_stop_mhz")
        if self.file is not None and (self.f_start_mhz is None or self.f_stop_mhz is None):
            raise ParameterError(f"{parameter('file')} needs {f_start} and {f_stop}, the range to look for")
        if self.file is None and not (self.f_start_mhz is None and self.f_stop_mhz is None):
            raise ParameterError(f"{f_start} and {f_stop} go with {parameter('file')}")
        self._check_times()

    def _check_times(self) -> None:
        names = parameter("t_start_s"), parameter("t_stop_s")
        start, stop = self.t_start_s, self.t_stop_s
        if self.file is None and not (start is None and stop is None):
            raise ParameterError(f"{names[0]} and {names[1]} go with {parameter('file')}")
        for name, value in zip(names, (start, stop), strict=True):
            if value is not None and not 0 <= value < math.inf:
                raise ParameterError(f"{name} must be 0 or more seconds after the first spectrum, got {value}")
        if stop is not None and not (start or 0) < stop:
            raise ParameterError(f"{start or 0}–{stop} s is no range: {names[1]} must be larger than {names[0]}")


def with_request_keywords(
    make: Callable[_P, SearchRequest],
) -> Callable[[Callable[[_Owner, SearchRequest], _Answer]], Callable[Concatenate[_Owner, _P], _Answer]]:
    """Let a method that takes a request take the request's parameters as keywords instead.

    So the parameters are spelled out and described once, by :class:`SearchRequest`.

    Parameters
    ----------
    make : callable
        :class:`SearchRequest`.
    """
    def decorate(
        method: Callable[[_Owner, SearchRequest], _Answer],
    ) -> Callable[Concatenate[_Owner, _P], _Answer]:
        @wraps(method)
        def with_keywords(owner: _Owner, /, *arguments: _P.args, **keywords: _P.kwargs) -> _Answer:
            return method(owner, make(*arguments, **keywords))

        its_own = inspect.signature(method)
        of_request = inspect.signature(make).parameters.values()
        signature = its_own.replace(parameters=[next(iter(its_own.parameters.values())), *of_request])
        with_keywords.__signature__ = signature  # type: ignore[attr-defined]
        if method.__doc__ and make.__doc__:  # python -OO drops docstrings
            section = inspect.getdoc(make) or ""
            described = section[section.index("Parameters\n"):section.index("Raises\n")].rstrip()
            with_keywords.__doc__ = inspect.cleandoc(method.__doc__).replace("PARAMETERS", described)
        return with_keywords

    return decorate
