"""Queries from pictures of plots: what was read is given the channels and the spectra of the corpus."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.model import Header, WindowGrid
from pipeline.plot_reader import DEFAULT_RANGE_DB, PlotReading
from pipeline.search.encoder import count_vectors
from pipeline.search.from_power import MAX_RANGE_DB, cut_array
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import view_named, views_held
from pipeline.views import PLAIN, View, shown_view

MIN_RANGE_DB = 3.0
"""Minimum span of the colours of a plot in dB, if nothing says it."""


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
    power = reading.resampled(header.channel_width_mhz * 1e6, header.tsamp_s)
    if reading.values is None:
        power = _with_noise_of(header, power, corpus.config.scan.grid)
    return power, shown_view(chosen.name)


def _with_noise_of(header: Header, power: NDArray[np.float64], grid: WindowGrid) -> NDArray[np.float64]:
    """Give the colours of a plot such a span in decibels that its noise is that of a file.

    Parameters
    ----------
    header : Header
        Header of the file.
    power : (spectra, channels) array
        Power, if the colours span :data:`pipeline.plot_reader.DEFAULT_RANGE_DB`.
    """
    from pipeline.flatten.noise import nominal_noise_spectra  # loads scipy
    from pipeline.grid.cutouts import flatten_windows

    _, spreads = flatten_windows(cut_array(power, grid))
    factor = nominal_noise_spectra(header) ** -0.5 / float(np.median(spreads))
    lowest, highest = MIN_RANGE_DB / DEFAULT_RANGE_DB, MAX_RANGE_DB / DEFAULT_RANGE_DB
    return np.asarray(power ** min(max(factor, lowest), highest))


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
