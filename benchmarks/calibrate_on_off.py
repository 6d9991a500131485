"""How hits are judged ON and OFF, by stored windows and by power, over simulated ABACAD cadences of known signals.

    python -m benchmarks.calibrate_on_off --seeds 3 5 --signals 200 --snr 1 20

Half of the signals are lines, the others of the trained kinds. A fifth of them each is

- persistent: in all six scans, equally strong;
- fading: in all six, with a strength that changes by a factor of e^0.35 (one standard deviation);
- intermittent: in each scan with a probability of 0.6;
- true: in the three scans of target A only;
- curved: a line in all six whose drift rate changes by up to 5e-4 Hz/s². The others' does not, or by as little.

Intermittent signals that happen to be in no OFF scan are listed apart: nothing can tell them from true ones.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config import Config
from pipeline.model import Hit
from pipeline.run import ingest
from pipeline.search import Corpus, open_corpus
from pipeline.search.off_power import with_power
from pipeline.search.on_off import on_off_of
from pipeline.simulate import FINE, PlacedSignal, Signal, fine_header, log_uniform, random_signal, simulate_file

TARGETS, ON, OFF = ("A", "B", "A", "C", "A", "D"), (0, 2, 4), (1, 3, 5)
KINDS = ("persistent", "fading", "intermittent", "true", "curved")
COARSE_WIDTH, SCAN_S, APART = 1 << 18, 330, 9
MAX_CURVATURE = 5e-4
STATES = ("in OFF", "ON only", "undecided", "no OFF")
BANDS = (0.0, 6.0, 10.0, 30.0, np.inf)
"""Edges of the SNR of the hit's window."""


class Placed:
    """A signal of a cadence: its window at the begin of the cadence, and its strength in each scan that holds it."""

    def __init__(self, rng: np.random.Generator, kind: str, window: int, snr: tuple[float, float]) -> None:
        signal = random_signal(rng) if rng.random() < 0.5 and kind != "curved" else Signal(
            "line", width_hz=log_uniform(rng, 2, 20), drift_hz_per_s=rng.uniform(-2, 2))
        curvature = rng.uniform(-1, 1) * MAX_CURVATURE if kind == "curved" else float(
            np.clip(signal.curvature_hz_per_s2, -MAX_CURVATURE, MAX_CURVATURE))
        self.kind, self.window = kind, window
        self.signal = replace(signal, snr=log_uniform(rng, *snr), curvature_hz_per_s2=curvature)
        strengths = dict.fromkeys(ON if kind == "true" else range(6), 1.0)
        if kind == "fading":
            strengths = {scan: float(np.exp(rng.normal(0, 0.35))) for scan in strengths}
        if kind == "intermittent":
            strengths = {scan: 1.0 for scan in strengths if rng.random() < 0.6} or {0: 1.0}
        self.strengths = strengths
        if kind == "intermittent" and not set(OFF) & strengths.keys():
            self.kind = "intermittent, in no OFF"

    def f_mhz(self, begin_mhz: float, later_s: float) -> float:
        signal = self.signal
        moved_hz = signal.drift_hz_per_s * later_s + signal.curvature_hz_per_s2 * later_s**2 / 2
        return begin_mhz + ((256 * self.window + 100) * FINE.channel_width_hz + moved_hz) / 1e6

    def seen_in(self, scan: int, begin_mhz: float) -> PlacedSignal:
        later_s, signal = scan * SCAN_S, self.signal
        return PlacedSignal(replace(signal, snr=signal.snr * self.strengths[scan], drift_hz_per_s=signal.drift_hz_per_s
                                    + signal.curvature_hz_per_s2 * later_s), self.f_mhz(begin_mhz, later_s))


def make_cadence(folder: Path, seed: int, signals: int, snr: tuple[float, float]) -> tuple[Corpus, list[Placed]]:
    rng = np.random.default_rng(seed)
    windows = rng.permutation(np.arange(40, COARSE_WIDTH // 256 - 40, APART))
    windows = windows[np.abs(windows * 256 - COARSE_WIDTH // 2) > 2000][:signals]  # not at the DC bin
    placed = [Placed(rng, KINDS[i % len(KINDS)], int(window), snr) for i, window in enumerate(windows)]
    (folder / "data").mkdir(parents=True)
    for scan, target in enumerate(TARGETS):
        header = fine_header(coarse_width=COARSE_WIDTH, source_name=target, second=10_000 + scan * SCAN_S)
        here = [one.seen_in(scan, header.f_min_mhz) for one in placed if scan in one.strengths]
        simulate_file(folder / "data" / f"scan{scan}.h5", header, here, coarse_width=COARSE_WIDTH,
                      seed=10 * seed + scan)
    config = Config().override({"scan": {"coarse_width": COARSE_WIDTH}})
    ingest([folder / "data"], folder / "corpus", config=config, serial=True)
    return open_corpus(folder / "corpus"), placed


def hit_of(corpus: Corpus, source_id: str, scan: int, one: Placed) -> Hit | None:
    """Return the strongest kept window that holds the middle of a signal; None if there is none."""
    opened = corpus._corpus
    tiling, numbers = opened.tiling(source_id), opened.numbers(source_id)
    middle_s = scan * SCAN_S + 8 * FINE.tsamp_s
    channel = tiling.header.channel_at(one.f_mhz(tiling.header.f_min_mhz, middle_s))
    snr = opened.column(source_id, "snr", np.arange(len(numbers)))
    near = [row for row, number in enumerate(numbers.tolist())
            if abs(tiling.window(source_id, number).channel_start + 128 - channel) < 200]
    if not near:
        return None
    row = max(near, key=lambda one: snr[one])
    window = opened.window(source_id, int(numbers[row]))
    return Hit(1, 1.0, window, source_id, "", "", 6, float(snr[row]))


def judge(corpus: Corpus, placed: list[Placed], counts: Counter[tuple[str, str, int, str]]) -> None:
    opened, sessions = corpus._corpus, corpus.sessions()
    [session] = sessions
    for scan in ON:
        source_id = session.scans[scan].scan_id
        for one in placed:
            hit = hit_of(corpus, source_id, scan, one) if scan in one.strengths else None
            if hit is not None:
                stored = on_off_of(opened, corpus.status().encoder, [hit], sessions)
                power = with_power(opened, corpus.status().encoder, [hit], stored, sessions)
                band = int(np.searchsorted(BANDS, hit.snr, side="right")) - 1
                for by, found in (("stored", stored), ("power", power)):
                    counts[by, one.kind, band, found[0].state] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--snr", type=float, nargs=2, default=(1.0, 60.0), help="SNR per bin of the signals")
    asked = parser.parse_args()
    counts: Counter[tuple[str, str, int, str]] = Counter()
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory() as folder:
            judge(*make_cadence(Path(folder) / str(seed), seed, asked.signals, tuple(asked.snr)), counts)
    kinds = sorted({kind for _, kind, _, _ in counts})
    for by in ("stored", "power"):
        print(f"\n| {by}: signal | SNR | {' | '.join(STATES)} |\n|---|---|{'---|' * len(STATES)}")
        for kind in kinds:
            for band in range(len(BANDS) - 1):
                row = [counts[by, kind, band, state] for state in STATES]
                if sum(row):
                    print(f"| {kind} | {BANDS[band]:g}–{BANDS[band + 1]:g} | {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
