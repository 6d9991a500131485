"""Asynchronous batches give the same vectors as direct calls, for all batch sizes, blocks and libraries."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.encoders import backend
from pipeline.encoders.device import MAX_BATCHES_IN_FLIGHT, compute_in_batches
from pipeline.grid.cutouts import image_of_cutouts
from pipeline.simulate import SKY, random_signal, simulate_cutouts
from tests.run.workers import environment

SHAPE = (2, 3)


class Queue:
    """A fake device that records its calls and doubles numbers."""

    def __init__(self) -> None:
        self.in_flight = self.most = 0
        self.seen: list[tuple[int, ...]] = []
        self.events: list[str] = []

    def begin(self, windows: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        self.seen.append(windows.shape)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        number = len(self.seen)
        self.events.append(f"begin {number}")

        def wait() -> NDArray[np.float32]:
            self.in_flight -= 1
            self.events.append(f"fetch {number}")
            return 2 * windows.reshape(len(windows), -1).astype(np.float32)

        return wait


@given(st.lists(st.integers(0, 11), max_size=8), st.integers(1, 6))
def test_windows_of_all_blocks_go_in_batches_of_one_size_and_come_back_in_order(sizes: list[int], batch: int) -> None:
    queue = Queue()
    blocks = np.split(np.arange(6 * sum(sizes)).reshape(-1, *SHAPE), np.cumsum(sizes)[:-1]) if sizes else []
    made = list(compute_in_batches(queue.begin, blocks, batch))
    np.testing.assert_array_equal(np.concatenate([np.empty((0, 6)), *made]),
                                  2 * np.arange(6 * sum(sizes)).reshape(-1, 6))
    assert queue.seen == [(batch, *SHAPE)] * -(-sum(sizes) // batch)
    assert queue.most == min(MAX_BATCHES_IN_FLIGHT, len(queue.seen))
    assert queue.in_flight == 0


def test_the_next_batches_are_begun_before_one_is_fetched_and_no_block_is_asked_for_early() -> None:
    queue = Queue()

    def blocks() -> Iterator[NDArray[np.uint8]]:
        for number in range(1, 6):
            queue.events.append(f"block {number}")
            yield np.zeros((4, *SHAPE), np.uint8)

    for _ in compute_in_batches(queue.begin, blocks(), 4):
        pass
    order = queue.events.index
    for number in range(1, 4):
        assert order(f"begin {number + 2}") < order(f"fetch {number}")
    for number in range(1, 3):
        assert order(f"fetch {number}") < order(f"block {number + 3}")


def test_what_needs_no_joining_is_not_copied() -> None:
    windows, seen = np.zeros((8, *SHAPE), np.uint8), []

    def begin(part: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        seen.append(part)
        return lambda: np.zeros((4, 1), np.float32)

    list(compute_in_batches(begin, [windows], 4))
    assert all(part.base is windows for part in seen)


PROGRAM = """
import sys, numpy as np
from pipeline.encoders import spectral
from pipeline.encoders.backend import gpu_devices, keras
from pipeline.model import WindowGrid
folder, cutouts = sys.argv[1], np.load(sys.argv[1] + '/cutouts.npy')
spectral.has_gpu_device = lambda: True
traces, scaled = [], spectral._scale
def noted(images, xp):
    traces.append(images.shape[0])
    return scaled(images, xp)
spectral._scale = noted
made = {}
for precision in ('float32', 'bfloat16', 'float16'):
    encoder = spectral.Spectral(WindowGrid(), precision=precision, batch=8)
    made[precision] = encoder.encode(cutouts)
    made[precision + '-blocks'] = encoder.encode_all(np.split(cutouts, [3, 3, 17, 18]))
    made[precision + '-one'] = encoder.encode(cutouts[5:6])
np.savez(folder + '/vectors.npz', **made)
if keras().backend.backend() != 'torch':  # PyTorch compiles nothing
    assert [size for size in traces if type(size) is int] == [8] * 3, traces  # once for each precision
from tests.encoders.precisions import made_by_a_layer
np.save(folder + '/reduced.npy', made_by_a_layer('bfloat16'))
assert 'tensorflow' not in sys.modules or keras().backend.backend() == 'tensorflow', 'needs TensorFlow'
gpu_devices()
sys.exit(keras().backend.backend())
"""


@pytest.mark.parametrize("library", ["tensorflow", "jax", "torch"])
def test_each_library_makes_the_same_vectors_from_codes_on_the_device(library: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    rng = np.random.default_rng(3)
    cutouts = rng.integers(0, 256, (21, 16, 256), np.uint8)
    cutouts[:10] = simulate_cutouts(rng, [*(random_signal(rng) for _ in range(9)), None], scene=SKY)
    cutouts[-2], cutouts[-1] = 255, 0
    np.save(tmp_path / "cutouts.npy", cutouts)
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=110,
                          env=environment(KERAS_BACKEND=library), check=False)
    assert done.stderr.strip().splitlines()[-1] == library, done.stderr
    from pipeline.encoders.spectral import TOLERANCE, Spectral
    from pipeline.model import WindowGrid

    expected = Spectral(WindowGrid()).encode(cutouts)
    with np.load(tmp_path / "vectors.npz") as made:
        for precision, tolerance in TOLERANCE.items():
            within = {"atol": 1e-4 if precision == "float32" else tolerance, "rtol": 0}
            np.testing.assert_allclose(made[precision], expected, **within)
            np.testing.assert_allclose(made[f"{precision}-blocks"], made[precision], atol=1e-5, rtol=0)
            np.testing.assert_allclose(made[f"{precision}-one"], made[precision][5:6], atol=1e-5, rtol=0)
    assert not (np.load(tmp_path / "reduced.npy").view(np.uint32) & 0xFFFF).any()


def test_codes_become_the_same_images_on_the_device() -> None:
    keras = backend.keras()
    pixels = keras.Input((16, 16))
    model = keras.Model(pixels, keras.layers.Flatten()(pixels))
    begin = backend.place_on_cutouts(model, (16, 16), lambda image, _: image)
    codes = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(begin(codes)().reshape(1, 16, 16), image_of_cutouts(codes))


def test_gpus_are_those_that_this_process_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_DEVICE_FOLDER", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert (backend.gpu_names(), backend.has_gpu_device()) == ([], False)
    for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert (backend.gpu_names(), backend.has_gpu_device()) == (["2", "10"], True)
    for shown, names in {"": [], "-1": [], "1": ["1"], "0, GPU-3f,2": ["0", "GPU-3f", "2"], "0,-1,1": ["0"]}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        assert (backend.gpu_names(), backend.has_gpu_device()) == (names, bool(names))
