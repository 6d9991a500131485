"""Small corpora, with sources, parts and reports like those that the tasks of a run make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport, Timing
from pipeline.store import CorpusStore, Part, write_part, write_part_vectors

HEADER = Header(
    fch1_mhz=8438.0, foff_mhz=-2.7939677238464355e-06, nchans=2**20, nifs=1, nbits=32, tsamp_s=18.253611008,
    nsamples=16, tstart_mjd=57_436.5, source_name="HIP77257", telescope_id=6,
)
COARSE = CoarseLayout(2**18, "dc-spikes", 17)
SPEC = EncoderSpec("power-spectrum", 1, 8, "cutout-v1 4x8")
IDENTITY = {"scan": {"window": 256, "step": 256, "f_start_mhz": None}, "cutout_version": 1}


@pytest.fixture
def header() -> Header:
    return HEADER


@pytest.fixture
def spec() -> EncoderSpec:
    return SPEC


@pytest.fixture
def identity() -> dict[str, object]:
    return {**IDENTITY, "scan": dict(IDENTITY["scan"])}


@pytest.fixture
def store(tmp_path: Path) -> CorpusStore:
    return CorpusStore.create(tmp_path / "corpus", IDENTITY)


@dataclass
class Staged:
    """A source with parts in a staging folder, and the content that its group must get."""

    source: Source
    staging: Path
    n_parts: int
    report: SourceReport
    windows: dict[str, np.ndarray]
    exposure: dict[str, np.ndarray]
    vectors: np.ndarray


def make_source(source_id: str = "GBT_57436_51432_HIP77257_0a1b") -> Source:
    return Source(source_id, HEADER, COARSE, f"/data/{source_id}.h5", 12_345, 1_700_000_000_000_000_000)


def make_parts(counts: tuple[int, ...], seed: int) -> list[tuple[Part, np.ndarray]]:
    """Make parts of ``counts`` windows. Window numbers are unique, but not ascending, as with several time blocks."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(10 * sum(counts) + 1)[: sum(counts)].astype(np.int64)
    parts = []
    for part_no, count in enumerate(counts):
        first = sum(counts[:part_no])
        windows = {
            "number": numbers[first : first + count],
            "cutout": rng.integers(0, 256, (count, 4, 8), dtype=np.uint8),
            "snr": rng.normal(size=count).astype(np.float32),
            "dead": rng.random(count) < 0.5,
        }
        exposure = {"coarse": np.array([2 * part_no, 2 * part_no + 1]), "searched": np.array([4096, 4095])}
        vectors = rng.normal(size=(count, SPEC.dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        parts.append((Part(windows, exposure), vectors))
    return parts


@pytest.fixture
def stage(store: CorpusStore) -> Callable[..., Staged]:
    """Write parts with random content into a staging folder. Equal seeds give equal content."""

    def make(*counts: int, seed: int = 0, source_id: str = "GBT_57436_51432_HIP77257_0a1b") -> Staged:
        staging = store.new_staging()
        source = make_source(source_id)
        parts = make_parts(counts, seed)
        for part_no, (part, vectors) in enumerate(parts):
            write_part(staging, source.id, part_no, part)
            write_part_vectors(staging, source.id, part_no, SPEC.key, vectors)

        def joined(kind: str) -> dict[str, np.ndarray]:
            columns = [getattr(part, kind) for part, _ in parts]
            return {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}

        report = SourceReport(source.path, "done", source.id, windows_seen=8191 * len(counts),
                              windows_kept=sum(counts), timing=Timing(1.5, 2.5), also_at=("/b/other.fil",))
        return Staged(source, staging, len(counts), report, joined("windows"), joined("exposure"),
                      np.concatenate([vectors for _, vectors in parts]).astype(np.float16).astype(np.float32))

    return make
