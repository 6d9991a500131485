"""The immutable groups of a corpus: the windows of a source, and the vectors that an encoder made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest, source_fault
from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.model import EncoderSpec, Header, Source, SourceReport, WindowGrid
from pipeline.store.arrays import Rows
from pipeline.store.digests import DIGESTS_FILE, GROUP_FILE, METADATA, Digests
from pipeline.store.layout import mending_of, source_folder, vector_folder
from pipeline.store.npy_file import Array
from pipeline.store.safe_names import checked
from pipeline.store.stored_arrays import EXPOSURE, VECTOR, WINDOWS, Described, arrays_of, attributes_of
from pipeline.support.records import Integer, record_of, value_of
from pipeline.support.text import shown

FORMAT = 2
"""Format of a group that this version writes. It also reads format 1 (:mod:`pipeline.store.stored_arrays`)."""
_FORMER = frozenset({"channels_skipped"})
"""Keys in the reports of groups of earlier versions. What they say follows from the header."""
_COLUMNS = {"number": ("int64", 1), "cutout": ("uint8", 3), "snr": ("float32", 1), "spread": ("float32", 1),
            "level": ("float32", 1)}
"""Data type and number of axes of the columns of windows that this program computes with."""


class Group:
    """A finished folder of arrays, with digests. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Open ``folder``. Check that every file is there and that metadata is unaltered.

        Raises
        ------
        CorpusDamaged
            A file is missing or altered.
        CorpusMismatch
            A newer version of the program wrote the group.
        PermissionError
            This user may not read it.
        """
        self.folder = folder
        self.digests = Digests.open(folder)
        with self._as_written():
            self.attributes = attributes_of(self.digests)
            number = value_of(Integer, self.attributes["format"])
        if number > FORMAT:
            raise CorpusMismatch(f"{folder}: has format {number}, this version reads up to {FORMAT}; update the "
                                 "program")
        self._arrays = arrays_of(self.digests)
        self._checked: dict[str, Described] = {}

    def verify(self) -> None:
        """Compare every file with its digest. Raise :class:`CorpusDamaged`, which names the file, if one differs."""
        self.digests.verify()

    def _read(self, name: str, rows: Rows = slice(None)) -> Array:
        """Read rows of the array ``name``. Raise :class:`CorpusDamaged` if a checksum does not match."""
        self._described(name)
        try:
            return self._arrays.read(name, rows)
        except (CorpusDamaged, PermissionError):
            raise
        except _ALTERED as error:
            raise CorpusDamaged(f"{self.folder}: array {name} is altered ({error}); "
                                f"{mending_of(self.folder)}") from error

    def _described(self, name: str) -> Described:
        """Return the checked type and shape of the array ``name``. Raise :class:`CorpusDamaged` if they make no sense.
        """
        if name not in self._checked:
            try:
                described = self._arrays.describe(name)
                self._check_array(name, described)
            except PermissionError:
                raise
            except (ValueError, OSError) as error:
                raise CorpusDamaged(f"{self.folder / self._arrays.file_of(name)}: fits no array of this group "
                                    f"({error}); {mending_of(self.folder)}") from error
            self._checked[name] = described
        return self._checked[name]

    @contextmanager
    def _as_written(self) -> Iterator[None]:
        """Turn errors about attributes into :class:`CorpusDamaged`. A valid digest does not prove who wrote them."""
        try:
            yield
        except (CorpusDamaged, PermissionError):
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            name = self.digests.name if self.digests.name == GROUP_FILE else METADATA
            raise CorpusDamaged(f"{self.folder}: {name} is not that of a group ({error!r}); "
                                f"{mending_of(self.folder)}") from error

    def senseless_arrays(self) -> Iterator[str]:
        """Check type and shape of every array. Yield a message for each that makes no sense."""
        try:
            names = sorted(self._arrays.names())
        except PermissionError:
            raise
        except (ValueError, OSError) as error:
            yield f"holds an array that cannot be read ({error})"
            return
        for name in names:
            try:
                self._described(name)
            except CorpusDamaged as error:
                yield str(error).removeprefix(f"{self.folder}/").rsplit("; ", 1)[0]

    def _check_array(self, name: str, described: Described) -> None:
        """Raise ``ValueError`` if an array does not fit this kind of group."""

    def _columns_of(self, kind: str) -> tuple[str, ...]:
        """Return the names of the columns of windows or of the exposure."""
        try:
            names = self._arrays.names()
        except PermissionError:
            raise
        except (ValueError, OSError) as error:
            raise CorpusDamaged(f"{self.folder}: holds an array that cannot be read ({error}); "
                                f"{mending_of(self.folder)}") from error
        return tuple(sorted(name.partition("/")[2] for name in names if name.startswith(f"{kind}/")))


class SourceGroup(Group):
    """The kept windows of a source, one row each, and the exposure: what was searched to find them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with self._as_written():
            self.source = record_of(Source, self.attributes["source"])
            report = value_of(dict[str, Any], self.attributes["report"])
            self.report = record_of(SourceReport, {key: value for key, value in report.items() if key not in _FORMER})
            """Report of the run that committed the group."""
            self.fingerprint: str = value_of(str, self.attributes["fingerprint"])
            """Fingerprint of the identity that the windows were made with."""
            self.columns: dict[str, str] = value_of(dict[str, str], self.attributes["columns"])
            """Column → description with units."""
            if fault := source_fault(self.source.header, self.source.coarse):
                raise ValueError(fault)
            self.n_windows = -1  # the number of rows is not known yet
            self.n_windows = self._described(f"{WINDOWS}/number").shape[0]
            if self.report.windows_kept != self.n_windows:
                raise ValueError(f"{self.n_windows} windows, its report says {self.report.windows_kept}")

    @classmethod
    def open(cls, root: Path, source_id: str) -> Self:
        """Open the group of a source of the corpus in ``root``."""
        return cls(source_folder(root, source_id))

    def _check_array(self, name: str, described: Described) -> None:
        kind, _, column = name.partition("/")
        if kind != WINDOWS:
            return
        if column in _COLUMNS and (described.data_type, len(described.shape)) != _COLUMNS[column]:
            raise ValueError(f"{described.data_type} of shape {described.shape}, not {_COLUMNS[column][0]} with "
                             f"{_COLUMNS[column][1]} axes")
        if self.n_windows not in (-1, described.shape[0]):
            raise ValueError(f"{described.shape[0]} rows, but there are {self.n_windows} windows")

    def require_grid(self, grid: WindowGrid) -> None:
        """Raise :class:`CorpusDamaged` unless the cutouts have the shape of the windows of a grid."""
        shape = self._described(f"{WINDOWS}/cutout").shape[1:]
        if shape != (grid.integrations, grid.channels):
            raise CorpusDamaged(f"{self.folder}: its cutouts have shape {shape}, not "
                                f"{(grid.integrations, grid.channels)} as in this corpus; {mending_of(self.folder)}")

    @property
    def source_id(self) -> str:
        """Id of the source."""
        return self.source.id

    def misnamed(self) -> str:
        """Return what is wrong if the folder has the name of another source; else an empty text."""
        return "" if self.source.id == self.folder.name else f"holds {shown(str(self.source.id)[:100])}"

    @property
    def header(self) -> Header:
        """Header of the source."""
        return self.source.header

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Window number of each row (n,), in the order of the parts."""
        numbers = self._read(f"{WINDOWS}/number")
        if len(numbers) and int(numbers.min()) < 0:
            raise CorpusDamaged(f"{self.folder}: a window has number {numbers.min()}; {mending_of(self.folder)}")
        return numbers

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns of windows, which include ``number`` and ``cutout``."""
        return self._columns_of(WINDOWS)

    @property
    def exposure_names(self) -> tuple[str, ...]:
        """Names of the columns of the exposure."""
        return self._columns_of(EXPOSURE)

    def column(self, name: str, rows: slice | Sequence[int] | NDArray[np.int64] = slice(None)) -> Array:
        """Read a column of the windows. Unknown columns raise ``KeyError``, unknown rows ``IndexError``."""
        if name not in self.column_names:
            raise KeyError(f"{self.folder}: no column {name!r}; there are {', '.join(self.column_names)}")
        return self._read(f"{WINDOWS}/{name}", _checked(rows, self.n_windows))

    def cutouts(self, rows: slice | Sequence[int] | NDArray[np.int64] = slice(None)) -> NDArray[np.uint8]:
        """Read cutouts (n, spectra, channels) by slice, or by row numbers in any order."""
        return self.column("cutout", rows)

    def exposure(self, name: str) -> Array:
        """Read one column of the exposure. Unknown columns raise ``KeyError``."""
        if name not in self.exposure_names:
            raise KeyError(f"{self.folder}: no exposure {name!r}; there are {', '.join(self.exposure_names)}")
        return self._read(f"{EXPOSURE}/{name}")

    @cached_property
    def digest(self) -> str:
        """sha256 of the columns of windows. Groups of one format with equal rows have equal digests. The report is no
        part of it."""
        return self._arrays.digest()


class VectorGroup(Group):
    """The vectors that one encoder made of a source's windows, in the order of the rows of its group."""

    def __init__(self, folder: Path, source: SourceGroup) -> None:
        super().__init__(folder)
        with self._as_written():
            self.source_id: str = value_of(str, self.attributes["source_id"])
            self.spec = record_of(EncoderSpec, self.attributes["spec"])
            checked(self.spec.name)
            rows = value_of(str, self.attributes["rows"])
            self.count, self.dimension = self._described(VECTOR).shape
        if self.source_id != source.source_id or rows != source.digest:
            raise CorpusMismatch(f"{folder}: made of other windows than {source.folder} holds; "
                                 "remove it and ingest the source again")
        if self.count != source.n_windows:
            raise CorpusDamaged(f"{folder}: {self.count} vectors for {source.n_windows} windows; {mending_of(folder)}")

    def _check_array(self, name: str, described: Described) -> None:
        if described.data_type != "float16" or described.shape[1:] != (self.spec.dimension,):
            raise ValueError(f"{described.data_type} of shape {described.shape}, not float16 vectors of "
                             f"{self.spec.dimension} components")

    @classmethod
    def open(cls, root: Path, encoder_key: str, source_id: str) -> Self:
        """Open the vectors of a source. Check that they were made of the windows that are there.

        Raises
        ------
        CorpusDamaged, CorpusMismatch
            A file is missing or altered, or the vectors were made of other windows.
        """
        return cls(vector_folder(root, encoder_key, source_id), SourceGroup.open(root, source_id))

    def misnamed(self) -> str:
        """Return what is wrong if the folder has the name of another source or encoder; else an empty text."""
        key, source_id = self.folder.parts[-2:]
        if (self.spec.key, self.source_id) == (key, source_id):
            return ""
        return f"holds vectors {shown(f'{self.spec.key} of {self.source_id}'[:200])}"

    def vectors(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Read rows ``start`` to ``stop`` as float32 (n, dimension). They are stored as float16."""
        rows = slice(start, self.count if stop is None else stop)
        if not 0 <= rows.start <= rows.stop <= self.count:
            raise IndexError(f"{self.folder}: rows {rows.start} to {rows.stop} of {self.count}")
        return self._read(VECTOR, rows).astype(np.float32)


_ALTERED = (ValueError, RuntimeError, OSError, TypeError, LookupError, ArithmeticError, MemoryError)
"""What Zarr raises for content that it cannot read. A file that this user may not read is no damage: a
``PermissionError`` is raised as it is, everywhere in a corpus."""


def count_old_groups(root: Path, manifest: Manifest) -> int:
    """Count the groups that a generation names and that are in format 1."""
    folders = [source_folder(root, source_id) for source_id in manifest.sources]
    folders += [vector_folder(root, key, source_id) for source_id, entry in manifest.sources.items()
                for key in entry.vectors]
    return sum((folder / DIGESTS_FILE).is_file() for folder in folders)


def source_attributes(
    source: Source, report: SourceReport, fingerprint: str, columns: Mapping[str, str]
) -> dict[str, Any]:
    """Return the attributes of a source group."""
    return {"format": FORMAT, "source": asdict(source), "report": asdict(report), "fingerprint": fingerprint,
            "columns": dict(columns)}


def vector_attributes(source: SourceGroup, spec: EncoderSpec) -> dict[str, Any]:
    """Return the attributes of a vector group."""
    return {"format": FORMAT, "source_id": source.source_id, "spec": asdict(spec), "rows": source.digest}


def _checked(rows: slice | Sequence[int] | NDArray[np.int64], n_rows: int) -> Rows:
    if isinstance(rows, slice):
        return rows
    numbers = np.asarray(rows, dtype=np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= n_rows):
        raise IndexError(f"rows {numbers.min()} to {numbers.max()} do not exist, there are {n_rows}")
    return numbers
