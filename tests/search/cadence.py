"""A simulated cadence of known signals, and its corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config import Config, EncoderConfig, ScanConfig
from pipeline.run import ingest
from pipeline.simulate import Instrument, PlacedSignal, Signal, fine_header, simulate_file

WIDTH, SCAN_S = 16_384, 330
TARGETS = ("A", "B", "A", "C", "A", "D")
ON = (0, 2, 4)
SIGNALS: Mapping[str, tuple[Signal, int, tuple[int, ...]]] = {
    "steady": (Signal("steady", snr=30, width_hz=6), 5, tuple(range(6))),
    "drifting": (Signal("drifting", snr=30, width_hz=6, drift_hz_per_s=0.9), 12, tuple(range(6))),
    "on": (Signal("on", snr=30, width_hz=6, drift_hz_per_s=-0.3), 44, ON),
    "weak": (Signal("weak", snr=1.9, width_hz=3), 50, ON),
}
"""Name → signal, number of the window in which it begins, and the scans that hold it."""


def make_cadence(folder: Path) -> Path:
    """Write an ABACAD cadence of one coarse channel each, and a scan a day later; return their corpus."""
    for i, target in enumerate((*TARGETS, "A")):
        day = i // len(TARGETS)
        header = fine_header(coarse_width=WIDTH, source_name=target, mjd=59_000 + day, second=10_000 + i * SCAN_S)
        placed = []
        for signal, window, scans in SIGNALS.values():
            if i in scans or (day and signal.name == "on"):
                later_s = 0 if day else i * SCAN_S
                f_mhz = header.channel_edge_mhz(256 * window + 128) + signal.drift_hz_per_s * later_s / 1e6
                placed.append(PlacedSignal(signal, f_mhz))
        (folder / "data").mkdir(exist_ok=True)
        simulate_file(folder / "data" / f"scan{i}.h5", header, placed, coarse_width=WIDTH, seed=i,
                      instrument=Instrument(edge_depth=0.0, ripple=0.0))
    config = Config(ScanConfig(coarse_width=WIDTH, views=()), EncoderConfig("power-spectrum"))
    ingest([folder / "data"], folder / "corpus", config=config, serial=True)
    return folder / "corpus"
