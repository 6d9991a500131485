"""Write filterbank files like those of Breakthrough Listen, piece by piece."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.filterbank.sigproc import SAMPLE_TYPES
from pipeline.filterbank.sigproc_header import build_header, keywords_of
from pipeline.model import Header
from pipeline.support.text import shown

CHUNK = (1, 1 << 20)
"""Default (spectra, channels) of an HDF5 chunk."""
Notes = Mapping[str, int | float | str]
"""Name → value of further attributes of a file."""


class Sink(Protocol):
    """A file that is being written. Channels are in the order of the file."""

    def put(self, spectrum: int, channel: int, samples: NDArray[Any]) -> None:
        """Store samples (spectra, channels) from the corner ``spectrum``, ``channel`` on."""

    def close(self) -> None:
        """Close the file."""


class FilterbankWriter:
    """Writes a file: sigproc if its name ends in ``.fil``, else HDF5 (bitshuffle and LZ4). It is a context manager.

    The file appears under its name when it is complete. After an error, nothing is left behind.

    Parameters
    ----------
    path : path
        The file.
    header : Header
        Decides the shape, the order of channels in the file (sign of ``foff_mhz``) and the sample type (``nbits`` 8, 16
        or 32). There must be one polarisation.
    chunk : (int, int)
        (spectra, channels) of an HDF5 chunk.
    notes : mapping, optional
        Further attributes of the data of an HDF5 file. sigproc has no place for them.

    Raises
    ------
    ConfigError
        Such a file cannot be written.
    """

    def __init__(self, path: str | Path, header: Header, *, chunk: tuple[int, int] = CHUNK,
                 notes: Notes | None = None) -> None:
        self.path = Path(path)
        if header.nbits not in SAMPLE_TYPES or header.nifs != 1 or min(header.nchans, header.nsamples) < 1:
            raise ConfigError(f"{shown(path)}: cannot write {header.nsamples} spectra × {header.nifs} "
                              f"polarisations × {header.nchans} channels of {header.nbits} bits; one "
                              "polarisation of 8, 16 or 32 bits can be written")
        self._header = header
        self._sample = SAMPLE_TYPES[header.nbits]
        self._missing = header.nsamples * header.nchans
        self._partial = self.path.with_name(f".{self.path.name}.part")
        self._sink: Sink = (_SigprocSink(self._partial, header) if self.path.suffix.lower() == ".fil"
                            else _Hdf5Sink(self._partial, header, chunk, notes or {}))

    def write(self, spectrum_start: int, channel_start: int, power: NDArray[Any]) -> None:
        """Write linear power (spectra, channels), channels ascending, from a spectrum and an ascending channel on.

        Integer samples are rounded and clipped. Each sample must be written once.

        Raises
        ------
        ConfigError
            The piece lies outside the file, or NaN would become an integer.
        """
        (spectra, channels), header = power.shape, self._header
        if not (0 <= spectrum_start <= header.nsamples - spectra
                and 0 <= channel_start <= header.nchans - channels):
            raise ConfigError(f"{shown(self.path)}: a piece of {spectra} × {channels} at {spectrum_start}, "
                              f"{channel_start} lies outside {header.nsamples} × {header.nchans}")
        samples = self._as_stored(power)
        if header.foff_mhz < 0:
            samples, channel_start = samples[:, ::-1], header.nchans - channel_start - channels
        self._sink.put(spectrum_start, channel_start, np.ascontiguousarray(samples))
        self._missing -= power.size

    def _as_stored(self, power: NDArray[Any]) -> NDArray[Any]:
        if self._sample.kind == "f":
            return np.asarray(power, self._sample)
        if np.isnan(power).any():
            raise ConfigError(f"{shown(self.path)}: NaN cannot be written with {self._header.nbits} bits")
        limits = np.iinfo(self._sample)
        whole: NDArray[Any] = np.clip(np.rint(power), limits.min, limits.max)
        return whole.astype(self._sample)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self._sink.close()
            if kind is None:
                if self._missing:
                    raise ConfigError(f"{shown(self.path)}: {self._missing} of its samples were not written")
                os.replace(self._partial, self.path)
        finally:
            self._partial.unlink(missing_ok=True)


class _SigprocSink:
    def __init__(self, path: Path, header: Header) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._data_start = self._file.write(build_header(header))
        self._nchans = header.nchans

    def put(self, spectrum: int, channel: int, samples: NDArray[Any]) -> None:
        for row, stored in enumerate(samples, start=spectrum):
            self._file.seek(self._data_start + (row * self._nchans + channel) * samples.itemsize)
            self._file.write(stored.data)

    def close(self) -> None:
        self._file.close()


class _Hdf5Sink:
    def __init__(self, path: Path, header: Header, chunk: tuple[int, int], notes: Notes) -> None:
        import h5py  # here, because whoever only reads files does without: another process parses them
        import hdf5plugin

        self._file = h5py.File(os.fsencode(path), "w", locking=False)
        self._file.attrs["CLASS"] = "FILTERBANK"
        self._file.attrs["VERSION"] = "1.0"
        self._data = self._file.create_dataset(
            "data",
            shape=(header.nsamples, 1, header.nchans),
            chunks=(min(chunk[0], header.nsamples), 1, min(chunk[1], header.nchans)),
            dtype=SAMPLE_TYPES[header.nbits],
            compression=hdf5plugin.Bitshuffle(nelems=0, cname="lz4"),
        )
        for dimension, label in zip(self._data.dims, ("time", "feed_id", "frequency"), strict=True):
            dimension.label = label
        for name, value in (*notes.items(), *keywords_of(header).items()):
            self._data.attrs[name] = value

    def put(self, spectrum: int, channel: int, samples: NDArray[Any]) -> None:
        spectra, channels = samples.shape
        # Both sides have three axes, because HDF5 copies between different shapes much more slowly.
        self._data[spectrum:spectrum + spectra, 0:1, channel:channel + channels] = samples[:, np.newaxis]

    def close(self) -> None:
        self._file.close()


def write_filterbank(path: str | Path, power: NDArray[Any], header: Header, notes: Notes | None = None) -> Path:
    """Write linear power (spectra, channels), channels ascending, as one file. See :class:`FilterbankWriter`."""
    with FilterbankWriter(path, header, notes=notes) as writer:
        writer.write(0, 0, power)
    return writer.path
