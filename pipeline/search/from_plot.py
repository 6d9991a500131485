"""Queries from pictures of plots: what was read is given the channels and the spectra of the corpus."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.model import Header
from pipeline.plot_reader import PlotReading
from pipeline.search.encoder import count_vectors
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import view_named, views_held
from pipeline.views import PLAIN, View, shown_view


def fit_plot(
    corpus: OpenCorpus, encoder_key: str, reading: PlotReading, view: str | None
) -> tuple[NDArray[np.float64], str]:
    """Return the power of a plot in channels and spectra of the corpus, and the view to search for it through.

    Parameters
    ----------
    view : str, optional
        Name of the view. Default: the one whose windows are about as large as the plot, if its size was given.

    Returns
    -------
    (spectra, channels) array, str
        NaN where the plot shows something else. The name is ``1x`` for the plain view.

    Raises
    ------
    ParameterError
        The size of the plot is needed and was not given, or does not suit the corpus.
    """
    for is_counted, size, name, what in ((reading.counted[0], reading.seconds, "seconds", "spectra"),
                                         (reading.counted[1], reading.hz, "hz", "channels")):
        if not is_counted and size is None:
            raise ParameterError(f"{reading.path}: the {what} of the plot cannot be counted, because they are as small "
                                 f"as the pixels, or blurred; give its size with {parameter(name)}")
    chosen = view_named(view, corpus.manifest)
    if chosen is None:
        chosen = _view_of(corpus, encoder_key, reading, views_held(corpus.manifest))
    header = _usual_header(corpus, encoder_key, chosen)
    return reading.resampled(header.channel_width_mhz * 1e6, header.tsamp_s), shown_view(chosen.name)


def _view_of(corpus: OpenCorpus, encoder_key: str, reading: PlotReading, views: Iterable[View]) -> View:
    """Return the view whose windows are most like the plot in size, as far as that is known."""
    def distance(view: View) -> float:
        header, grid = _usual_header(corpus, encoder_key, view), corpus.config.scan.grid
        sizes = ((reading.hz, header.channel_width_mhz * 1e6 * grid.channels),
                 (reading.seconds, header.tsamp_s * grid.integrations))
        return sum(abs(math.log(size / of_window)) for size, of_window in sizes if size is not None)

    if reading.hz is None or reading.seconds is None:  # a plot whose pixels were counted is compared pixel by pixel
        return PLAIN
    held = [view for view in views if count_vectors(corpus.manifest, encoder_key, view.name)]
    return min(held, key=lambda view: (distance(view), view.order), default=PLAIN)


def _usual_header(corpus: OpenCorpus, encoder_key: str, view: View) -> Header:
    """Return a header of the resolution that has most vectors in a view."""
    counts = (count_vectors(corpus.manifest, encoder_key, view.name) or count_vectors(corpus.manifest, encoder_key))
    usual = max(sorted(counts), key=lambda resolution: counts[resolution])
    return next(entry.header for entry in corpus.manifest.sources.values() if entry.resolution == usual)
