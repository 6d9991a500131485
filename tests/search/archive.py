"""A small archive of simulated files, its corpus, and searches in it by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, EncoderConfig, ScanConfig
from pipeline.encoders import load_encoder
from pipeline.filterbank import open_filterbank
from pipeline.model import Header
from pipeline.run import ingest
from pipeline.scan import scan, tiling_of
from pipeline.search import Corpus, open_corpus
from pipeline.simulate import Instrument, Truth, fine_header, scatter, simulate_file

WIDTH = 8192
SCAN = ScanConfig(coarse_width=WIDTH, views=(), cover=True)
CONFIG = Config(SCAN, EncoderConfig("power-spectrum"))
INSTRUMENT = Instrument(edge_depth=0.0, ripple=0.0)


@dataclass
class Archive:
    root: Path
    one: Path
    """File of one time block; in the corpus."""
    two: Path
    """File (.fil) of two time blocks with ascending frequency; in the corpus."""
    outside: Path
    truth: dict[Path, list[Truth]]

    def open(self) -> Corpus:
        return open_corpus(self.root / "corpus")

    def vectors(self) -> dict[tuple[str, int], np.ndarray]:
        """Return all stored vectors by source and window number."""
        corpus = self.open()._corpus
        return {(source_id, int(number)): vector.astype(np.float64)
                for source_id in corpus.manifest.sources
                for number, vector in zip(corpus.windows(source_id).numbers,
                                          corpus.vectors(source_id, "power-spectrum-v1").vectors(), strict=True)}


def simulated(path: Path, seed: int, *, nsamples: int = 16, ascending: bool = False) -> tuple[Path, list[Truth]]:
    header = fine_header(coarse_channels=2, coarse_width=WIDTH, nsamples=nsamples, source_name=path.stem,
                         second=10_000 + seed, ascending=ascending)
    placed = scatter(np.random.default_rng(seed), header, count=8, coarse_width=WIDTH, snr=(20, 60),
                     families=("rising", "comb", "pulsed", "hump"))
    return path, simulate_file(path, header, placed, coarse_width=WIDTH, instrument=INSTRUMENT, seed=seed)


def ingested(root: Path) -> Archive:
    """Simulate three files in a folder and ingest two of them."""
    (root / "data").mkdir()
    made = dict([
        simulated(root / "data" / "one.h5", 1),
        simulated(root / "data" / "two.fil", 2, nsamples=35, ascending=True),
        simulated(root / "outside.h5", 3),
    ])
    ingest([root / "data"], root / "corpus", config=CONFIG, serial=True)
    return Archive(root, *made, truth=made)


def places(truth: Truth) -> dict[str, float]:
    return {"f_start_mhz": truth.f_start_mhz, "f_stop_mhz": truth.f_stop_mhz}


def names_at(archive: Archive, hit_file: str, start: int, stop: int) -> set[str]:
    there = [t for t in archive.truth[Path(hit_file)] if t.channel_start < stop and start < t.channel_stop]
    return {t.placed.signal.name for t in there}


def best_scores(archive: Archive, cutouts: np.ndarray) -> dict[tuple[str, int], float]:
    """Return the best cosine of each stored window with any of the cutouts, in float64."""
    queries = load_encoder("power-spectrum").encode(cutouts).astype(np.float64)
    return {key: float((queries @ vector).max() / np.linalg.norm(vector)) for key, vector in archive.vectors().items()}


def check_scores(archive: Archive, hits: Sequence, cutouts: np.ndarray, without: set[tuple[str, int]]) -> None:
    """Assert that the best hit is the best by brute force, and that every score is right."""
    truth = best_scores(archive, cutouts)
    for hit in hits:
        assert hit.score == pytest.approx(truth[hit.source_id, hit.window.number], abs=1e-5)
        assert (hit.source_id, hit.window.number) not in without
    assert hits[0].score == pytest.approx(max(score for key, score in truth.items() if key not in without), abs=1e-5)


def every_cutout(path: Path) -> dict[int, np.ndarray]:
    """Return the cutouts of all windows of a file, kept or not, by window number."""
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, SCAN)
        config = replace(SCAN, keep_all=True)
        pieces = list(scan(filterbank, tiling, range(tiling.n_coarse), config))
    columns = [(piece.windows["number"], piece.windows["cutout"]) for piece in pieces]
    return {int(number): cutout for pair in columns for number, cutout in zip(*pair, strict=True)}


def read_header(path: Path) -> Header:
    with open_filterbank(path) as filterbank:
        return filterbank.header


def array_of(archive: Archive, channel_start: int, channel_stop: int) -> np.ndarray:
    with open_filterbank(archive.outside) as filterbank:
        return filterbank.read(0, 16, channel_start, channel_stop)
