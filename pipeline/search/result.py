"""What a search returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.export import COLUMNS
from pipeline.model import CutOut, Hit, Window
from pipeline.plot import Shown
from pipeline.search.description import QueryDescription
from pipeline.search.panels import Panels
from pipeline.search.request import SearchRequest
from pipeline.significance import Background, Verdict, verdict_on
from pipeline.support.text import counted, short_chance

if TYPE_CHECKING:
    from pipeline.search.not_searched import NotSearched
    from pipeline.search.refined import Refinement, ToLabel

Powers = Sequence[NDArray[np.float64]]


@dataclass(frozen=True, repr=False)
class SearchResult(Sequence[Hit]):
    """Hits, best first, and what was searched for. A sequence of :class:`~pipeline.model.Hit`."""

    description: QueryDescription
    """What was searched for."""
    request: SearchRequest
    """How it was searched for. ``exact`` is also True if every vector was compared because there are few."""
    encoder: str
    """Key of the encoder whose vectors were compared."""
    resolutions: tuple[str, ...]
    """Resolution classes that were searched."""
    resolutions_left_out: tuple[str, ...]
    """Other resolution classes with vectors of the encoder."""
    corpus: Mapping[str, int]
    """``windows``: number of windows that ingests have seen. ``vectors``: number of vectors of the encoder.
    ``searched``: number of these that have the right resolution and pass the filters. ``sources``: number of sources.
    ``generation``: number of the generation that was searched."""
    hits: tuple[Hit, ...]
    background: Background
    """What the query scores with windows that have nothing to do with it; the figures of the hits come from it."""
    query_window: Window | None
    """The window of the query that found the best hit; None where the query is an array."""
    query_power: Callable[[], NDArray[np.float64]]
    """Gives the power (T, F) of that window, noise at 1, masked pixels NaN."""
    power_of: Callable[[Sequence[Hit]], Powers]
    """Gives the power (T, F) of each of some hits, as :meth:`pipeline.search.Corpus.power_of` does."""
    panels: Panels
    """Gives what pictures show, if the arrangement of windows counts."""
    refinement: Refinement | None = None
    """How examples refined the search; None if there were none."""
    not_searched: NotSearched | None = None
    """How much of the scans that were searched is in no window."""
    own_windows: int = 0
    """Number of windows left out because they show the signal of the hit table's row itself."""

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def __repr__(self) -> str:
        best = f", best score {self.hits[0].score:.3f}" if self.hits else ""
        return (f"<SearchResult: {counted(len(self), 'hit')} for {self.description} among "
                f"{counted(self.corpus['searched'], 'signal')}{best}>")

    def _repr_html_(self) -> str:
        """Return a table of the hits, with pictures, for notebooks."""
        from pipeline.export import notebook_html_of

        return notebook_html_of(self)

    def to_label(self, count: int = 10) -> tuple[ToLabel, ...]:
        """Return windows to label next: borderline and random ones in turn, none that is an example or has a label.

        Parameters
        ----------
        count : int
            Maximum number of windows.

        Raises
        ------
        QueryError
            No examples refined the search.
        """
        if self.refinement is None:
            raise QueryError("no examples refined this search, so no window is borderline; search with like or unlike")
        return self.refinement.to_label(count)

    @property
    def verdict(self) -> Verdict | None:
        """How many hits are more than chance, in numbers and, as text, in words; None where that is unknown."""
        expected = [hit.expected for hit in self.hits if hit.expected is not None]
        return verdict_on(expected) if expected else None

    @property
    def words_of_verdict(self) -> str:
        """The verdict in words, or why there is none; empty if there are no hits."""
        if not self.hits:
            return ""
        return str(self.verdict or f"nothing is known about chance: {self.background.reason}")

    def words_of_expected(self, hit: Hit) -> str:
        """Return how many unrelated windows score as well as a hit by chance; ~ marks an extrapolated number."""
        return "" if hit.expected is None else short_chance(hit.expected, extrapolated=hit.extrapolated)

    def words_of_merged(self, hit: Hit) -> str:
        """Say how many windows a hit has, if it has several. The text follows the name of its window."""
        if self.description.arranged:
            return f" ({len(hit.merged) + 1} of {self.description.windows} windows)"
        return f" and {len(hit.merged)} touching" if hit.merged else ""

    @property
    def query(self) -> dict[str, Any]:
        """The query and how it was searched for, as in :meth:`to_json`."""
        request = self.request
        return {
            **self.description.to_json(),
            "encoder": self.encoder,
            "resolutions": list(self.resolutions),
            "resolutions_left_out": list(self.resolutions_left_out),
            **{name: getattr(request, name) for name in (
                "k", "view", "all_views", "each_window", "exact", "careful", "rerank", "rerank_drift", "rerank_mirror",
                "expand", "near_frequency", "min_score", "expected_below", "q", "on_off", "on_only",
                "on_off_power")},
            "filters": request.filters.to_json() if request.filters else {},
            "per_file": request.per_file,
            "per_mhz": request.per_mhz,
        }

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, as ``search --json`` prints it."""
        return {
            "query": self.query,
            "corpus": dict(self.corpus),
            "not_searched": self.not_searched and self.not_searched.to_json(),
            "verdict": self.verdict and self.verdict.to_json(),
            "background": self.background.to_json(),
            "hits": [hit.to_json() for hit in self.hits],
        }

    def to_dataframe(self) -> Any:
        """Return the hits as a ``pandas.DataFrame``, one row each.

        The columns are those of ``search --csv``, without its notes. Their names end in their units; ``mjd`` is UTC,
        ``snr`` is in sigmas.
        ``merged``, ``also_at``, ``copies``, ``known``, ``labels``, ``not_searched`` and ``in_off`` are text, so that no
        cell holds a list: items are separated by spaces; paths and names by a space, ``|`` and a space.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise ImportError("to_dataframe needs pandas, which is not installed; install it with: pip install pandas"
                              ) from error
        return pandas.DataFrame(self.rows(), columns=list(HIT_COLUMNS))

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary per hit, with the columns of :meth:`to_dataframe`."""
        return [{**hit.to_json(), "merged": " ".join(map(str, hit.merged)), "also_at": " | ".join(hit.also_at),
                 "copies": " ".join(hit.copies), "known": " | ".join(hit.known),
                 "labels": " | ".join(hit.labels),
                 "not_searched": " | ".join(hit.not_searched),
                 "in_off": " ".join(hit.on_off.seen if hit.on_off else ()),
                 "off_power": " | ".join(f"{one.scan} {one.snr:.1f} (at most {one.snr_limit:.1f})"
                                         for one in (hit.on_off.power if hit.on_off else ()))} for hit in self.hits]

    def save(self, path: str | Path) -> Path:
        """Write the result to a file, in the format that the suffix of its name chooses.

        Tables: ``.vot`` (VOTable, also ``.xml``), ``.parquet``, ``.csv``, ``.json``. Pictures: ``.png``, ``.pdf``,
        ``.svg`` and the other formats of matplotlib. ``.html`` is a page with both, which needs no other file.

        Returns
        -------
        Path
            ``path``.

        Raises
        ------
        ConfigError
            The suffix chooses no format, a package for it is not installed, or the file cannot be written.
        CorpusDamaged
            The cutouts of a hit, which a picture shows, are missing or altered.
        """
        from pipeline.export import save

        return save(self, path)

    def to_bytes(self, kind: str) -> bytes:
        """Return the result as the content of a file. ``kind`` is a suffix of :meth:`save` without its dot.

        The errors are those of :meth:`save`.
        """
        from pipeline.export import encoded

        return encoded(self, kind)

    def send_by_samp(self) -> list[str]:
        """Send the table of hits to the programs of the running SAMP hub, such as TOPCAT; return their names.

        Raises
        ------
        ConfigError
            pyvo is not installed, no hub runs, or no program of it has loaded the table.
        """
        from pipeline.export import send_by_samp

        return send_by_samp(self)

    def cut_outs(self, folder: str | Path) -> list[Path]:
        """Write each hit as a small ``.h5`` file that blimpy opens; return the files in the order of the hits.

        The samples are those of the hit's file, at its full resolution. If it cannot be read, they are recovered from
        the windows of the corpus, with the noise at 1. The attribute ``lookalike_origin`` says which of both.

        Raises
        ------
        ConfigError
            A file cannot be written.
        QueryError
            A hit is too large to be cut out.
        """
        from pipeline.export import write_cut_outs

        return write_cut_outs(self, folder)

    def cut_out_of(self, hit: Hit) -> CutOut:
        """Return the power of all windows of a hit, with the header of a file that holds only these."""
        from pipeline.search.cut_outs import cut_out_of

        return cut_out_of(self.panels.corpus, hit, self.panels.power_of)

    def picture(self, kind: str = "png", most: int | None = None) -> bytes:
        """Draw the query and its best hits, and return the picture in a format of matplotlib.

        If each window of the query was searched for by itself, each hit has the one that it resembles beside it.

        Parameters
        ----------
        kind : str
            Format: ``png``, ``pdf``, ``svg`` and others.
        most : int, optional
            Maximum number of hits to draw. Default: all of them.

        Raises
        ------
        CorpusDamaged
            The cutouts of a hit are missing or altered.
        """
        from pipeline.plot import MAX_HITS, draw_gallery

        drawn = self.hits[: min(most or MAX_HITS, MAX_HITS)]
        arranged = self.description.arranged
        shown: Sequence[Shown] = [self.panels.of_hit(hit) for hit in drawn] if arranged else self.power_of(drawn)
        beside = None
        if self.description.windows > 1 and not arranged:
            asked = [self.panels.asked(hit) for hit in drawn]
            beside = [one for one in asked if one is not None]
            beside = beside if len(beside) == len(drawn) else None
        return draw_gallery(self, shown, self.panels.of_query() if arranged else None, kind, beside)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the query and its hits.

        Of a pattern whose windows are searched for together, all windows are drawn where they lie.

        Parameters
        ----------
        path : path, optional
            File to write; its suffix gives the format (.png, .pdf, .svg …, or .html for a page). Without a path, a
            notebook shows the picture.

        Returns
        -------
        Path or Picture
            ``path``; or the picture, as a PNG that notebooks show, where no path is given.

        Raises
        ------
        ConfigError
            The file cannot be written, or its suffix is not that of a picture.
        CorpusDamaged
            The cutouts of a hit are missing or altered.
        """
        from pipeline.export import PLOTS, format_of, save
        from pipeline.plot import Picture

        if path is not None:
            format_of(path, PLOTS)
        return Picture(self.picture()) if path is None else save(self, path)

    @property
    def root(self) -> Path:
        """Folder of the corpus."""
        return self.panels.corpus.root


HIT_COLUMNS = tuple(COLUMNS)
"""Keys of a hit in JSON; columns of data frames, and of CSV apart from its notes."""
