"""Codes of single channels, decoded from the file of a scan: flattened as a scan flattens, in the code of overviews.

A whole coarse channel is decoded at once, because its band is estimated from all of it. The last few stay in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError, Reason, SourceError
from pipeline.filterbank import open_filterbank
from pipeline.overview import MASKED, decode, encode
from pipeline.scan import coarse_channel_codes, levels_of_channels
from pipeline.web.archive import Pinned
from pipeline.web.kept_arrays import KeptArrays

MAX_PIXELS = 1 << 26
"""Largest number of pixels (spectra × channels) of a coarse channel that is decoded for a tile."""
MAX_KEPT_BYTES = 1 << 28
"""Largest size of all codes that stay in memory."""


class DecodedChannels:
    """Decodes coarse channels, and keeps the last ones. Threads may share it."""

    def __init__(self) -> None:
        self._kept = KeptArrays(MAX_KEPT_BYTES)

    def can_read(self, pinned: Pinned, scan_id: str) -> bool:
        """Tell whether a scan has a file, and coarse channels small enough to be decoded for a tile."""
        entry = pinned.opened.manifest.sources[scan_id]
        width = min(entry.coarse.width, entry.header.nchans)
        return width * entry.header.nsamples <= MAX_PIXELS and self.path_of(pinned, scan_id) is not None

    @staticmethod
    def path_of(pinned: Pinned, scan_id: str) -> Path | None:
        """Return the first file of a scan that is there; None if none is."""
        entry = pinned.opened.manifest.sources[scan_id]
        for path in map(Path, (entry.path, *entry.also_at)):
            try:
                if path.is_file():
                    return path
            except OSError:  # its disk is away
                continue
        return None

    def cells(self, pinned: Pinned, scan_id: str, start: int, stop: int, width: int, kind: str,
              spectra: range) -> NDArray[np.uint8]:
        """Return codes of cells of ``width`` channels by some spectra.

        Parameters
        ----------
        start, stop : int
            Ascending channels. ``start`` is a multiple of ``width``.
        kind : {"max", "mean"}
            Maximum or mean of the pixels of a cell. The mean is made from codes, so it is rounded as these are.
        spectra : range
            The spectra; its step is the number of spectra in a row.

        Returns
        -------
        (rows, cells) uint8
            In the code of :mod:`pipeline.overview`; 0 is masked.

        Raises
        ------
        QueryError
            The scan has no file that may be decoded for a tile.
        SourceError
            The file cannot be read, or holds another scan now.
        """
        if not self.can_read(pinned, scan_id):
            raise QueryError(f"{scan_id}: no file of this scan is there, or its coarse channels are too large to be "
                             "decoded for a picture")
        tiling = pinned.opened.tiling(scan_id)
        pieces = []
        for i in range(tiling.coarse_at(start), tiling.coarse_at(stop - 1) + 1):
            low, high = tiling.coarse_span(i)
            codes = self._channel(pinned, scan_id, i)
            pieces.append(codes[spectra.start : spectra.stop, max(start - low, 0) : min(stop, high) - low])
        return _reduced(np.concatenate(pieces, axis=1), spectra.step, width, kind)

    def _channel(self, pinned: Pinned, scan_id: str, i: int) -> NDArray[np.uint8]:
        """Return the codes of all pixels of a coarse channel."""
        return self._kept.get((scan_id, i), lambda: self._decoded(pinned, scan_id, i))

    def _decoded(self, pinned: Pinned, scan_id: str, i: int) -> NDArray[np.uint8]:
        config, path = pinned.opened.config.scan, self.path_of(pinned, scan_id)
        entry, tiling = pinned.opened.manifest.sources[scan_id], pinned.opened.tiling(scan_id)
        if path is None:
            raise QueryError(f"{scan_id}: no file of this scan is there any more")
        with open_filterbank(path, polarisation=config.polarisation, accept_truncated=True) as filterbank:
            is_known = (str(path), filterbank.size_bytes, filterbank.mtime_ns) == (
                entry.path, entry.size_bytes, entry.mtime_ns)
            if not is_known and filterbank.source_id() != scan_id:
                raise SourceError(Reason.BUSY, f"{path.name}: now holds another scan; ingest it")
            levels = levels_of_channels(filterbank, tiling, {i}, config)
            codes = coarse_channel_codes(filterbank, tiling, i, levels)
            filterbank.check_unchanged()
        return codes


def _reduced(codes: NDArray[np.uint8], spectra: int, channels: int, kind: str) -> NDArray[np.uint8]:
    """Join codes (T, F) to cells of some spectra and channels. The last cells of either axis may be smaller."""
    if spectra == channels == 1:
        return codes
    rows, columns = -(-codes.shape[0] // spectra), -(-codes.shape[1] // channels)
    whole = np.zeros((rows * spectra, columns * channels), np.uint8)  # 0 is masked, and lower than any value
    whole[: codes.shape[0], : codes.shape[1]] = codes
    cells = whole.reshape(rows, spectra, columns, channels)
    if kind == "max":
        return np.asarray(cells.max(axis=(1, 3)))
    values, count = decode(cells), (cells != MASKED).sum(axis=(1, 3))
    with np.errstate(all="ignore"):  # 0 / 0 is NaN, which is masked
        return encode(np.nansum(values, axis=(1, 3), dtype=np.float32) / count)
