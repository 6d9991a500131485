"""Draw the figures of ``docs/concepts.md`` from the program's own numbers.

    python docs/drawings/draw.py            # all of them; about a minute

Nothing in a figure is typed in by hand: windows, thresholds, codes, scores and segments are computed by the package.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch, Rectangle
from numpy.typing import NDArray

import lookalike
from pipeline.catalogue import Manifest
from pipeline.config import IndexConfig
from pipeline.gate import BOX_WIDTHS, thresholds
from pipeline.grid.cutouts import quantise
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, EncoderSpec, Hit, Source, SourceReport, WindowGrid
from pipeline.run.segment_plan import plan_segments
from pipeline.search import Corpus, SearchResult
from pipeline.simulate import fine_header

HERE = Path(__file__).parent
VOYAGER = HERE.parents[1] / "examples" / "data" / "voyager1"
QUERY = "voyager1_80036_ON_upper.h5"
FAMILY = "pulsed-comb"
BLUE, RED, GREY = "tab:blue", "tab:red", "0.6"
SCANS, SIGNALS, WIDTH = 4, 60, 2**17
"""The simulated archive: scans, signals in each, channels of each."""

plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110,
                     "axes.titlesize": 9, "axes.titlelocation": "left", "figure.constrained_layout.use": True})


def save(name: str) -> None:
    """Write the current figure."""
    plt.savefig(HERE / f"{name}.png", metadata={"Software": None})
    plt.close()


def decibel(power: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return power in dB."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.asarray(power, np.float64))


def waterfall(axes: Axes, power: NDArray[np.floating], title: str = "") -> None:
    """Draw a window, time upwards."""
    axes.imshow(decibel(power), aspect="auto", origin="lower", interpolation="nearest", cmap="viridis")
    axes.set_title(title)
    axes.spines[:].set_visible(True)


def windows(power: NDArray[np.floating]) -> None:
    """Draw a band, one of its coarse channels, and one of its windows."""
    header = fine_header(coarse_channels=308, f_min_mhz=1100.0)
    tiling = Tiling(header, WindowGrid(), CoarseLayout(2**20, "product"))
    first, last = (tiling.window("", number) for number in (0, tiling.n_windows - 1))
    in_one = tiling.windows_in(0)
    figure, (band, coarse, window) = plt.subplots(3, 1, figsize=(7.4, 4.3), height_ratios=(1, 1, 4))
    figure.get_layout_engine().set(hspace=0.12)
    for axes, cells, marked, title in (
        (band, 28, 25, f"A file: {header.nchans:,} channels, {first.f_start_mhz:.0f} to {last.f_stop_mhz:.0f} MHz, "
                      f"in {tiling.n_coarse} coarse channels (drawn: 28)"),
        (coarse, 44, 3, f"A coarse channel: {2**20:,} channels in {in_one:,} windows side by side (drawn: 44)"),
    ):
        for i in range(cells):
            colour = RED if i == marked else BLUE
            axes.add_patch(Rectangle((i, 0), 0.92, 1, facecolor=colour, alpha=0.9 if i == marked else 0.35))
        axes.set(xlim=(0, cells), ylim=(0, 1), xticks=[], yticks=[])
        axes.text(cells / 2, 0.5, title, ha="center", va="center", backgroundcolor="white")
        axes.spines[:].set_visible(False)
    waterfall(window, power)
    window.set(xlabel=f"A window: 256 channels of {header.channel_width_mhz * 1e6:.2f} Hz, from low frequency up, × "
                      f"16 spectra of {header.tsamp_s:.2f} s (here: Voyager 1)", ylabel="spectrum")
    for above, below, marked, (left, right, top) in (
        (band, coarse, 25, (0, 44, 1)), (coarse, window, 3, (-0.5, 255.5, 15.5)),
    ):
        for side, x in ((0, left), (0.92, right)):
            figure.add_artist(ConnectionPatch((marked + side, 0), (x, top), "data", "data", axesA=above, axesB=below,
                                              color=RED, linewidth=0.7))
    save("windows")


def gate(power: NDArray[np.floating], stored: Path) -> None:
    """Draw a window with the box that the gate found largest, and the thresholds of all boxes."""
    snr, width, duration = np.load(stored / "windows.npy")[["snr", "best_width", "best_duration"]][0]
    _, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.7))
    waterfall(left, power, f"The box with the largest sum: {width} × {duration}, SNR {snr:.0f}")
    # where it lies: the straight line along which the power sums to most
    rows = np.arange(len(power))
    start, drift = max(((start, drift) for start in range(40, 216) for drift in np.arange(-40, 41)),
                       key=lambda it: power[rows, it[0] + np.rint(it[1] * rows / 15).astype(int)].sum())
    left.plot(start + drift * rows / 15 - 5, rows, "w--", linewidth=0.9)
    left.plot(start + drift * rows / 15 + 5, rows, "w--", linewidth=0.9)
    left.set(xlabel="channel", ylabel="spectrum")
    sigmas = thresholds(102.0, 256, 16, 1e-3).sigmas
    right.imshow(sigmas, cmap="Blues", aspect="auto", vmin=sigmas.min() - 1, vmax=sigmas.max() + 1)
    for (row, column), value in np.ndenumerate(sigmas):
        right.text(column, row, f"{value:.1f}", ha="center", va="center")
    right.set_xticks(range(sigmas.shape[1]), [str(2**level) for level in range(sigmas.shape[1])])
    right.set_yticks(range(len(BOX_WIDTHS)), [str(width) for width in BOX_WIDTHS])
    right.set(xlabel="spectra per box", ylabel="channels per box", title="Thresholds in standard deviations of noise")
    save("gate")


def cutouts(power: NDArray[np.floating]) -> None:
    """Draw how power becomes a code, and a window as power and as codes."""
    _, (curve, before, after) = plt.subplots(1, 3, figsize=(7.4, 2.6), width_ratios=(1.2, 1, 1))
    spread = 102**-0.5
    level = np.logspace(-0.5, 6, 800)
    curve.semilogx(level, quantise(level, spread), color=BLUE)
    curve.axvspan(1 - 3 * spread, 1 + 3 * spread, color=GREY, alpha=0.4, linewidth=0)
    curve.set(xlabel="power over noise (grey: noise, ±3σ)", ylabel="code", title="From power to code")
    codes = quantise(power, spread)
    before.imshow(power, aspect="auto", origin="lower", interpolation="nearest")
    before.set(title="Linear power: 4 bytes per pixel", xlabel="channel", ylabel="spectrum")
    after.imshow(codes, aspect="auto", origin="lower", interpolation="nearest")
    after.set(title="Codes: 1 byte per pixel", xlabel="channel")
    save("cutouts")


def archive(folder: Path) -> tuple[Corpus, dict[str, list[tuple[float, float, str]]]]:
    """Simulate a few scans, ingest them, and say which kind of signal lies where in each file."""
    truth = {}
    for i in range(SCANS):
        path = folder / f"scan{i}.h5"
        command = ["simulate", path, "--coarse-width", WIDTH, "--signals", SIGNALS, "--snr", 8, 60, "--seed", i,
                   "--second", 1000 * i, "--json"]
        done = subprocess.run([sys.executable, "-m", "pipeline", *map(str, command)], check=True, capture_output=True)
        truth[str(path)] = [(one["f_start_mhz"], one["f_stop_mhz"], one["family"])
                            for one in json.loads(done.stdout)["signals"]]
    lookalike.ingest([folder], corpus=folder / "corpus", serial=True)
    return lookalike.open_corpus(folder / "corpus"), truth


def kind_of(hit: Hit, truth: dict[str, list[tuple[float, float, str]]]) -> str:
    """Name the simulated signal in a hit; empty where it is noise."""
    return next((family for low, high, family in truth[hit.file]
                 if low < hit.window.f_stop_mhz and hit.window.f_start_mhz < high), "")


def vectors(corpus: Corpus, results: list[tuple[str, SearchResult]],
            truth: dict[str, list[tuple[float, float, str]]]) -> None:
    """Draw the mean score of each kind of signal with each other."""
    kinds = [kind for kind, _ in results]
    means = np.full((len(kinds), len(kinds)), np.nan)
    for row, (_, result) in enumerate(results):
        scores: dict[str, list[float]] = {}
        for hit in result:
            scores.setdefault(kind_of(hit, truth), []).append(hit.score)
        means[row] = [np.mean(scores[kind]) for kind in kinds]
    _, axes = plt.subplots(figsize=(5.6, 4.6))
    image = axes.imshow(means, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(kinds)), kinds, rotation=90)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylabel("kind of the query")
    axes.set_xlabel("kind of the windows it is compared with")
    axes.figure.colorbar(image, label="mean score")
    axes.spines[:].set_visible(False)
    save("vectors")


def score(result: SearchResult, truth: dict[str, list[tuple[float, float, str]]]) -> None:
    """Draw the scores of one query with all stored windows."""
    same = [hit.score for hit in result if kind_of(hit, truth) == FAMILY]
    other = [hit.score for hit in result if kind_of(hit, truth) != FAMILY]
    _, axes = plt.subplots(figsize=(6.4, 2.8))
    bins = np.linspace(-0.6, 1, 65)
    axes.hist([other, same], bins, stacked=True, color=[GREY, RED],
              label=[f"other windows ({len(other)})", f"{FAMILY} ({len(same)})"])
    axes.set(xlabel=f"score with a query that is a {FAMILY}", ylabel="windows", yscale="symlog", xlim=(-0.6, 1))
    axes.set_yticks([0, 1, 3, 10], ["0", "1", "3", "10"])
    axes.legend(frameon=False, loc="upper left")
    save("score")


def index() -> None:
    """Draw the segments of a corpus that grows by the same number of vectors each night."""
    header, coarse = fine_header(), CoarseLayout(2**20, "product")
    spec = EncoderSpec("spectral", 1, 128, "cutout-v1 16x256")
    manifest, night_vectors = Manifest(), 25_000
    sizes: list[list[int]] = []
    for night in range(40):
        source = Source(f"S{night:03d}", header, coarse, "", 0, 0)
        manifest = manifest.with_sources([(source, SourceReport("", "done", windows_kept=night_vectors))])
        manifest = manifest.with_vectors_of(spec, {source.id: night_vectors})
        for segment in plan_segments(manifest, IndexConfig()):
            manifest = manifest.with_segment(segment)
        sizes.append(sorted((segment.count for segment in manifest.segments), reverse=True))
    _, axes = plt.subplots(figsize=(6.8, 2.8))
    colours = plt.get_cmap("Blues")(np.linspace(0.8, 0.35, max(map(len, sizes))))
    for night, counts in enumerate(sizes):
        bottom = 0
        for colour, count in zip(colours, counts, strict=False):
            axes.bar(night + 1, count / 1000, 0.85, bottom, color=colour, edgecolor="white", linewidth=0.8)
            bottom += count / 1000
    axes.set(xlabel="night", ylabel="thousand vectors",
             title=f"Each box is a segment; {night_vectors:,} vectors per night, "
                   f"at most {max(map(len, sizes))} segments")
    save("index")


def main() -> None:
    """Draw all."""
    with tempfile.TemporaryDirectory() as folder:
        lookalike.ingest([VOYAGER], corpus=Path(folder, "voyager"), serial=True)
        voyager = lookalike.open_corpus(Path(folder, "voyager"))
        carrier, = voyager.search(file=QUERY, f_start_mhz=8419.56473, f_stop_mhz=8419.56544,
                                  filters=lookalike.Filters(only_file=("voyager1_80672_ON_carrier.h5",)))
        sidebands = voyager.search(file=QUERY, f_start_mhz=8419.56473, f_stop_mhz=8419.56544)
        windows(sidebands.query_power())
        gate(voyager.power_of([carrier])[0], Path(folder, "voyager", "sources", carrier.source_id))
        cutouts(np.nan_to_num(voyager.power_of([carrier])[0], nan=1.0))
        data = Path(folder, "data")
        data.mkdir()
        corpus, truth = archive(data)
        every = Counter(family for placed in truth.values() for _, _, family in placed)
        results = []
        for kind in every:
            low, high, _ = next(one for one in truth[str(data / "scan0.h5")] if one[2] == kind)
            results.append((kind, corpus.search(file="scan0.h5", f_start_mhz=low, f_stop_mhz=high, k=10_000)))
        vectors(corpus, results, truth)
        score(dict(results)[FAMILY], truth)
    index()


if __name__ == "__main__":
    main()
