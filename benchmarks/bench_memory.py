"""Measure the memory of an ingest of the largest product: 16 spectra × 1664 coarse channels × 2^20 channels.

    python -m benchmarks.bench_memory [--coarse-channels 1664] [--workers 1] [--folder DIR]

The file repeats the compressed chunks of two coarse channels of noise, with signals in about 2 % of their windows.
Power is rounded to steps of at most half the spread of the noise, so that the file takes 21 GB of ``--folder``. The
program prints the largest resident memory of a worker process and its bound. It fails if the bound is exceeded.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from benchmarks.bench_scan import SIGNALS, peak_memory_of_children
from benchmarks.report import heading, table
from pipeline.config import Config
from pipeline.filterbank.sigproc_header import keywords_of
from pipeline.run import ingest
from pipeline.simulate import fine_header, scatter, simulate_file

DISTINCT = 2
"""Number of different coarse channels."""


def make_file(folder: Path, coarse_channels: int) -> Path:
    """Write a file of this number of coarse channels, from chunks that are compressed already."""
    path, of_distinct = folder / f"memory_{coarse_channels}.h5", folder / "distinct.h5"
    header = fine_header(coarse_channels=DISTINCT, source_name="MEMORY")
    simulate_file(of_distinct, header, scatter(np.random.default_rng(0), header, count=SIGNALS * DISTINCT))
    header = fine_header(coarse_channels=coarse_channels, source_name="MEMORY")
    width = header.nchans // coarse_channels
    with h5py.File(of_distinct, "r+") as few, h5py.File(path, "w") as many:
        distinct = few["data"]
        distinct[:, 0] = _coarse(distinct[:, 0])
        many.attrs.update(few.attrs)
        data = many.create_dataset(
            "data", (header.nsamples, 1, header.nchans), distinct.dtype, chunks=distinct.chunks,
            compression=hdf5plugin.Bitshuffle(nelems=0, cname="lz4"),
        )
        data.attrs.update(keywords_of(header))
        for t in range(header.nsamples):
            raw = [distinct.id.read_direct_chunk((t, 0, channel * width))[1] for channel in range(DISTINCT)]
            for channel in range(coarse_channels):
                data.id.write_direct_chunk((t, 0, channel * width), raw[channel % DISTINCT])
    return path


def _coarse(power: np.ndarray) -> np.ndarray:
    """Round to steps of a power of two below half the spread of the noise, so that power compresses well."""
    low, high = np.percentile(power, (16, 84))
    unit = np.float32(2.0 ** np.floor(np.log2((high - low) / 4)))
    return np.rint(power / unit) * unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coarse-channels", type=int, default=1664)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    config = Config().override({"run": {"workers": options.workers}})
    scratch = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        path = make_file(scratch, options.coarse_channels)
        size_gb = path.stat().st_size / 1e9
        with h5py.File(path) as file:
            decoded_gb = file["data"].nbytes / 1e9
        with peak_memory_of_children() as peak:
            report = ingest([path], scratch / "corpus", config=config)
    finally:
        shutil.rmtree(scratch)
    if report.exit_code:
        raise SystemExit(f"ingest failed: {report.reports}")
    (source,) = report.reports
    bound_gb = config.run.worker_memory_gb
    heading(f"Memory: 16 × {options.coarse_channels} × 2^20 float32, {decoded_gb:.1f} GB decoded, "
            f"{size_gb:.1f} GB on disk", "distributed", "h5py", "hdf5plugin")
    table(("what", "measured", "bound"), [
        (f"largest of {options.workers} worker(s), GB", f"{peak[0]:.2f}", f"{bound_gb:g}"),
        ("windows", f"{source.windows_seen:,}", ""),
        ("of them kept", f"{source.windows_kept:,}", ""),
        ("seconds, start-up included", f"{report.elapsed_s:,.0f}", ""),
    ])
    if peak[0] > bound_gb:
        raise SystemExit(f"a worker took {peak[0]:.2f} GB, but its bound is {bound_gb:g} GB")


if __name__ == "__main__":
    main()
