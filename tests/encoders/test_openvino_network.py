"""OpenVINO computes in the requested precision, or an error says that it does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline import encoders
from pipeline.encoders import load_encoder, openvino_network, require_precision, spectral, supported_precisions
from pipeline.encoders.backend import load_network_arrays
from pipeline.encoders.openvino_network import BATCH, FEW, SMALL_BATCH, OpenVinoNetwork
from pipeline.encoders.spectral import SHIPPED, Spectral
from pipeline.errors import PrecisionError
from pipeline.model import WindowGrid
from tests.encoders.precisions import computes_in_float32_alone, needs_bfloat16

pytestmark = pytest.mark.processor

SHAPE = (16, 256)
BATCH_SHAPE = (SMALL_BATCH, *SHAPE)
REFUSED = r"cannot compute in bfloat16 on .*\(.*\); it would compute in float32 instead\. Ask for --precision float32"


def network(precision: str) -> OpenVinoNetwork:
    return OpenVinoNetwork(load_network_arrays(SHIPPED[1], "spectral"), SHAPE, spectral.PIXEL_SCALE, precision)


@pytest.fixture(scope="module")
def full() -> Any:
    """The convolutions, compiled for float32."""
    return network("float32")._compiled[SMALL_BATCH][0]


def fake_network(hint: str, full: Any, change: Any) -> Any:
    """Make a fake compiled network that reports the precision ``hint`` and changes the results of ``full``."""
    def infer(images: Any) -> list[np.ndarray]:
        return [change(full.create_infer_request().infer(images)[0])]

    return SimpleNamespace(get_property=lambda _: SimpleNamespace(to_string=lambda: hint),
                           create_infer_request=lambda: SimpleNamespace(infer=infer))


def rounded(numbers: np.ndarray) -> np.ndarray:
    """Round to the nearest bfloat16, which is the upper half of a float32's bits."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def test_a_network_that_says_bfloat16_must_compute_other_numbers(full: Any) -> None:
    openvino_network._require_reduced_precision(fake_network("bf16", full, rounded), full, BATCH_SHAPE, "bfloat16")
    # float32 results of two processors differ by this much
    noise = np.random.default_rng(1).normal(1, 1e-6, (SMALL_BATCH, 256)).astype(np.float32)
    for hint, change in (("f32", rounded), ("bf16", np.array), ("bf16", lambda made: made * noise)):
        with pytest.raises(PrecisionError, match=REFUSED):
            openvino_network._require_reduced_precision(fake_network(hint, full, change), full, BATCH_SHAPE, "bfloat16")


@pytest.mark.parametrize("count", [1, SMALL_BATCH, SMALL_BATCH + 1, FEW, FEW + 1, BATCH, BATCH + 3])
def test_vectors_hardly_depend_on_how_many_windows_are_encoded_together(count: int) -> None:
    cutouts = np.random.default_rng(count).integers(0, 255, (count, *SHAPE), np.uint8)
    encoder = Spectral(WindowGrid())
    together, alone = encoder.encode(cutouts), np.concatenate([encoder.encode(one[None]) for one in cutouts])
    assert together.shape == alone.shape
    assert np.abs(together - alone).max() < 1e-5


@needs_bfloat16
def test_bfloat16_is_computed_where_the_processor_has_it(full: Any) -> None:
    images = np.random.default_rng(2).normal(size=(SMALL_BATCH, 1, *SHAPE)).astype(np.float32)
    made, expected = (one.create_infer_request().infer([images])[0]
                      for one in (network("bfloat16")._compiled[SMALL_BATCH][0], full))
    difference = np.abs(made - expected).max() / np.abs(expected).max()
    assert openvino_network.MIN_PRECISION_DIFFERENCE < difference < 0.02


def test_the_library_and_the_compiled_network_say_the_same() -> None:
    """Compare the two checks of the precision: a run makes the first before it starts, the network the second."""
    if openvino_network.supports_precision("bfloat16"):
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
    assert supported_precisions("spectral") == ("float32", "float16")
    # Keras computes in any precision, on any processor
    assert supported_precisions("resnet50") == ("float32", "bfloat16", "float16")
    assert supported_precisions("power-spectrum") == ("float32",)
    monkeypatch.setattr("pipeline.encoders.backend.has_bfloat16", lambda: True)
    assert encoders.resolve_precision("spectral", "auto") == "float32"
    monkeypatch.setattr(spectral, "has_gpu_device", lambda: True)
    assert supported_precisions("spectral") == ("float32", "bfloat16", "float16")
