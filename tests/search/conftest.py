"""Small corpora, written by the real store. Their vectors are random; brute force finds the nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalogue import SegmentEntry
from pipeline.config import CONFIG_FILE, Config
from pipeline.grid.tiling import Tiling
from pipeline.index import build_segment
from pipeline.model import CoarseLayout, EncoderSpec, Header, Source, SourceReport
from pipeline.search import Corpus, open_corpus
from pipeline.store import (
    CorpusStore,
    Part,
    commit_source_group,
    commit_vector_group,
    segment_folder,
    write_part,
    write_part_vectors,
)
from tests.search.archive import Archive, ingested

CHANNELS, INTEGRATIONS = 16, 4
SPEC = EncoderSpec("random", 1, 12, "none")
CONFIG = Config().override({"scan": {"window": CHANNELS, "step": CHANNELS, "integrations": INTEGRATIONS},
                            "encoder": {"name": SPEC.name}})
FINE = Header(fch1_mhz=1530.0, foff_mhz=-2.7939677238464355e-06, nchans=1024, nifs=1, nbits=32, tsamp_s=18.253611008,
              nsamples=9, tstart_mjd=59_000.25, source_name="VOYAGER1", telescope_id=6)
COARSE = CoarseLayout(250, "flag")


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Made:
    """A corpus to which tests add sources, and a record of what it holds."""

    def __init__(self, root: Path, config: Config = CONFIG) -> None:
        self.root, self.config = root, config
        self.store = CorpusStore.create(root, config.identity())
        (root / CONFIG_FILE).write_text(config.to_toml())
        self.staging = self.store.new_staging()
        self.numbers: dict[str, np.ndarray] = {}
        self.vectors: dict[str, np.ndarray] = {}
        """Source → vectors, rounded to float16 as they are stored."""
        self.snr: dict[str, np.ndarray] = {}

    def tiling(self, source_id: str) -> Tiling:
        entry = self.store.manifest().sources[source_id]
        return Tiling(entry.header, self.config.scan.grid, entry.coarse)

    def add(self, source_id: str, numbers: Sequence[int], vectors: np.ndarray, *, header: Header = FINE,
            path: str | None = None, spec: EncoderSpec = SPEC, coarse: CoarseLayout = COARSE) -> None:
        """Commit a source in two parts, with rows in the given order."""
        rng = np.random.default_rng(len(self.numbers))
        scan = self.config.scan
        windows = {
            "number": np.array(numbers, np.int64),
            "cutout": rng.integers(1, 256, (len(numbers), scan.integrations, scan.window), dtype=np.uint8),
            "snr": rng.uniform(5, 50, len(numbers)).astype(np.float32),
            "spread": np.full(len(numbers), 0.1, np.float32),
        }
        exposure = {"windows_searched": np.array([len(numbers)], np.int32)}
        source = Source(source_id, header, coarse, path or f"/gone/{source_id}.h5", 1, 2)
        half = len(numbers) // 2
        for part_no, rows in enumerate((slice(0, half), slice(half, None))):
            part = Part({name: column[rows] for name, column in windows.items()}, exposure)
            write_part(self.staging, source_id, part_no, part)
            write_part_vectors(self.staging, source_id, part_no, spec.key, vectors[rows])
        report = SourceReport(source.path, "done", source_id, windows_seen=100, windows_kept=len(numbers))
        commit_source_group(self.root, self.staging, source, 2, report=report, fingerprint="f")
        commit_vector_group(self.root, self.staging, source_id, 2, spec=spec)
        self.store.publish(
            lambda m: m.with_sources([(source, report)]).with_vectors_of(spec, {source_id: len(numbers)}))
        self.numbers[source_id] = windows["number"]
        self.vectors[source_id] = vectors.astype(np.float16).astype(np.float64)
        self.snr[source_id] = windows["snr"]

    def add_vectors(self, source_id: str, vectors: np.ndarray, spec: EncoderSpec) -> None:
        """Commit vectors of another encoder for a source of the corpus."""
        write_part_vectors(self.staging, source_id, 0, spec.key, vectors)
        commit_vector_group(self.root, self.staging, source_id, 1, spec=spec)
        self.store.publish(lambda m: m.with_vectors_of(spec, {source_id: len(vectors)}))

    def index(self, *source_ids: str, spec: EncoderSpec = SPEC) -> None:
        """Build one segment of some sources."""
        counts = [len(self.numbers[source_id]) for source_id in source_ids]
        resolution = self.store.manifest().sources[source_ids[0]].resolution
        entry = SegmentEntry("-".join(source_ids), spec.key, resolution, sum(counts), source_ids)
        build_segment(
            segment_folder(self.root, entry.id),
            np.concatenate([self.vectors[source_id] for source_id in source_ids]),
            np.repeat(np.arange(len(source_ids)), counts),
            np.concatenate([self.numbers[source_id] for source_id in source_ids]),
            source_ids,
        )
        self.store.publish(lambda m: m.with_segment(entry))

    def open(self) -> Corpus:
        return open_corpus(self.root)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    def made(name: str = "corpus", config: Config = CONFIG) -> Made:
        return Made(tmp_path / name, config)

    return made


@pytest.fixture
def fill(make: Callable[..., Made]) -> Callable[..., Made]:
    """Make a corpus of sources A, B, C … with random vectors. Equal arguments give equal content."""

    def filled(name: str = "corpus", sources: str = "ABC", count: int = 40, spread: float = 1.0) -> Made:
        made = make(name)
        for i, letter in enumerate(sources):
            rng = np.random.default_rng(i)
            numbers = rng.permutation(2 * 60)[:count]
            vectors = unit(1 + spread * rng.normal(size=(count, SPEC.dimension)))
            made.add(f"GBT_59000_{i}_{letter}", numbers, vectors)
        return made

    return filled


@pytest.fixture(scope="package")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Archive with its corpus. Tests must not change it."""
    return ingested(tmp_path_factory.mktemp("archive"))
