"""Open and read a filterbank file of either format. Channels are in ascending frequency."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, Reason
from pipeline.filterbank.access import open_regular, refusal
from pipeline.filterbank.fetched import Buffer, DecodedSamples
from pipeline.filterbank.hdf5 import Hdf5File, is_hdf5
from pipeline.filterbank.header import Remarks
from pipeline.filterbank.identity import scan_id
from pipeline.filterbank.sigproc import SigprocFile
from pipeline.model import CoarseLayout, Header, Source
from pipeline.support.text import counted, shown


class Samples(Protocol):
    """Samples that can be read. Channels are counted as in the file."""

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Read float32 (spectra, channels) of one polarisation into C-contiguous ``memory``."""


class Storage(Samples, Protocol):
    """What a file format must provide."""

    @property
    def header(self) -> Header:
        """Header of the file, checked."""

    @property
    def remarks(self) -> Remarks:
        """What a user should know of the header."""

    @property
    def chunk_shape(self) -> tuple[int, int] | None:
        """(spectra, channels) of a stored chunk; None if any range is equally cheap to read."""

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value that a sample can have; infinite if there are none."""

    @property
    def shortfall(self) -> str:
        """What is missing at the end of the file; empty if all is there."""

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Buffer) -> Samples | None:
        """Read the stored bytes of a range, to decode them later. Return None if that gains nothing."""

    def close(self) -> None:
        """Close the file."""


class Ascending:
    """Samples in ascending frequency."""

    averaged = 1
    """Number of samples of the file that are averaged in each sample: here 1."""

    def __init__(
        self, samples: Samples, header: Header, path: Path, limits: tuple[float, float] = (-np.inf, np.inf)
    ) -> None:
        self._samples = samples
        self.header = header
        self.path = path
        self.limits = limits
        """Smallest and largest value that a sample of the file can have; infinite if there are none."""

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read linear power as float32 (spectra, channels), channels in ascending frequency.

        Beside the result, a read needs the memory of one chunk. Whole chunks are the cheapest ranges, see
        :attr:`Filterbank.chunk_shape`.

        Parameters
        ----------
        spectrum_start, spectrum_stop : int
            Range of spectra.
        channel_start, channel_stop : int
            Range of ascending channels.
        memory : float32 array, one-dimensional, optional
            Memory for the result, which is used if it is large enough. Memory that was used before saves a quarter
            of the time.

        Returns
        -------
        float32 array (spectra, channels)
            A mirrored view if the frequencies of the file descend.

        Raises
        ------
        IndexError
            The range lies outside the file.
        SourceError
            TRUNCATED or CORRUPT_CHUNK: samples are missing or damaged.
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
        """Return a range of ascending channels as the file counts them."""
        nchans = self.header.nchans
        return (channel_start, channel_stop) if self.header.foff_mhz > 0 else (
            nchans - channel_stop, nchans - channel_start)


class Filterbank(Ascending):
    """An open filterbank file, made by :func:`open_filterbank`. It is a context manager."""

    def __init__(self, storage: Storage, path: Path, size_bytes: int, mtime_ns: int) -> None:
        super().__init__(storage, storage.header, path, storage.limits)
        self._storage = storage
        self.shortfall = storage.shortfall
        """What is missing at the end of the file; empty if all is there."""
        self.size_bytes = size_bytes
        """Size of the file when it was opened."""
        self.mtime_ns = mtime_ns
        """Time of the file's last change when it was opened, in Unix nanoseconds."""
        self.remarks = storage.remarks
        """What a user should know of a file that can still be read: subject → a sentence."""
        self.chunk_shape = storage.chunk_shape
        """(spectra, channels) of a stored chunk, which is decoded as a whole; None if any range is equally cheap."""

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Buffer) -> Ascending:
        """Read the stored bytes of a range into ``room``. Reads from the returned object decode parts of them.

        So samples are processed while they are in the caches of a core. The returned object is valid until ``room`` is
        used again. Parameters and errors are those of :meth:`Ascending.read`.
        """
        first, last = self._in_file(channel_start, channel_stop)
        samples = self._storage.fetch(spectrum_start, spectrum_stop, first, last, room)
        if samples is None:
            power = room.take(4 * (spectrum_stop - spectrum_start) * (last - first)).view(np.float32)
            power = power.reshape(spectrum_stop - spectrum_start, last - first)
            self._storage.read(spectrum_start, spectrum_stop, first, last, power)
            samples = DecodedSamples(power, spectrum_start, first)
        return Ascending(samples, self.header, self.path, self.limits)

    def source_id(self, spectra: int | None = None) -> str:
        """Return the id of the scan. It is equal for copies, for ``.fil`` and ``.h5``, and for a mirrored file.

        With ``spectra``, return the id of a file that would hold only this number of spectra, the first ones.
        """
        header = self.header if spectra is None else replace(self.header, nsamples=spectra)
        return scan_id(header, self.read)

    def check_unchanged(self) -> None:
        """Raise BUSY if the file has changed since it was opened, because reads may mix both states; or GONE."""
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise refusal(Reason.GONE, self.path, f"is gone since it was opened ({error.strerror}); run again "
                          "when it is back") from error
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


def open_filterbank(
    path: str | Path, *, root: Path | None = None, polarisation: int = 0, accept_truncated: bool = False
) -> Filterbank:
    """Open a filterbank file of either format and check its header. The content, not the name, tells the format.

    Parameters
    ----------
    path : path
        The file.
    root : Path, optional
        Folder that external links and virtual datasets must not leave. Default: the folder of the file.
    polarisation : int
        Number of the polarisation to read, counted from 0; 0 is total power.
    accept_truncated : bool
        True to read a file whose end is missing. Its header then has the number of whole spectra that are there, and
        ``shortfall`` says what is missing. By default, such a file is refused.

    Raises
    ------
    SourceError
        The file cannot be used; ``reason`` says why. BAD_HEADER if it has no such polarisation.
    ConfigError
        ``polarisation`` is negative.
    """
    path = Path(path)
    if polarisation < 0:
        raise ConfigError(f"polarisation must be 0 or more, got {polarisation}")
    descriptor = open_regular(path)
    try:
        state = os.fstat(descriptor)
        if state.st_size == 0:
            raise refusal(Reason.EMPTY, path, "zero bytes; fetch the file again")
        storage: Storage
        if is_hdf5(descriptor):
            storage = Hdf5File(path, root or path.parent, polarisation, accept_truncated)
            os.close(descriptor)
        else:
            storage = SigprocFile(descriptor, path, polarisation, accept_truncated)
    except BaseException:
        os.close(descriptor)
        raise
    if polarisation >= storage.header.nifs:
        storage.close()
        raise refusal(Reason.BAD_HEADER, path, f"has {counted(storage.header.nifs, 'polarisation')}, counted from 0: "
                      f"there is no number {polarisation}; read it into a corpus of another polarisation")
    return Filterbank(storage, path, state.st_size, state.st_mtime_ns)


def source_of(filterbank: Filterbank, coarse: CoarseLayout) -> Source:
    """Describe an open file as a source. Reads a few samples for its id."""
    return Source(filterbank.source_id(), filterbank.header, coarse, str(filterbank.path),
                  filterbank.size_bytes, filterbank.mtime_ns)
