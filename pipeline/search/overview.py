"""Pictures of a whole scan, or of a range of its frequencies, from its stored overview."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, QueryError, parameter
from pipeline.overview import MAXIMUM, MEAN, decode
from pipeline.search.frequency_range import no_range
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import pasted
from pipeline.support.text import shown
from pipeline.views import scan_of


@dataclass(frozen=True, slots=True)
class Overview:
    """One level of the overview of a scan, in a range of frequency. Frequencies ascend, whatever the file's order."""

    source_id: str
    level: int
    """Level: 0 is the finest one."""
    channels_per_column: int
    """Fine channels in a column. The last column of a band may have fewer."""
    spectra_per_row: int
    """Spectra in a row. The last row may have fewer."""
    maximum_codes: NDArray[np.uint8]
    """(rows, columns): the largest pixel in each cell, in the code of :mod:`pipeline.overview.codes`."""
    mean_codes: NDArray[np.uint8]
    """(rows, columns): mean of the pixels, in the same code."""
    f_edges_mhz: NDArray[np.float64]
    """(columns + 1,): edges of the columns."""
    t_edges_s: NDArray[np.float64]
    """(rows + 1,): edges of the rows, in seconds from the start of the scan."""
    mjd: NDArray[np.float64]
    """(rows,): start of each row."""
    channel_edges: NDArray[np.int64]
    """(columns + 1,): edges of the columns in fine channels, counted from low frequency."""

    @property
    def maximum(self) -> NDArray[np.float32]:
        """(rows, columns): power of the strongest pixel over the noise, in standard deviations of one pixel; masked
        cells are NaN.
        """
        return decode(self.maximum_codes)

    @property
    def mean(self) -> NDArray[np.float32]:
        """(rows, columns): mean power over the noise, in standard deviations of one pixel; masked cells are NaN."""
        return decode(self.mean_codes)


def overview_of(
    corpus: OpenCorpus, source: str, f_start_mhz: float | None, f_stop_mhz: float | None, width: int
) -> Overview:
    """Return the level of a scan's overview that fits, with true axes.

    Parameters and errors are those of :meth:`pipeline.search.corpus.Corpus.overview`.
    """
    scan_id = scan_of(corpus.find_source(source))
    entry = corpus.manifest.sources[scan_id]
    header = entry.header
    if not entry.overview:
        raise QueryError(f"{scan_id}: the corpus has no overview of this scan; make it with: "
                         f"{pasted(f'lookalike ingest --add-overview {shown(shlex.quote(entry.path))}', corpus.root)}")
    if width < 1:
        raise ParameterError(f"{parameter('width')} must be positive, got {width}")
    low_mhz = header.f_min_mhz if f_start_mhz is None else f_start_mhz
    high_mhz = header.f_max_mhz if f_stop_mhz is None else f_stop_mhz
    if None not in (f_start_mhz, f_stop_mhz) and not low_mhz < high_mhz:
        raise no_range(low_mhz, high_mhz)
    start, stop = (default if f_mhz is None else header.channel_at(f_mhz)
                   for f_mhz, default in ((f_start_mhz, 0.0), (f_stop_mhz, float(header.nchans))))
    if not max(start, 0) < min(stop, header.nchans):
        raise ParameterError(f"{low_mhz} to {high_mhz} MHz has no part in the band of {scan_id}, "
                             f"{header.f_min_mhz:.6f} to {header.f_max_mhz:.6f} MHz")
    start, stop = max(start, 0.0), min(stop, float(header.nchans))
    layout, codes = corpus.overview(scan_id)
    level = layout.level_for(stop - start, width)
    channels = layout.channels(level)
    first, last = int(start // channels), int(-(-stop // channels))
    codes = codes[layout.first(level) + first : layout.first(level) + last]
    edges = np.minimum(np.arange(first, last + 1) * channels, header.nchans)
    times_s = np.minimum(np.arange(layout.rows + 1) * layout.spectra_per_row, header.nsamples) * header.tsamp_s
    return Overview(
        source_id=scan_id,
        level=level,
        channels_per_column=channels,
        spectra_per_row=layout.spectra_per_row,
        maximum_codes=codes[:, MAXIMUM].T,
        mean_codes=codes[:, MEAN].T,
        f_edges_mhz=np.array([header.channel_edge_mhz(float(edge)) for edge in edges]),
        t_edges_s=times_s,
        mjd=np.array([header.mjd_at(float(time_s)) for time_s in times_s[:-1]]),
        channel_edges=edges,
    )
