"""Small archives, and a check that two corpora are equal. A coarse channel of these files has 4,096 channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import Config, EncoderConfig, RunConfig, ScanConfig
from pipeline.filterbank import write_filterbank
from pipeline.model import Header, SourceReport
from pipeline.run import RunReport
from pipeline.store import CorpusStore, SourceGroup, VectorGroup

COARSE = 4096
N_COARSE = 4
SCAN = ScanConfig(coarse_width=COARSE, views=())
"""Without averaged views: they make tests slow. Tests of views name them."""
ENCODER = EncoderConfig("power-spectrum")
"""The encoder is named, because the default one takes long to load."""
HEADER = Header(
    fch1_mhz=8419.5, foff_mhz=-2.7939677238464355e-06, nchans=COARSE * N_COARSE, nifs=1, nbits=32,
    tsamp_s=18.253611008, nsamples=16, tstart_mjd=57_436.5, source_name="HIP77257", telescope_id=6,
)


def header(scan_no: int = 0, **changes: Any) -> Header:
    """Make the header of the n-th scan of a session."""
    return replace(HEADER, tstart_mjd=HEADER.tstart_mjd + scan_no * 300 / 86_400, **changes)


def noisy_power(seed: int, like: Header = HEADER) -> np.ndarray:
    """Draw radiometer noise with a sloping band, a DC spike in each coarse channel, and a few drifting lines."""
    rng = np.random.default_rng(seed)
    shape = (like.nsamples, like.nchans)
    power = rng.gamma(102, 1 / 102, shape) * (1 + 0.2 * np.arange(like.nchans) / like.nchans)
    power[:, COARSE // 2 :: COARSE] *= 50
    spectra = np.arange(like.nsamples)
    for start in rng.uniform(0.1, 0.9, 6) * like.nchans:
        channels = (start + rng.uniform(-6, 6) * spectra).astype(int) % like.nchans
        power[spectra, channels] += rng.uniform(1, 6)
    return (1e9 * power).astype(np.float32)


def write_scan(path: Path, scan_no: int = 0, **changes: Any) -> Path:
    """Write the n-th scan; equal numbers and changes give equal samples."""
    like = header(scan_no, **changes)
    return write_filterbank(path, noisy_power(scan_no, like), like)


def archive(folder: Path, count: int = 3) -> Path:
    """Write ``count`` good scans, .h5 and .fil in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for scan_no in range(count):
        write_scan(folder / f"scan{scan_no}.{'fil' if scan_no % 3 == 1 else 'h5'}", scan_no)
    return folder


def config(scan: ScanConfig = SCAN, **run: Any) -> Config:
    """Return the configuration for these archives."""
    return Config(scan=scan, encoder=ENCODER, run=RunConfig(**{"workers": 2, "resource_wait_s": 60.0, **run}))


def by_name(report: RunReport) -> dict[str, SourceReport]:
    """Return the reports by file name."""
    return {Path(r.path).name: r for r in report.reports}


def contents(root: Path) -> dict[str, Any]:
    """Return everything that a reader of the manifest can see in a corpus."""
    manifest = CorpusStore.open(root).manifest()
    held: dict[str, Any] = {"files": {path: (entry.status, entry.reason, entry.source_id)
                                      for path, entry in manifest.files.items()}}
    for source_id, entry in manifest.sources.items():
        group = SourceGroup.open(root, source_id)
        group.verify()
        windows = {name: group.column(name) for name in group.column_names}
        exposure = {name: group.exposure(name) for name in group.exposure_names}
        vectors = {}
        for key, count in entry.vectors.items():
            stored = VectorGroup.open(root, key, source_id)
            stored.verify()
            assert stored.count == count
            vectors[key] = stored.vectors()
        facts = (entry.path, entry.also_at, entry.windows_seen, entry.windows_kept)
        held[source_id] = (*facts, windows, exposure, vectors)
    return held


def assert_same_corpus(root: Path, reference: Path) -> None:
    """Assert that files, windows, cutouts, statistics and exposure are equal, and vectors within the tolerance."""
    found, expected = contents(root), contents(reference)
    assert found.keys() == expected.keys()
    assert found.pop("files") == expected.pop("files")
    assert found, "an empty corpus equals any other"
    for source_id, (*facts, windows, exposure, vectors) in found.items():
        *other_facts, other_windows, other_exposure, other_vectors = expected[source_id]
        assert facts == other_facts
        for columns, other in ((windows, other_windows), (exposure, other_exposure)):
            assert columns.keys() == other.keys()
            for name, column in columns.items():
                assert column.dtype == other[name].dtype
                assert column.tobytes() == other[name].tobytes(), (source_id, name)
        assert vectors.keys() == other_vectors.keys()
        for key, rows in vectors.items():
            np.testing.assert_allclose(rows, other_vectors[key], atol=1e-3)  # tolerance 1e-4, stored as float16
