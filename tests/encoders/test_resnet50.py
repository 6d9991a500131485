"""ResNet50 with random weights: these tests check what it computes, not how well it retrieves."""

from __future__ import annotations

import hashlib
import sys
import warnings

import numpy as np
import pytest
from skimage.transform import resize

from pipeline.encoders import backend, fit, load_encoder, needs_projection
from pipeline.encoders.projection import Projection
from pipeline.encoders.resnet50 import ResNet50, draw_pictures
from pipeline.errors import ConfigError, EncoderError
from pipeline.grid.cutouts import cutouts_of_power, image_of_cutouts
from pipeline.model import WindowGrid
from pipeline.simulate import simulate_families

GRID = WindowGrid()


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    """Fill no batch of 16 with zeros for the sake of three windows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.encoders.resnet50.BATCH", 4)
        yield


@pytest.fixture(scope="module")
def cutouts():
    power, _ = simulate_families(np.random.default_rng(1), 1, families=("rising", "comb", "hump"))
    return np.concatenate([cutouts_of_power(power), np.zeros((1, 16, 256), np.uint8)])


@pytest.fixture(scope="module")
def keras():
    return backend.keras()


@pytest.fixture(scope="module")
def weights(keras, tmp_path_factory):
    """Save random weights with Keras; the moving averages are random too."""
    path = tmp_path_factory.mktemp("weights") / "seeded.weights.h5"
    keras.utils.set_random_seed(7)
    model = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def encoder(weights):
    return ResNet50(GRID, str(weights), batch=4)


def drawn(cutout):
    """Draw the picture of a window with scikit-image."""
    image = image_of_cutouts(cutout).astype(np.float64)
    low, high = np.percentile(image, (1, 99.9))
    grey = np.clip((image - low) / (high - low), 0, 1) * 255 if high > low else np.zeros_like(image)
    return resize(grey, (224, 224), order=1, mode="edge", anti_aliasing=False)


def test_pictures_are_stretched_along_both_axes(cutouts, keras):
    seen = draw_pictures(image_of_cutouts(cutouts), np)
    assert seen.shape == (4, 224, 224, 3)
    for picture, cutout in zip(seen, cutouts, strict=True):
        for colour in range(3):
            np.testing.assert_allclose(picture[:, :, colour], drawn(cutout), atol=1e-3)  # of 255
    # the time axis is kept: the rising line ends at another place than it starts
    assert seen[0, 20, :, 0].argmax() + 10 < seen[0, 200, :, 0].argmax()
    assert not seen[3].any()


def test_equals_keras_itself(encoder, weights, cutouts, keras):
    model = keras.applications.ResNet50(
        weights=str(weights), include_top=False, pooling="avg", input_shape=(224, 224, 3)
    )
    images = np.repeat(np.stack([drawn(cutout) for cutout in cutouts[:2]])[..., None], 3, axis=-1)
    expected = model(keras.applications.resnet50.preprocess_input(images.astype(np.float32)), training=False)
    expected = keras.ops.convert_to_numpy(expected)
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(cutouts[:2]), expected, atol=encoder.spec.tolerance, rtol=0)


def test_vectors_are_finite_and_independent_of_the_batch(encoder, cutouts):
    together = encoder.encode(cutouts)
    assert together.shape == (4, 2048)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    apart = np.concatenate([encoder.encode(cutouts[:1]), encoder.encode(cutouts[1:])])
    np.testing.assert_allclose(apart, together, atol=encoder.spec.tolerance, rtol=0)
    assert np.abs(together[0] - together[1]).max() > encoder.spec.tolerance
    assert encoder.encode(cutouts[:0]).shape == (0, 2048)


def test_spec_holds_the_digest_of_the_weights(encoder, weights):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert encoder.spec.weights_sha256 == digest
    assert encoder.spec.key == f"resnet50-v2-{digest[:8]}"
    assert (encoder.spec.dimension, encoder.spec.input) == (2048, "cutout-v1 16x256")


@pytest.mark.slow
def test_weights_in_the_format_of_the_imagenet_file_are_read(encoder, weights, cutouts, keras, tmp_path):
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    path = tmp_path / "older.h5"
    with h5py.File(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        legacy_h5_format.save_weights_to_hdf5_group(file, encoder._model)
    older = ResNet50(GRID, str(path), batch=4)
    np.testing.assert_allclose(older.encode(cutouts), encoder.encode(cutouts), atol=1e-6, rtol=0)
    assert older.spec.key != encoder.spec.key


def test_imagenet_weights_come_from_keras(weights, monkeypatch, keras, capsys):
    asked = {}

    def get_file(name, url, **options):
        asked.update(options, name=name, url=url)
        sys.stdout.write("Downloading data from …")
        return str(weights)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    spec = ResNet50(GRID).spec
    assert spec.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    from keras.src.applications import resnet

    assert asked["url"] == resnet.BASE_WEIGHTS_PATH + asked["name"]
    assert asked["name"] == "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert asked["file_hash"] == resnet.WEIGHTS_HASHES["resnet50"][1]
    assert asked["cache_subdir"] == "models"
    assert "Downloading" not in capsys.readouterr().out


def test_no_network_says_what_to_do(monkeypatch, keras):
    def get_file(*_, **__):
        raise Exception("URL fetch failure: None -- name not known")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(EncoderError, match=r"URL fetch failure.*--weights FILE"):
        load_encoder("resnet50")


def test_missing_weights_file_is_named(tmp_path):
    with pytest.raises(EncoderError, match=r"none\.weights\.h5: .*No such file"):
        load_encoder("resnet50", weights=str(tmp_path / "none.weights.h5"))


@pytest.mark.parametrize("name", ["text.txt", "text.weights.h5", "text.h5", "other.weights.h5"])
def test_file_of_something_else_is_named(tmp_path, keras, name):
    path = tmp_path / name
    if name.startswith("other"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save_weights(path)
    else:
        path.write_text("no weights")
    with pytest.raises(EncoderError, match=rf"{name}: is not a weights file of Keras' ResNet50"):
        load_encoder("resnet50", weights=str(path))


def test_damaged_weights_are_found_out(encoder, cutouts, monkeypatch):
    monkeypatch.setattr(encoder, "_start_batch", lambda codes: lambda: np.full((len(codes), 2048), np.nan, np.float32))
    with pytest.raises(EncoderError, match=r"3 of 3 vectors.*damaged"):
        encoder.encode(cutouts[:3])


def test_other_shapes_are_refused(encoder):
    with pytest.raises(EncoderError, match=r"\(n, 16, 256\)"):
        encoder.encode(np.zeros((1, 256, 16), np.uint8))


@pytest.fixture(scope="module")
def sample():
    power, _ = simulate_families(np.random.default_rng(2), 2, noise_windows=8)
    return cutouts_of_power(power)[:32]


@pytest.fixture(scope="module")
def projection(weights, sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("projection") / "projection.npz"
    fit("resnet50", sample, weights=str(weights)).save(path)
    return path


@pytest.mark.slow
def test_projected_features_have_lost_the_mean_of_the_sample(weights, projection, sample):
    assert needs_projection("resnet50")
    features = load_encoder("resnet50", weights=str(weights)).encode(sample[:16]).astype(np.float64)
    vectors = load_encoder("resnet50", weights=str(weights), projection=projection).encode(sample[:16])
    # 32 windows span 31 axes, so only the mean is lost: the angles are those of the centred features
    assert vectors.shape == (16, 31)
    centred = features - Projection.load(projection, "resnet50").mean
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors @ vectors.T, centred @ centred.T, atol=1e-3)
    assert (features @ features.T).min() > 0.9
    assert (vectors @ vectors.T).min() < 0


@pytest.mark.slow
def test_projection_is_part_of_the_identity(weights, encoder, projection, tmp_path):
    projected = load_encoder("resnet50", weights=str(weights), projection=projection)
    spec = projected.spec
    assert (spec.dimension, spec.key) == (31, f"resnet50-v2-{spec.weights_sha256[:8]}")
    assert spec.weights_sha256 != encoder.spec.weights_sha256
    assert load_encoder("resnet50", weights=str(weights), projection=str(projection)) is projected
    # another corpus under the same path
    moved, other = tmp_path / "projection.npz", Projection.load(projection, "resnet50")
    moved.write_bytes(projection.read_bytes())
    first = load_encoder("resnet50", weights=str(weights), projection=moved)
    assert first.spec == spec
    Projection(other.mean, other.axes[:9]).save(moved)
    second = load_encoder("resnet50", weights=str(weights), projection=moved)
    assert second.spec.dimension == 9
    assert second.spec.key != spec.key


def test_projection_for_something_else_is_named(weights, tmp_path):
    path = tmp_path / "projection.npz"
    with pytest.raises(EncoderError, match=r"projection\.npz: .*No such file"):
        load_encoder("resnet50", weights=str(weights), projection=path)
    Projection(np.zeros(4, np.float32), np.eye(4, dtype=np.float32)).save(path)
    with pytest.raises(EncoderError, match=r"projection\.npz: .*made for 4 features, not 2048"):
        load_encoder("resnet50", weights=str(weights), projection=path)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_is_another_spec_near_the_first(weights, projection, cutouts, precision):
    full = load_encoder("resnet50", weights=str(weights), projection=projection)
    reduced = ResNet50(GRID, str(weights), projection, precision, batch=4)
    assert reduced.spec.precision == precision
    assert reduced.spec.key == f"{full.spec.key}-{precision}"
    assert reduced.spec.tolerance > full.spec.tolerance
    expected, vectors = full.encode(cutouts[:3]), reduced.encode(cutouts[:3])
    np.testing.assert_allclose(vectors, expected, atol=reduced.spec.tolerance, rtol=0)
    assert np.abs(vectors - expected).max() > 1e-4  # it really computes in another precision
    np.testing.assert_allclose(reduced.encode(cutouts[1:2]), vectors[1:2], atol=reduced.spec.tolerance, rtol=0)


def test_unknown_precision_is_refused(weights):
    with pytest.raises(ConfigError, match=r"'float8'.*float32, bfloat16, float16"):
        load_encoder("resnet50", weights=str(weights), precision="float8")
