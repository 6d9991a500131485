"""Make corpora of any size. They are written through the store, but nothing is read or scanned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import tasks
from pipeline.catalogue import SegmentEntry
from pipeline.config import CONFIG_FILE, Config
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, EncoderSpec, Source, SourceReport
from pipeline.simulate import fine_header
from pipeline.store import (
    CorpusStore,
    Part,
    commit_source_group,
    commit_vector_group,
    corpus_encoder,
    fingerprint,
    remove_parts,
    write_part,
    write_part_vectors,
)
from tests.index.heavy_tailed import heavy_tailed

COARSE_CHANNELS = 308
"""Coarse channels of a file: 1.26 million windows."""
KEPT = 25_000
"""Windows of a file that pass the gate: 2 %."""
PART_ROWS = 8192


class Synthetic:
    """A corpus of sources with heavy-tailed vectors of the default encoder, and cutouts of noise."""

    def __init__(self, root: Path, count: int, sources: int, seed: int = 1, held_out: int = 0) -> None:
        config = Config()
        self.root, self.count = root, count
        self.store = CorpusStore.create(root, config.identity())
        (root / CONFIG_FILE).write_text(config.to_toml())
        self.spec: EncoderSpec = corpus_encoder(root, config.encoder, config.scan.grid).spec
        rng = np.random.default_rng(seed)
        vectors = heavy_tailed(count + held_out, self.spec.dimension, seed)
        vectors, self.queries = vectors[:count], vectors[count:]
        """Vectors that no source of the corpus has."""
        self.vectors = vectors
        cutouts = rng.integers(1, 256, (PART_ROWS, config.scan.integrations, config.scan.window), dtype=np.uint8)
        self.windows: list[str] = []
        """Some windows, as ``SOURCE/NUMBER``."""
        staging, cuts, made = self.store.new_staging(), np.linspace(0, count, sources + 1).astype(int), []
        for number in range(sources):
            source, numbers = self._add(number, vectors[cuts[number] : cuts[number + 1]], cutouts, staging, rng, config)
            made.append((source, len(numbers)))
            self.windows += [f"{source.id}/{window}" for window in rng.choice(numbers, min(50, len(numbers)))]
        self.store.publish(lambda manifest: manifest.with_sources(
            (source, _report(source, kept)) for source, kept in made
        ).with_vectors_of(self.spec, {source.id: kept for source, kept in made}))
        self.store.clean_staging()
        self.windows = rng.permutation(self.windows).tolist()

    def _add(
        self, number: int, vectors: NDArray[np.float32], cutouts: NDArray[np.uint8], staging: Path,
        rng: np.random.Generator, config: Config
    ) -> tuple[Source, NDArray[np.int64]]:
        """Commit one source."""
        header = fine_header(coarse_channels=COARSE_CHANNELS, source_name=f"HIP{number}")
        header = replace(header, tstart_mjd=header.tstart_mjd + number * 300 / 86_400)
        coarse = CoarseLayout(2**20, "product")
        name = f"GBT_59000_{number:06d}_HIP{number}_{number:012x}"
        source = Source(name, header, coarse, f"/mnt/blpd7/{name}.h5", 1, 2)
        tiling = Tiling(header, config.scan.grid, coarse)
        numbers = np.sort(rng.choice(tiling.n_windows, len(vectors), replace=False))
        snr, parts = rng.uniform(5, 50, len(numbers)).astype(np.float32), range(0, len(numbers), PART_ROWS)
        pieces = np.array_split(np.arange(tiling.n_coarse), len(parts))
        for part_no, first in enumerate(parts):
            rows = slice(first, first + PART_ROWS)
            here = len(numbers[rows])
            write_part(staging, name, part_no, Part(
                {"number": numbers[rows], "cutout": np.roll(cutouts, 100 * number + part_no, axis=0)[:here],
                 "snr": snr[rows], "spread": np.full(here, 0.1, np.float32),
                 "best_width": np.full(here, 1, np.int32), "best_duration": np.full(here, 16, np.int32)},
                _exposure(tiling, pieces[part_no]),
            ))
            write_part_vectors(staging, name, part_no, self.spec.key, vectors[rows])
        commit_source_group(self.root, staging, source, len(parts), report=_report(source, len(numbers)),
                            fingerprint=fingerprint(self.store.identity))
        commit_vector_group(self.root, staging, name, len(parts), spec=self.spec)
        remove_parts(staging, name)
        return source, numbers

    def index(self, segments: int) -> None:
        """Drop all segments, then index all sources in this number of segments of about equal size."""
        manifest = self.store.manifest()
        self.store.publish(lambda current: current.without_segments([s.id for s in current.segments]))
        self.store.clean_segments([])
        for number, some in enumerate(np.array_split(np.array(list(manifest.sources)), segments)):
            entries = [manifest.sources[source_id] for source_id in some]
            entry = SegmentEntry(f"{self.spec.key}-{segments}-{number}", self.spec.key, entries[0].resolution,
                                 sum(entry.windows_kept for entry in entries), tuple(some.tolist()))
            tasks.index_sources(self.root, entry)
            self.store.publish(lambda current, entry=entry: current.with_segment(entry))  # type: ignore[misc]

    def bytes_of(self, folders: Iterable[str]) -> int:
        """Return the bytes of all files in some folders of the corpus."""
        return sum(path.stat().st_size for folder in folders
                   for path in (self.root / folder).rglob("*") if path.is_file())


def _exposure(tiling: Tiling, pieces: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    """Return rows that say of coarse channels that all of their windows were searched."""
    spans = np.array([tiling.coarse_span(i) for i in pieces])
    first, last = (tiling.header.f_min_mhz + channels * tiling.header.channel_width_mhz for channels in spans.T)
    return {"coarse_channel": pieces.astype(np.int32), "time_block": np.zeros(len(pieces), np.int32),
            "f_start_mhz": first, "f_stop_mhz": last,
            "windows_searched": np.array([tiling.windows_in(i) for i in pieces], np.int32),
            "noise_spectra": np.full(len(pieces), 100, np.float32)}


def _report(source: Source, kept: int) -> SourceReport:
    return SourceReport(source.path, "done", source.id, windows_seen=50 * kept, windows_kept=kept)
