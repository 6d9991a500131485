"""Tiny scans, and what a corpus has to hold of each, taken from a corpus that nothing disturbs.

A scan has four windows, or eight, so that a run over it takes hundredths of a second.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import IndexConfig, NightlyConfig, ScanConfig
from pipeline.filterbank import write_filterbank
from pipeline.model import Header
from pipeline.run import embed, ingest
from pipeline.store import CorpusStore, SourceGroup, VectorGroup
from tests.run import fake
from tests.run.small import HEADER, config

WIDTH = 1024
CONFIG = replace(
    config(ScanConfig(coarse_width=WIDTH, keep_all=True, views=())), index=IndexConfig(1, 1000),
    nightly=NightlyConfig(verify=1.0, least_earlier=10**6),  # too few to judge: pictures would take seconds
)
OWN, SECOND = "power-spectrum-v1", "fake-v1-e3b0c442"
"""Keys of the encoder that an ingest uses, and of the one that only ``embed`` uses."""
FILES = {"0.fil": 0, "1.fil": 1, "1.h5": 1, "2.fil": 2, "3.fil": 3, "4.fil": 4}
"""Name of a file → number of the scan that it holds. Two files hold the same scan."""
CHANGES: Mapping[int, Mapping[str, Any]] = {3: {"nsamples": 32}, 4: {"foff_mhz": 4 * HEADER.foff_mhz}}
"""Scan 3 has two time blocks, scan 4 is of another resolution class."""


@dataclass(frozen=True)
class Scan:
    """What a corpus has to hold of a scan."""

    source_id: str
    resolution: str
    target: str
    columns: Mapping[str, bytes]
    """Column of the windows → its content."""
    numbers: tuple[int, ...]
    vectors: Mapping[str, np.ndarray]
    """Encoder key → (windows, dimension) float64, of length 1."""


@dataclass(frozen=True)
class Pool:
    """The files and scans that all examples share."""

    folder: Path
    scans: Mapping[int, Scan]
    number_of: Mapping[str, int]
    """Source id → number of the scan."""

    def copy(self, name: str, folder: Path, as_name: str) -> None:
        """Copy a file, time of change included, so that it counts as old."""
        shutil.copy2(self.folder / name, folder / as_name)


def make_pool(folder: Path) -> Pool:
    """Write the files, and ingest each scan into a corpus that nothing disturbs."""
    data, root = folder / "data", folder / "reference"
    data.mkdir(parents=True)
    for second, (name, number) in enumerate(FILES.items()):
        write(data / name, number)
        os.utime(data / name, (1e9 + second,) * 2)  # two files of one size and one time would count as the same
    assert ingest([data], root, config=CONFIG, serial=True).exit_code == 0
    assert embed(root, encoder=fake.PLAIN, config=CONFIG, serial=True).exit_code == 0
    sources = CorpusStore.open(root).manifest().sources
    scans = {FILES[Path(entry.path).name]: _scan_of(root, source_id) for source_id, entry in sources.items()}
    assert sorted(scans) == sorted(set(FILES.values()))
    assert len({scan.resolution for scan in scans.values()}) == 2
    return Pool(data, scans, {scan.source_id: number for number, scan in scans.items()})


def columns_of(root: Path, source_id: str) -> dict[str, bytes]:
    """Read all that a corpus holds of a source's windows."""
    group = SourceGroup.open(root, source_id)
    windows = {name: group.column(name).tobytes() for name in group.column_names}
    return windows | {f"exposure {name}": group.exposure(name).tobytes() for name in group.exposure_names}


def _scan_of(root: Path, source_id: str) -> Scan:
    entry = CorpusStore.open(root).manifest().sources[source_id]
    numbers = tuple(int(number) for number in SourceGroup.open(root, source_id).numbers)
    vectors = {}
    for key in (OWN, SECOND):
        rows = VectorGroup.open(root, key, source_id).vectors().astype(np.float64)
        vectors[key] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Scan(source_id, entry.resolution, entry.header.source_name, columns_of(root, source_id), numbers, vectors)


def write(path: Path, number: int) -> None:
    changes = {"nchans": WIDTH, "source_name": f"STAR{number}", **CHANGES.get(number, {})}
    like = replace(HEADER, tstart_mjd=HEADER.tstart_mjd + number / 288, **changes)
    write_filterbank(path, _power(number, like), like)


def _power(seed: int, like: Header) -> np.ndarray:
    """Noise with a line of its own slope in each window, so that no two windows have equal vectors."""
    rng = np.random.default_rng(seed)
    power = rng.gamma(102, 1 / 102, (like.nsamples, like.nchans))
    spectra = np.arange(like.nsamples)
    for start in range(0, like.nchans, 256):
        channels = start + 128 + (rng.uniform(-6, 6) * (spectra % 16 - 8)).astype(int) + rng.integers(-60, 60)
        power[spectra, np.clip(channels, start, start + 255)] += rng.uniform(2, 6)
    return (1e9 * power).astype(np.float32)
