"""What OpenVINO is asked to compute in and what it computes in are the same, or it is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline import encoders
from pipeline.encoders import light, load_encoder, precisions_here, require_precision, spectral
from pipeline.encoders.backend import load_network
from pipeline.encoders.light import LightNetwork
from pipeline.encoders.spectral import SHIPPED, Spectral
from pipeline.errors import PrecisionError
from pipeline.model import WindowGrid
from tests.encoders.precisions import computes_in_float32_alone, needs_bfloat16

pytestmark = pytest.mark.processor

SHAPE = (16, 256)
REFUSED = r"cannot compute in bfloat16 on .*\(.*\); it would compute in float32 instead\. Ask for --precision float32"


def network(precision: str) -> LightNetwork:
    return LightNetwork(load_network(SHIPPED, "spectral"), SHAPE, spectral.PIXEL_SCALE, precision)


@pytest.fixture(scope="module")
def full() -> Any:
    """The convolutions, compiled for float32."""
    return network("float32")._convolutions


def saying(hint: str, full: Any, change: Any) -> Any:
    """A compiled network that says what it computes in, and changes what ``full`` makes."""
    def infer(images: Any) -> list[np.ndarray]:
        return [change(full.create_infer_request().infer(images)[0])]

    return SimpleNamespace(get_property=lambda _: SimpleNamespace(to_string=lambda: hint),
                           create_infer_request=lambda: SimpleNamespace(infer=infer))


def rounded(numbers: np.ndarray) -> np.ndarray:
    """To the nearest bfloat16: the upper half of a float32's bits."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def test_a_network_that_says_bfloat16_must_compute_other_numbers(full: Any) -> None:
    light._require_other_numbers(saying("bf16", full, rounded), full, SHAPE, "bfloat16")
    noise = np.random.default_rng(1).normal(1, 1e-6, (light.BATCH, 256)).astype(np.float32)  # as processors differ
    for hint, change in (("f32", rounded), ("bf16", np.array), ("bf16", lambda made: made * noise)):
        with pytest.raises(PrecisionError, match=REFUSED):
            light._require_other_numbers(saying(hint, full, change), full, SHAPE, "bfloat16")


@needs_bfloat16
def test_bfloat16_is_computed_where_the_processor_has_it(full: Any) -> None:
    images = np.random.default_rng(2).normal(size=(light.BATCH, 1, *SHAPE)).astype(np.float32)
    made, expected = (one.create_infer_request().infer([images])[0]
                      for one in (network("bfloat16")._convolutions, full))
    difference = np.abs(made - expected).max() / np.abs(expected).max()
    assert light.OTHER_NUMBERS < difference < 0.02


def test_the_library_and_the_compiled_network_say_the_same() -> None:
    """On every machine: the first is asked before a run, the second as the network is loaded."""
    if light.computes_in("bfloat16"):
        network("bfloat16")
    else:
        with pytest.raises(PrecisionError, match=REFUSED):
            network("bfloat16")


def test_a_machine_without_it_has_a_spec_and_makes_no_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    computes_in_float32_alone(monkeypatch)
    encoder = load_encoder("spectral", precision="bfloat16")
    assert encoder.spec.key == f"{load_encoder('spectral').spec.key}-bfloat16"
    for encode in (encoder.encode, lambda cutouts: encoder.encode_all([cutouts])):
        for count in (0, 3):
            with pytest.raises(PrecisionError, match=REFUSED):
                encode(np.ones((count, *SHAPE), np.uint8))
    with pytest.raises(PrecisionError, match=REFUSED):
        Spectral(WindowGrid(), precision="bfloat16").encode_images(np.ones((1, *SHAPE), np.float32))
    with pytest.raises(PrecisionError, match=REFUSED):
        require_precision("spectral", "bfloat16")
    assert precisions_here("spectral") == ("float32", "float16")
    # Keras computes in any, on any processor
    assert precisions_here("resnet50") == ("float32", "bfloat16", "float16")
    assert precisions_here("power-spectrum") == ("float32",)
    monkeypatch.setattr("pipeline.encoders.backend.has_bfloat16", lambda: True)
    assert encoders.settled_precision("spectral", "auto") == "float32"
    monkeypatch.setattr(spectral, "has_gpu_device", lambda: True)
    assert precisions_here("spectral") == ("float32", "bfloat16", "float16")
