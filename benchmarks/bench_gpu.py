"""Measure a GPU: the limits of the card, the speed of encoders on it, and a whole ingest with it.

    KERAS_BACKEND=jax python -m benchmarks.bench_gpu [--part spectral resnet50 ingest] [--folder DIR]

Needs a GPU on which the library behind Keras (tensorflow, jax or torch) computes, and numpy, scipy, keras, h5py,
hdf5plugin, numba, zarr, numcodecs, dask, distributed and psutil. TensorFlow is not needed if another library computes.
A part takes minutes, mostly to compile. Each row is printed when it is measured. --precisions and --batches shorten a
part.

``spectral``, ``resnet50``: windows/s from cutouts in the memory of the host to unit vectors there, for each precision
and batch. Three limits are measured in the same run, through the same queue: products of large matrices, reads from
the memory of the device, and copies over the bus. The table says which share of each limit an encoder uses. Operations
are counted from the
layers of the network, and bytes from what its convolutions read and write. Vectors are compared with those of Keras
on the processor and may differ by the tolerance of the encoder. The weights of ResNet50 are random, which changes no
timing.

``ingest``: one file, by one worker with the GPU and different numbers of readers, with the gate on and off. The
worker with the GPU scans while there is nothing to embed. ``--on-cpu`` runs everything without a GPU, to try the
program; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import card
from benchmarks.bench_scan import make_file
from benchmarks.cost import bytes_of, flops_of
from benchmarks.report import heading, table
from pipeline.config import Config
from pipeline.encoders import Encoder, Projection, gpu_devices, spectral
from pipeline.encoders.backend import keras
from pipeline.encoders.resnet50 import FEATURES, ResNet50
from pipeline.encoders.spectral import Spectral
from pipeline.execute import cluster as clusters
from pipeline.model import WindowGrid
from pipeline.run import ingest

PARTS = ("spectral", "resnet50", "ingest")
PRECISIONS = ("float32", "bfloat16", "float16")
WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}
CUTOUT = 16 * 256
"""Bytes of a cutout."""
GOLDEN = Path(__file__).parents[1] / "tests" / "encoders" / "golden_spectral.npz"
"""File with cutouts of simulated signals."""

Maker = Callable[..., Encoder]


def encoder_of(name: str, folder: Path, precision: str, batch: int) -> Encoder:
    """Make an encoder that computes with Keras."""
    if name == "spectral":
        return Spectral(WindowGrid(), precision=precision, batch=batch)
    weights, projection = folder / "random.weights.h5", folder / "projection.npz"
    if not weights.exists():
        keras().utils.set_random_seed(7)
        keras().applications.ResNet50(weights=None, include_top=False, input_shape=(224, 224, 3)).save_weights(weights)
        Projection(np.zeros(FEATURES, np.float32), np.eye(256, FEATURES, dtype=np.float32)).save(projection)
    return ResNet50(WindowGrid(), str(weights), projection, precision, batch)


def network_of(encoder: Any) -> Any:
    """Return the Keras model of an encoder."""
    return encoder._keras if isinstance(encoder, Spectral) else encoder._model


def windows_a_second(encoder: Encoder, cutouts: NDArray[np.uint8], seconds: float) -> float:
    """Encode the cutouts repeatedly, as one sequence; return windows per second."""
    began = time.perf_counter()

    def blocks() -> Iterator[NDArray[np.uint8]]:
        while True:
            yield cutouts
            if time.perf_counter() - began >= seconds:
                return

    return len(encoder.encode_all(blocks())) / (time.perf_counter() - began)


def on_processor(name: str, folder: Path, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Encode in float32 in a process that sees no GPU."""
    np.save(folder / "cutouts.npy", cutouts)
    program = ("import sys, numpy as np\nfrom pathlib import Path\nfrom benchmarks import bench_gpu\n"
               "bench_gpu.by_keras()\nfolder = Path(sys.argv[2])\n"
               "encoder = bench_gpu.encoder_of(sys.argv[1], folder, 'float32', 4)\n"
               "np.save(folder / 'vectors.npy', encoder.encode(np.load(folder / 'cutouts.npy')))\n")
    subprocess.run([sys.executable, "-c", program, name, str(folder)], check=True,
                   env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"})
    return np.asarray(np.load(folder / "vectors.npy"), np.float32)


def by_keras() -> None:
    """Let Keras run ``spectral`` even without a GPU."""
    spectral.has_gpu_device = lambda: True


def measure_encoder(name: str, options: argparse.Namespace, limits: card.Limits, folder: Path) -> None:
    """Print a row for each precision and batch."""
    batches = options.batches or ([1024, 4096, 16384] if name == "spectral" else [64, 256, 512])
    random = np.random.default_rng(0).integers(0, 256, (options.windows, 16, 256), np.uint8)
    with np.load(GOLDEN) as golden:
        few = golden["cutouts"]
    encoder_of(name, folder, "float32", batches[0])  # writes the weights, which the other process reads
    expected = on_processor(name, folder, few)
    heading(f"{name} on {card.names()}, {keras().backend.backend()}", *packages())

    def rows() -> Iterator[tuple[object, ...]]:
        for precision in options.precisions:
            for batch in batches:
                encoder = encoder_of(name, folder, precision, batch)
                began = time.perf_counter()
                off = float(np.abs(encoder.encode(few) - expected).max())
                first_s = time.perf_counter() - began
                if not off <= encoder.spec.tolerance:
                    raise SystemExit(f"{name} in {precision}: vectors differ from those of the processor by "
                                     f"{off:.4f}, more than {encoder.spec.tolerance}")
                rate = windows_a_second(encoder, random[: max(batch, len(random) // batch * batch)], options.seconds)
                model = network_of(encoder)
                shares = (rate * flops_of(model) / limits.flops[precision],
                          rate * bytes_of(model, WIDTH[precision]) / limits.memory_bytes,
                          rate * CUTOUT / limits.bus_bytes)
                yield (f"{precision}, {batch:,} at once", f"{rate:,.0f}", f"{rate * flops_of(model) / 1e12:.2f}",
                       *(f"{share:.1%}" for share in shares), f"{off:.5f}", f"{first_s:.1f}")

    table((f"{name}", "windows/s", "TFLOP/s", "share of the limit of products", "of memory", "of the bus",
           "difference from the processor", "first call, s"), rows())


def show_limits(options: argparse.Namespace) -> card.Limits:
    """Measure and print what the card can do."""
    limits = card.measure(options.precisions, options.size, options.seconds / 2)
    heading(f"Limits of {card.names()}, {keras().backend.backend()}", *packages())
    table(("limit", "measured"), [
        *((f"products of {options.size:,} × {options.size:,} in {precision}, TFLOP/s", f"{flops / 1e12:,.2f}")
          for precision, flops in limits.flops.items()),
        ("reading its memory, GB/s", f"{limits.memory_bytes / 1e9:,.1f}"),
        ("cutouts from the host's memory, GB/s", f"{limits.bus_bytes / 1e9:,.2f}"),
    ])
    return limits


def measure_ingest(options: argparse.Namespace) -> None:
    """Print a row for each number of readers, with the gate and without."""
    from distributed import Client

    if options.on_cpu:
        clusters.gpu_names, clusters.gpu_devices = lambda: ["0"], card.pretended
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    path, small = make_file(folder, options.coarse_channels), make_file(folder, 1)
    decoded = 4 * 16 * 2**20 * options.coarse_channels
    heading(f"Whole ingest of {decoded / 1e9:.1f} GB decoded, one worker with {card.names()}, "
            f"{keras().backend.backend()}", "distributed", "h5py", "hdf5plugin", "numba", *packages())

    def rows() -> Iterator[tuple[object, ...]]:
        for readers in options.readers:
            for keep_all in (False, True):
                config = Config().override({
                    "run": {"workers": readers, "embed_on": "gpu"}, "scan": {"keep_all": keep_all},
                    "encoder": {"precision": options.precisions[-1]}})
                with clusters.embedded_cluster(config.run) as cluster, Client(cluster, set_as_default=False) as client:
                    for one in (small, path):  # the first loads and compiles
                        with tempfile.TemporaryDirectory(dir=folder) as corpus:
                            report = ingest([one], Path(corpus) / "corpus", client, config=config)
                        if report.exit_code:
                            raise SystemExit(f"ingest failed: {report.reports}")
                seconds, embed_s = report.elapsed_s, report.timing.embed_s
                yield (f"{readers} reader(s){', gate off' if keep_all else ''}", f"{seconds:,.1f}",
                       f"{report.windows_seen / seconds:,.0f}", f"{decoded / seconds / 1e6:,.0f}",
                       f"{report.windows_embedded:,}", f"{report.windows_embedded / embed_s:,.0f}",
                       f"{embed_s / seconds:.1%}")

    table((f"{options.precisions[-1]}", "seconds", "windows/s", "MB/s decoded", "vectors", "vectors/s in embed tasks",
           "share of the time in embed tasks"), rows())


def packages() -> tuple[str, ...]:
    """Return the packages whose versions are printed."""
    library = keras().backend.backend()
    return ("keras", library, *(("jaxlib",) if library == "jax" else ()))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = os.cpu_count() or 1
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="what to measure; default: all")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS,
                        help="ingest takes the last one")
    parser.add_argument("--batches", type=int, nargs="+", help="windows at once; default: three an encoder")
    parser.add_argument("--windows", type=int, default=65_536, help="cutouts in the host's memory")
    parser.add_argument("--seconds", type=float, default=4.0, help="shortest time of a measurement")
    parser.add_argument("--size", type=int, default=8192, help="rows and columns of the matrices")
    parser.add_argument("--readers", type=int, nargs="+", default=sorted({max(1, cores // 4), max(1, cores - 1)}))
    parser.add_argument("--coarse-channels", type=int, default=32)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "lookalike-bench")
    parser.add_argument("--on-cpu", action="store_true", help="try the script without a GPU")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    if options.on_cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        by_keras()
    elif not gpu_devices():
        raise SystemExit(f"Keras' library, {keras().backend.backend()}, sees no GPU: nothing is measured. "
                         "--on-cpu tries this script on the processor; KERAS_BACKEND names another library.")
    encoders = [part for part in PARTS[:2] if part in options.part]
    if encoders:
        limits = show_limits(options)
        with tempfile.TemporaryDirectory() as scratch:
            for name in encoders:
                measure_encoder(name, options, limits, Path(scratch))
    if "ingest" in options.part:
        measure_ingest(options)


if __name__ == "__main__":
    main()
