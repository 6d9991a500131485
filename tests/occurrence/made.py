"""Scans for tests: rectangles that were searched."""

from __future__ import annotations

import numpy as np

from pipeline.model import Header
from pipeline.occurrence import SearchedScan


def scan(
    name: str, rectangles: list[tuple[float, float, float, float]], share: float = 1.0, target: str = "A",
    telescope_id: int = 6,
) -> SearchedScan:
    """Make a scan of rectangles (lowest MHz, highest MHz, first MJD, last MJD)."""
    header = Header(fch1_mhz=1000.0, foff_mhz=1e-6, nchans=1024, nifs=1, nbits=32, tsamp_s=18.25, nsamples=16,
                    tstart_mjd=59_000.0, source_name=target, telescope_id=telescope_id)
    ends = np.array(rectangles, np.float64).reshape(-1, 4).T
    return SearchedScan(name, header, *ends, share=np.full(len(rectangles), share),
                        windows=np.full(len(rectangles), 100.0), noise_spectra=np.full(len(rectangles), 51.0))
