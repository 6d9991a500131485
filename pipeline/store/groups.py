"""The immutable groups of a corpus: a source's windows, and the vectors an encoder made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, CorpusMismatch, Reason
from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport, Timing
from pipeline.store import arrays
from pipeline.store.arrays import Array, Rows
from pipeline.store.door import checked
from pipeline.store.layout import mending_of, source_folder, vector_folder
from pipeline.store.seal import Seal
from pipeline.text import shown

FORMAT = 1
WINDOWS = "windows"
EXPOSURE = "exposure"
VECTOR = "vector"


class Group:
    """A sealed folder of Zarr arrays. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Open ``folder``, checking that each file is there and metadata is unaltered.

        Raises
        ------
        CorpusDamaged
            A file is missing or altered.
        CorpusMismatch
            A newer version of the program wrote the group.
        """
        self.folder = folder
        self.seal = Seal.open(folder)
        self._arrays: dict[str, Any] = {}
        try:
            self.attributes: dict[str, Any] = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        except (OSError, ValueError, KeyError) as error:
            raise CorpusDamaged(f"{folder}: zarr.json holds no attributes ({error}); {mending_of(folder)}") from error
        if self.attributes["format"] > FORMAT:
            raise CorpusMismatch(
                f"{folder}: has format {self.attributes['format']}, this version reads up to {FORMAT}; "
                "update the program"
            )

    def verify(self) -> None:
        """Compare every byte with its digest; :class:`CorpusDamaged` names the file that differs."""
        self.seal.verify()

    def _read(self, name: str, rows: Rows = slice(None)) -> Array:
        """Read rows of the array ``name``; what its checksums refuse is :class:`CorpusDamaged`."""
        self.seal.check(name)
        try:
            if name not in self._arrays:
                self._arrays[name] = arrays.open_array(self.folder, name)
            return arrays.read_rows(self._arrays[name], rows)
        except (ValueError, RuntimeError, OSError) as error:
            raise CorpusDamaged(f"{self.folder}: array {name} is altered ({error}); "
                                f"{mending_of(self.folder)}") from error

    def _length(self, name: str) -> int:
        return int(self._metadata(name)["shape"][0])

    def _metadata(self, name: str) -> dict[str, Any]:
        metadata: dict[str, Any] = json.loads((self.folder / name / "zarr.json").read_bytes())
        return metadata

    def _names(self, group: str) -> tuple[str, ...]:
        """Arrays of the sub-group ``group``."""
        inside = (path.split("/") for path in self.seal.files if path.startswith(f"{group}/"))
        return tuple(sorted({parts[1] for parts in inside if len(parts) > 2}))


class SourceGroup(Group):
    """A source's kept windows, one row each, and the exposure: what was searched to find them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with _as_written(folder):
            self.source = _source_from(self.attributes["source"])
            self.report = _report_from(self.attributes["report"])
            """As it was at the commit; its counts and timings are those of the run that won."""
            self.fingerprint: str = self.attributes["fingerprint"]
            """Of the grid, gate and cutout the windows were made with."""
            self.columns: dict[str, str] = self.attributes["columns"]
            """Column → what it holds, in words."""
            self.n_windows = self._length(f"{WINDOWS}/number")

    @classmethod
    def open(cls, root: Path, source_id: str) -> Self:
        """Open the group of a source of the corpus in ``root``."""
        return cls(source_folder(root, source_id))

    @property
    def source_id(self) -> str:
        """The source's id."""
        return self.source.id

    def misnamed(self) -> str:
        """Say what is wrong where the folder is called after another source; else nothing."""
        return "" if self.source.id == self.folder.name else f"holds {shown(str(self.source.id)[:100])}"

    @property
    def header(self) -> Header:
        """The source's header."""
        return self.source.header

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Window numbers, one a row, in the order of the parts."""
        return self._read(f"{WINDOWS}/number")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Columns of the windows, ``number`` and ``cutout`` among them."""
        return self._names(WINDOWS)

    @property
    def exposure_names(self) -> tuple[str, ...]:
        """Columns of the exposure."""
        return self._names(EXPOSURE)

    def column(self, name: str, rows: slice | Sequence[int] | NDArray[np.int64] = slice(None)) -> Array:
        """Read a column of the windows; ``KeyError`` for an unknown one, ``IndexError`` for unknown rows."""
        if name not in self.column_names:
            raise KeyError(f"{self.folder}: no column {name!r}; there are {', '.join(self.column_names)}")
        return self._read(f"{WINDOWS}/{name}", _checked(rows, self.n_windows))

    def cutouts(self, rows: slice | Sequence[int] | NDArray[np.int64] = slice(None)) -> NDArray[np.uint8]:
        """Read cutouts (n, T, F) by slice or by row numbers in any order."""
        return self.column("cutout", rows)

    def exposure(self, name: str) -> Array:
        """Read one column of the exposure; unknown names are a ``KeyError``."""
        if name not in self.exposure_names:
            raise KeyError(f"{self.folder}: no exposure {name!r}; there are {', '.join(self.exposure_names)}")
        return self._read(f"{EXPOSURE}/{name}")

    @cached_property
    def digest(self) -> str:
        """sha256 of the rows: equal rows have equal digests, whatever the report says of timings."""
        return self.seal.digest(f"{WINDOWS}/")


class VectorGroup(Group):
    """The vectors one encoder made of a source's windows, in the order of its rows."""

    def __init__(self, folder: Path, source: SourceGroup) -> None:
        super().__init__(folder)
        with _as_written(folder):
            self.source_id: str = self.attributes["source_id"]
            self.spec = EncoderSpec(**self.attributes["spec"])
            checked(self.spec.name)
            self.count, self.dimension = self._metadata(VECTOR)["shape"]
        if self.source_id != source.source_id or self.attributes["rows"] != source.digest:
            raise CorpusMismatch(f"{folder}: made of other windows than {source.folder} holds; "
                                 "remove it and ingest the source anew")
        if self.count != source.n_windows:
            raise CorpusDamaged(f"{folder}: {self.count} vectors for {source.n_windows} windows; {mending_of(folder)}")

    @classmethod
    def open(cls, root: Path, encoder_key: str, source_id: str) -> Self:
        """Open a source's vectors, checking that they belong to its windows as they are.

        Raises
        ------
        CorpusDamaged, CorpusMismatch
            A file is missing or altered; the vectors were made of other windows.
        """
        return cls(vector_folder(root, encoder_key, source_id), SourceGroup.open(root, source_id))

    def misnamed(self) -> str:
        """Say what is wrong where the folder is called after another source or encoder; else nothing."""
        key, source_id = self.folder.parts[-2:]
        if (self.spec.key, self.source_id) == (key, source_id):
            return ""
        return f"holds vectors {shown(f'{self.spec.key} of {self.source_id}'[:200])}"

    def vectors(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Read rows ``start`` to ``stop`` as float32 (n, dimension); they are stored as float16."""
        rows = slice(start, self.count if stop is None else stop)
        if not 0 <= rows.start <= rows.stop <= self.count:
            raise IndexError(f"{self.folder}: rows {rows.start} to {rows.stop} of {self.count}")
        return self._read(VECTOR, rows).astype(np.float32)


@contextmanager
def _as_written(folder: Path) -> Iterator[None]:
    """Take attributes that say something else than a group's do for damage; a digest does not tell who wrote them."""
    try:
        yield
    except CorpusDamaged:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise CorpusDamaged(f"{folder}: zarr.json is not that of a group ({error!r}); {mending_of(folder)}") from error


def source_attributes(
    source: Source, report: SourceReport, fingerprint: str, columns: Mapping[str, str]
) -> dict[str, Any]:
    """Root attributes of a source group."""
    return {"format": FORMAT, "source": asdict(source), "report": asdict(report), "fingerprint": fingerprint,
            "columns": dict(columns)}


def vector_attributes(source: SourceGroup, spec: EncoderSpec) -> dict[str, Any]:
    """Root attributes of a vector group."""
    return {"format": FORMAT, "source_id": source.source_id, "spec": asdict(spec), "rows": source.digest}


def _source_from(record: Mapping[str, Any]) -> Source:
    return Source(**{**record, "header": Header.from_json(record["header"]),
                     "coarse": CoarseLayout(**record["coarse"])})


def _report_from(record: Mapping[str, Any]) -> SourceReport:
    return SourceReport(**{
        **record,
        "reason": Reason(record["reason"]) if record["reason"] else None,
        "timing": Timing(**record["timing"]),
        "also_at": tuple(record["also_at"]),
    })


def _checked(rows: slice | Sequence[int] | NDArray[np.int64], n_rows: int) -> Rows:
    if isinstance(rows, slice):
        return rows
    numbers = np.asarray(rows, dtype=np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= n_rows):
        raise IndexError(f"rows {numbers.min()} to {numbers.max()} asked of {n_rows}")
    return numbers
