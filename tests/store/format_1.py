"""Groups of format 1, which earlier versions wrote: a Zarr array for each column, and ``digests.json``."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from pipeline.store import SourceGroup, VectorGroup, arrays, source_folder
from pipeline.store.digests import Digests
from pipeline.store.groups import Group


def to_format_1(root: Path, source_id: str) -> None:
    """Write the windows of a source, and all its vectors, as an earlier version would have written them."""
    source = SourceGroup.open(root, source_id)
    vectors = [VectorGroup(folder, source) for folder in sorted(root.glob(f"vectors/*/{source_id}"))]
    columns = {f"windows/{name}": source.column(name) for name in source.column_names}
    columns |= {f"exposure/{name}": source.exposure(name) for name in source.exposure_names}
    _rewrite(source, columns)
    for group in vectors:
        group.attributes["rows"] = SourceGroup.open(root, source_id).digest
        _rewrite(group, {"vector": group.vectors().astype(np.float16)})


def all_to_format_1(root: Path) -> None:
    """Rewrite every source of a corpus, and its vectors."""
    for folder in sorted((root / "sources").iterdir()):
        to_format_1(root, folder.name)


def _rewrite(group: Group, columns: dict[str, np.ndarray]) -> None:
    new = group.folder.with_name("new")
    attributes: dict[str, Any] = {**group.attributes, "format": 1}
    attributes.pop("sha256")
    zarr.create_group(str(new), attributes=attributes)
    for name, column in columns.items():
        row = column.shape[1:]
        chunk, shard = arrays._chunking(len(column), math.prod(row) * column.dtype.itemsize)
        array = zarr.create_array(
            str(new), name=name, shape=column.shape, dtype=column.dtype, chunks=(chunk, *row), shards=(shard, *row),
            compressors=[ZstdCodec(level=3), Crc32cCodec()], fill_value=0, config={"write_empty_chunks": True})
        if len(column):
            array[:] = column
    Digests.of(new).write()
    shutil.rmtree(group.folder)
    new.rename(group.folder)


def is_format_1(root: Path, source_id: str) -> bool:
    """Tell whether the windows of a source are in format 1."""
    return (source_folder(root, source_id) / "zarr.json").exists()
