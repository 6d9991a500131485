"""The GPU benchmark: its counts agree with independent ones, and it runs without TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.card import calls_a_second
from benchmarks.cost import bytes_of, flops_of, layers_of, spectrum_flops
from pipeline.encoders import backend, spectral
from pipeline.encoders.spectrum import spectrum_features
from tests.run.workers import environment

ROOT = Path(__file__).parents[1]


def test_arithmetic_of_layers_is_that_of_the_compiler() -> None:
    jax = pytest.importorskip("jax")
    keras = backend.keras()
    pixels = keras.Input((16, 20, 3))
    inner = keras.Sequential([keras.Input((14, 9, 8)), keras.layers.Conv2D(5, (3, 1), strides=2, use_bias=False)])
    x = keras.layers.Flatten()(inner(keras.layers.Conv2D(8, 3, strides=(1, 2), use_bias=False)(pixels)))
    model = keras.Model(pixels, keras.layers.Dense(7, use_bias=False)(x))

    def same(image: Any, first: Any, second: Any, third: Any) -> Any:
        order = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(image, first, (1, 2), "VALID", dimension_numbers=order)
        x = jax.lax.conv_general_dilated(x, second, (2, 2), "VALID", dimension_numbers=order)
        return x.reshape(len(x), -1) @ third

    shapes = [(1, 16, 20, 3), *(tuple(weight.shape) for weight in model.weights)]
    cost = jax.jit(same).lower(*(np.zeros(shape, np.float32) for shape in shapes)).compile().cost_analysis()
    assert flops_of(model) == cost["flops"]
    assert bytes_of(model, 2) == 2 * (16 * 20 * 3 + 14 * 9 * 8 + 14 * 9 * 8 + 6 * 5 * 5)


def test_arithmetic_of_the_networks_is_what_is_known_of_them() -> None:
    keras = backend.keras()
    resnet50 = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(224, 224, 3))
    assert flops_of(resnet50) / 2 == pytest.approx(3.8e9, rel=0.03)  # multiply-adds, as its authors state
    first = next(layer for layer in layers_of(spectral.build(1)) if layer.name == "stem")
    assert first.output.shape[1:] == (16, 64, 32)
    convolutions = 16 * 64 * 32 * 21 + sum(
        pixels * width * (9 * before + 9 * width + before)
        for pixels, before, width in ((8 * 32, 32, 48), (4 * 16, 48, 96), (2 * 8, 96, 128)))
    dense = 2 * 16 * 32 * spectral.SPECTRUM_UNITS + (256 + spectral.SPECTRUM_UNITS) * spectral.DIMENSIONS[1]
    assert flops_of(spectral.build(1)) == 2 * (convolutions + dense) + spectrum_flops(16, 256, 32)


def test_arithmetic_of_the_spectrum_is_that_of_its_products() -> None:
    counted = 0

    class Counting:
        """numpy, with its products counted."""

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            nonlocal counted
            product = np.matmul(a, b)
            counted += 2 * product.size * a.shape[-1]
            return product

    spectrum_features(np.random.default_rng(0).normal(size=(1, 16, 256)).astype(np.float32), Counting())
    assert counted == spectrum_flops(16, 256, 32)


def test_the_call_that_compiles_is_not_counted() -> None:
    begun = 0

    def begin(batch: Any) -> Any:
        nonlocal begun
        begun += 1
        return lambda: batch

    began = time.perf_counter()
    rate = calls_a_second(begin, np.zeros((2, 1)), 0.01)
    assert (begun - 1) / (time.perf_counter() - began) < rate <= (begun - 1) / 0.01


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_it_runs_without_tensorflow_and_falls_back_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('this machine has none')\n")
    changes = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.bench_gpu", "--part", "spectral", "--precisions", "float16",
               "--batches", "4", "--windows", "8", "--seconds", "0.05", "--size", "32"]
    refused, done = (subprocess.run([*command, *more], env=environment(**changes), cwd=ROOT, capture_output=True,
                                    text=True, timeout=100, check=False) for more in ([], ["--on-cpu"]))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "jax, sees no GPU: nothing is measured. --on-cpu" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert "### spectral on a processor, no GPU, jax" in done.stdout
    assert "| float16, 4 at once |" in done.stdout
