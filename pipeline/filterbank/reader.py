"""The one reader: any filterbank file, in ascending frequency."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, Reason
from pipeline.filterbank.access import open_regular, refusal
from pipeline.filterbank.fetched import Held, Room
from pipeline.filterbank.hdf5 import Hdf5File, is_hdf5
from pipeline.filterbank.identity import scan_id
from pipeline.filterbank.sigproc import SigprocFile
from pipeline.model import CoarseLayout, Header, Source
from pipeline.support.text import shown


class Samples(Protocol):
    """What can be read; channels counted as in the file."""

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Read float32 (spectra, channels) of one polarisation into C-contiguous ``memory``."""


class Storage(Samples, Protocol):
    """What a file format must offer."""

    @property
    def header(self) -> Header:
        """The checked header."""

    @property
    def chunk_shape(self) -> tuple[int, int] | None:
        """(spectra, channels) stored together."""

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Room) -> Samples | None:
        """Read what is stored of a range, to decode it later; None where nothing is gained by that."""

    def close(self) -> None:
        """Close the file."""


class Ascending:
    """Samples in ascending frequency."""

    def __init__(self, samples: Samples, header: Header, path: Path) -> None:
        self._samples = samples
        self.header = header
        self.path = path

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read linear power as float32 (spectra, channels), channels in ascending frequency.

        The result lies in ``memory``, one-dimensional, if that is large enough: memory that has been used before is
        faster by a quarter of the time. Of a file of descending frequency it is a mirrored view. Beside it, a read
        takes the memory of one chunk. What is cheap is whole chunks: see :attr:`Filterbank.chunk_shape`.

        Raises ``IndexError`` for a range outside the file, :class:`SourceError` TRUNCATED or CORRUPT_CHUNK.
        """
        header = self.header
        if not (0 <= spectrum_start <= spectrum_stop <= header.nsamples
                and 0 <= channel_start <= channel_stop <= header.nchans):
            raise IndexError(f"{shown(self.path)}: {spectrum_start}–{spectrum_stop} × {channel_start}–"
                             f"{channel_stop} is no part of its {header.nsamples} spectra × {header.nchans}")
        shape = (spectrum_stop - spectrum_start, channel_stop - channel_start)
        if memory is None or memory.size < shape[0] * shape[1]:
            memory = np.empty(shape[0] * shape[1], np.float32)
        power = memory[: shape[0] * shape[1]].reshape(shape)
        self._samples.read(spectrum_start, spectrum_stop, *self._in_file(channel_start, channel_stop), power)
        return power if header.foff_mhz > 0 else power[:, ::-1]

    def _in_file(self, channel_start: int, channel_stop: int) -> tuple[int, int]:
        """Return ascending channels as the file counts them."""
        nchans = self.header.nchans
        return (channel_start, channel_stop) if self.header.foff_mhz > 0 else (
            nchans - channel_stop, nchans - channel_start)


class Filterbank(Ascending):
    """An open filterbank file: a context manager, made by :func:`open_filterbank`."""

    def __init__(self, storage: Storage, path: Path, size_bytes: int, mtime_ns: int) -> None:
        super().__init__(storage, storage.header, path)
        self._storage = storage
        self.size_bytes = size_bytes
        """Size when it was opened."""
        self.mtime_ns = mtime_ns
        """Time of its last change when it was opened."""
        self.chunk_shape = storage.chunk_shape
        """(spectra, channels) stored, and so decoded, together; ``None`` where any range is as cheap."""

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Room) -> Ascending:
        """Read what is stored of a range into ``room``, until that is used again: what comes back decodes parts of it.

        So pixels are looked at while they are in a core's caches. Raises as :meth:`Ascending.read` does.
        """
        first, last = self._in_file(channel_start, channel_stop)
        samples = self._storage.fetch(spectrum_start, spectrum_stop, first, last, room)
        if samples is None:
            power = room.take(4 * (spectrum_stop - spectrum_start) * (last - first)).view(np.float32)
            power = power.reshape(spectrum_stop - spectrum_start, last - first)
            self._storage.read(spectrum_start, spectrum_stop, first, last, power)
            samples = Held(power, spectrum_start, first)
        return Ascending(samples, self.header, self.path)

    def source_id(self) -> str:
        """Name the scan: equal for copies, for the ``.fil`` and the ``.h5``, and for the mirrored file."""
        return scan_id(self.header, self.read)

    def check_unchanged(self) -> None:
        """Raise BUSY if the file has changed since it was opened: what was read may be half of each state."""
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise refusal(Reason.BUSY, self.path, f"gone while it was read ({error.strerror})") from error
        if (now.st_size, now.st_mtime_ns) != (self.size_bytes, self.mtime_ns):
            raise refusal(Reason.BUSY, self.path, f"changed while it was read ({self.size_bytes} → "
                          f"{now.st_size} bytes); try again when it is complete")

    def close(self) -> None:
        """Close the file."""
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def open_filterbank(path: str | Path, *, root: Path | None = None, polarisation: int = 0) -> Filterbank:
    """Open a filterbank file of either format, told by its content, and check its header.

    ``root`` is the folder that external links and virtual datasets may not leave, by default the file's own.
    ``polarisation`` counts the file's products; 0 is total power.

    Raises :class:`SourceError` with one of the codes of :class:`Reason` (BAD_HEADER where the file has no
    such polarisation), :class:`ConfigError` for a negative polarisation.
    """
    path = Path(path)
    if polarisation < 0:
        raise ConfigError(f"polarisation must be 0 or more, got {polarisation}")
    descriptor = open_regular(path)
    try:
        state = os.fstat(descriptor)
        if state.st_size == 0:
            raise refusal(Reason.EMPTY, path, "zero bytes")
        storage: Storage
        if is_hdf5(descriptor):
            storage = Hdf5File(path, root or path.parent, polarisation)
            os.close(descriptor)
        else:
            storage = SigprocFile(descriptor, path, polarisation)
    except BaseException:
        os.close(descriptor)
        raise
    if polarisation >= storage.header.nifs:
        storage.close()
        raise refusal(Reason.BAD_HEADER, path, f"has {storage.header.nifs} polarisation products, counted "
                      f"from 0: there is no number {polarisation}")
    return Filterbank(storage, path, state.st_size, state.st_mtime_ns)


def source_of(filterbank: Filterbank, coarse: CoarseLayout) -> Source:
    """Describe an open file as a source; reads a few samples for its identity."""
    return Source(filterbank.source_id(), filterbank.header, coarse, str(filterbank.path),
                  filterbank.size_bytes, filterbank.mtime_ns)
