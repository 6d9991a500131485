"""Simulates the cadence whose tables of turboSETI lie in ``turboseti``, and writes tables in other formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.hit_tables.hits import SCHEMA
from pipeline.simulate import Instrument, PlacedSignal, Signal, fine_header, simulate_file

TABLES = Path(__file__).with_name("turboseti")
DRIFTS_HZ_PER_S = (0.4, -0.8, 1.5, -2.0, 0.2, 3.1)
"""Drift of each line. The first four are only in the scans that point at the target."""
SCANS = (("on0", "TARGET"), ("off0", "OFFA"), ("on1", "TARGET"), ("off1", "OFFB"), ("on2", "TARGET"), ("off2", "OFFC"))
WIDTH = 2**16
GAP_S = 320


def simulate_scan(folder: Path, number: int) -> Path:
    """Write one of the six scans."""
    name, target = SCANS[number]
    header = fine_header(coarse_width=WIDTH, source_name=target, second=10_000 + number * GAP_S)
    placed = [PlacedSignal(Signal("line", snr=25, width_hz=4, drift_hz_per_s=drift), f_at(i, number))
              for i, drift in enumerate(DRIFTS_HZ_PER_S) if target == "TARGET" or i >= 4]
    simulate_file(folder / f"{name}.h5", header, placed, coarse_width=WIDTH, seed=number,
                  instrument=Instrument(edge_depth=0.0, ripple=0.0, dc_spike=0.0))
    return folder / f"{name}.h5"


def f_at(line: int, scan: int) -> float:
    """Return the frequency of a line at the begin of a scan, in MHz."""
    return 1530.02 + 0.02 * line + DRIFTS_HZ_PER_S[line] * GAP_S * scan / 1e6


def write_hits(
    path: Path, rows: list[tuple[float, float, np.ndarray, float]], *, foff_mhz: float, target: str = "TARGET",
    mjd: float = 59_000 + 10_000 / 86_400, telescope_id: int = 6,
) -> Path:
    """Write a .hits file with the schema of seticore.

    Each row has a frequency in MHz, a drift in Hz/s, its pixels in the order of the file, and the frequency of their
    first channel.
    """
    capnp = pytest.importorskip("capnp")
    from importlib import resources

    import pipeline.hit_tables

    schema = capnp.load(str(resources.files(pipeline.hit_tables) / SCHEMA))
    with path.open("wb") as stream:
        for f_mhz, drift, power, fch1_mhz in rows:
            hit = schema.Hit.new_message()
            hit.signal.frequency, hit.signal.driftRate, hit.signal.snr = f_mhz, drift, 25.0
            bank = hit.filterbank
            bank.sourceName, bank.fch1, bank.foff, bank.telescopeId = target, fch1_mhz, foff_mhz, telescope_id
            bank.tstart, bank.tsamp = mjd, 18.253611008
            bank.numTimesteps, bank.numChannels = power.shape
            bank.data = power.ravel().tolist()
            hit.write(stream)
    return path
