from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline import encoders
from pipeline.encoders import backend, load_encoder, spectral
from pipeline.encoders.spectral import SHIPPED, Spectral, build, inputs
from pipeline.errors import ConfigError, EncoderError
from pipeline.grid.cutouts import cutouts_of_power, image_of_cutouts
from pipeline.model import WindowGrid
from pipeline.simulate import SKY, random_signal, simulate_cutouts, simulate_families
from tests.encoders.precisions import needs_bfloat16

GRID = WindowGrid()
GOLDEN = Path(__file__).with_name("golden_spectral.npz")
"""File with windows and their vectors, by version. Keras on TensorFlow computed them when the weights were made."""
VERSIONS = tuple(SHIPPED)


@pytest.fixture(scope="module")
def cutouts():
    rng = np.random.default_rng(1)
    windows = simulate_cutouts(rng, [*(random_signal(rng) for _ in range(20)), None], scene=SKY)
    return np.concatenate([windows, np.zeros((1, 16, 256), np.uint8), np.full((1, 16, 256), 255, np.uint8)])


@pytest.fixture(scope="module")
def by_version(cutouts):
    """Compute the vectors of the windows with Keras, at unit length, with each version of the weights."""
    return {version: keras_vectors(version, cutouts) for version in VERSIONS}


@pytest.fixture(scope="module")
def with_keras(by_version):
    return by_version[spectral.DEFAULT]


def keras_vectors(version, cutouts):
    model = build(version)
    backend.load_weights(SHIPPED[version], model, "spectral")
    vectors = np.concatenate([model.predict_on_batch(inputs(cutouts[i : i + 1])) for i in range(len(cutouts))])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_openvino_and_keras_agree(version, cutouts, by_version):
    encoder = Spectral(GRID, version=version)
    assert "_keras" not in vars(encoder)
    np.testing.assert_allclose(encoder.encode(cutouts), by_version[version], atol=1e-4, rtol=0)


def test_a_gpu_gets_keras(cutouts, with_keras, monkeypatch):
    monkeypatch.setattr(spectral, "has_gpu_device", lambda: True)
    encoder = Spectral(GRID, batch=8)
    np.testing.assert_allclose(encoder.encode(cutouts), with_keras, atol=1e-4, rtol=0)
    assert "_keras" in vars(encoder)


def test_processors_need_neither_keras_nor_a_compiler():
    program = (
        "import sys, numpy as np\n"
        "from pipeline.encoders import load_encoder, spectral\n"
        "spectral.has_gpu_device = lambda: False\n"
        "load_encoder('spectral', precision='auto').encode(np.ones((5000, 16, 256), np.uint8))\n"
        "heavy = {'tensorflow', 'keras', 'torch', 'jax', 'numba', 'openvino_telemetry'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_threads_do_not_mix_up_their_windows(cutouts):
    encoder = Spectral(GRID)
    windows = [cutouts[i : i + 3] for i in range(0, 21, 3)] * 8
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(encoder.encode, windows))
    for made, alone in zip(together, map(encoder.encode, windows), strict=True):
        np.testing.assert_array_equal(made, alone)


@pytest.mark.processor
def test_vectors_are_unit_finite_and_independent_of_the_batch(cutouts):
    encoder = Spectral(GRID, batch=8)
    together = encoder.encode(cutouts)
    assert together.shape == (len(cutouts), 152)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    apart = np.concatenate([encoder.encode(cutouts[:1]), encoder.encode(cutouts[1:12]), encoder.encode(cutouts[12:])])
    np.testing.assert_allclose(apart, together, atol=1e-5, rtol=0)
    assert encoder.encode(cutouts[:0]).shape == (0, 152)


@pytest.mark.parametrize(("version", "dimension"), [(1, 128), (2, 152), (3, 152), (4, 152)])
def test_spec_says_which_weights(version, dimension):
    digest = hashlib.sha256(SHIPPED[version].read_bytes()).hexdigest()
    spec = load_encoder("spectral", version=version).spec
    assert (spec.name, spec.version, spec.precision) == ("spectral", version, "float32")
    assert (spec.dimension, spec.weights_sha256) == (dimension, digest)
    assert SHIPPED[version].stat().st_size < 4_000_000


@pytest.mark.processor
@pytest.mark.parametrize("version", VERSIONS)
def test_shipped_weights_give_the_golden_vectors(version):
    encoder = load_encoder("spectral", version=version)
    with np.load(GOLDEN) as golden:
        assert str(golden[f"weights_sha256_{version}"]) == encoder.spec.weights_sha256
        vectors = encoder.encode(golden["cutouts"])
        np.testing.assert_allclose(vectors, golden[f"vectors_{version}"], atol=1e-4, rtol=0)


def test_version_2_is_version_1_and_the_kinds():
    first, second = (backend.load_arrays(SHIPPED[version], "spectral") for version in (1, 2))
    assert [key.split(" ")[1] for key in second if key not in first] == ["kind/kernel", "kind/bias"]
    for key, array in first.items():
        np.testing.assert_array_equal(second[key], array)


def test_families_are_told_apart_wherever_they_lie():
    power, labels = simulate_families(np.random.default_rng(5), 6, noise_windows=20)
    vectors = load_encoder("spectral").encode(cutouts_of_power(power))
    likeness = vectors[:72] @ vectors.T
    np.fill_diagonal(likeness, -1)
    assert (labels[likeness.argmax(axis=1)] == labels[:72]).mean() > 0.95


@pytest.mark.parametrize("grid", [WindowGrid(128), WindowGrid(256, 256, 8)])
def test_windows_of_another_shape_are_refused(grid):
    with pytest.raises(EncoderError, match=r"16 spectra × 256 channels, not .*power-spectrum"):
        load_encoder("spectral", grid=grid)


def test_other_cutouts_are_refused(cutouts):
    with pytest.raises(EncoderError, match="uint8"):
        load_encoder("spectral").encode(cutouts.astype(np.float32))


def damaged(arrays, **changed):
    kernel = next(key for key in arrays if key.endswith("stem/kernel"))
    return {key: changed.get("kernel", value) if key == kernel else value for key, value in arrays.items()}


def test_weights_that_do_not_fit_are_refused(tmp_path):
    arrays = backend.load_arrays(SHIPPED[1], "spectral")
    path = tmp_path / "other.npz"
    for wrong in ({}, {"000 x/kernel": np.ones(3)}, damaged(arrays, kernel=np.ones((3, 7, 2, 32), np.float32))):
        backend.save_arrays(path, wrong)
        with pytest.raises(EncoderError, match=r"other\.npz: .*lookalike train spectral"):
            Spectral(GRID, str(path))
    path.write_bytes(b"no archive")
    with pytest.raises(EncoderError, match=r"other\.npz"):
        Spectral(GRID, str(path))
    with pytest.raises(EncoderError, match=r"none\.npz: cannot read the weights"):
        Spectral(GRID, str(tmp_path / "none.npz"))
    backend.save_arrays(path, damaged(arrays, kernel=np.full((3, 7, 1, 32), np.nan, np.float32)))
    with pytest.raises(EncoderError, match="not finite"):
        Spectral(GRID, str(path))


@pytest.mark.parametrize(("precision", "has_gpu", "at_least"),
                         [pytest.param("bfloat16", False, 1e-4, marks=needs_bfloat16), ("bfloat16", True, 1e-4),
                          ("float16", False, 1e-5)])
def test_reduced_precision_is_another_spec_near_the_first(
    precision, has_gpu, at_least, cutouts, with_keras, monkeypatch
):
    monkeypatch.setattr(spectral, "has_gpu_device", lambda: has_gpu)
    encoder = Spectral(GRID, precision=precision, batch=8)
    full = load_encoder("spectral").spec
    assert (encoder.spec.key, encoder.spec.precision) == (f"{full.key}-{precision}", precision)
    assert encoder.spec.tolerance > full.tolerance
    vectors = encoder.encode(cutouts)
    np.testing.assert_allclose(vectors, with_keras, atol=encoder.spec.tolerance, rtol=0)
    assert np.abs(vectors - with_keras).max() >= at_least  # it really computes in another precision
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(cutouts[3:4]), vectors[3:4], atol=encoder.spec.tolerance, rtol=0)
    # the tolerance is small compared with the distances between windows
    likeness, expected = vectors @ vectors.T, with_keras @ with_keras.T
    np.testing.assert_allclose(likeness, expected, atol=0.02, rtol=0)
    assert expected.std() > 0.1


def test_auto_is_settled_by_the_hardware_and_an_unknown_precision_is_refused(monkeypatch):
    for fastest in ("float32", "bfloat16", "float16"):
        monkeypatch.setattr(encoders, "fastest_precision", lambda fastest=fastest: fastest)
        assert load_encoder("spectral", precision="auto") is load_encoder("spectral", precision=fastest)
        assert load_encoder("spectral", precision="auto").spec.precision == fastest
    for make in (lambda: Spectral(GRID, precision="float8"), lambda: load_encoder("spectral", precision="float8")):
        with pytest.raises(ConfigError, match=r"'float8'.*float32, bfloat16, float16"):
            make()


def test_the_network_has_the_stated_size():
    assert build(1).count_params() == 693_792
    assert build(2).count_params() == 693_792 + 24 * (448 + 1024 + 1)
    assert dict(spectral.DIMENSIONS) == {1: 128, 2: 152, 3: 152, 4: 152}


@pytest.fixture(scope="module")
def second_version(tmp_path_factory):
    """Weights of version 2 that have learned nothing, and their network."""
    path = tmp_path_factory.mktemp("weights") / "second.npz"
    backend.keras().utils.set_random_seed(1)
    network = build(2)
    backend.save_weights(path, network)
    return path, network


def test_a_weights_file_says_its_version(second_version, cutouts, monkeypatch):
    path, network = second_version
    expected = network.predict_on_batch(spectral.inputs(cutouts))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    encoder = Spectral(GRID, str(path))
    assert (encoder.spec.version, encoder.spec.dimension) == (2, 152)
    np.testing.assert_allclose(encoder.encode(cutouts), expected, atol=1e-4, rtol=0)
    monkeypatch.setattr(spectral, "has_gpu_device", lambda: True)
    np.testing.assert_allclose(Spectral(GRID, str(path), batch=8).encode(cutouts), expected, atol=1e-4, rtol=0)
    with pytest.raises(EncoderError, match=r"second\.npz: holds weights of version 2 of spectral, not 1"):
        load_encoder("spectral", weights=str(path), version=1)


def test_several_versions_come_with_the_package():
    assert encoders.versions("spectral") == (1, 2, 3, 4)
    assert encoders.versions("power-spectrum") == ()
    assert load_encoder("spectral", version=spectral.DEFAULT) is load_encoder("spectral")
    assert load_encoder("spectral").spec.version == 4
    with pytest.raises(EncoderError, match="this program has version 1, 2, 3, 4 of spectral, not 5"):
        load_encoder("spectral", version=5)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_images_that_were_never_rounded_give_nearly_the_same_vectors(cutouts, has_gpu, monkeypatch):
    monkeypatch.setattr(spectral, "has_gpu_device", lambda: has_gpu)
    encoder = Spectral(GRID, batch=8)
    vectors = encoder.encode_images(image_of_cutouts(cutouts))
    np.testing.assert_allclose(vectors, encoder.encode(cutouts), atol=1e-5, rtol=0)
