"""The β-variational autoencoder published for look-alike search (arXiv 2302.13854).

A window's vector is the mean of its latent distribution. The network has five convolutions of 32, 64, 64, 128 and 128
filters of 3 × 3. Pooling over two channels and batch normalisation follow each of them. Dense layers of 256 and 32
units and a latent vector of 10 numbers come next. A decoder with mirrored layers reconstructs the window.

Training needs no labels. The loss is the cross-entropy between window and reconstruction, plus β times the divergence
of the latent distribution from the standard normal distribution.

Two details differ from the authors' program. The decoder widens only the channel axis, which is cheaper; theirs widens
both axes and then pools time. The last layer returns logits, which is numerically safer; theirs returns numbers that
the cross-entropy clips to between 0 and 1. Neither change is expected to alter the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.encoders.backend import choose_batch_size, hash_weights, keras, load_weights, place_on_cutouts
from pipeline.encoders.base import check_cutouts, join_vectors, normalise_rows
from pipeline.encoders.device import compute_in_batches
from pipeline.errors import EncoderError
from pipeline.grid.cutouts import image_of_cutouts
from pipeline.model import EncoderSpec, WindowGrid

NAME = "beta-vae"
VERSION = 1
DIMENSION = 10
"""Components of the latent vector."""
BETA = 9.0
"""Weight of the divergence in the loss; published runs use 8 to 10."""
SHIPPED = Path(__file__).with_name("weights") / "beta-vae.npz"
TOLERANCE = 2e-3
"""No component of a window's vector differs by more than this between batches or machines."""
BATCH, GPU_BATCH = 128, 1024
"""Windows per batch on processors and on a GPU. The last batch is padded, so that the network is compiled once."""

_FILTERS = (32, 64, 64, 128, 128)
_DENSE = (256, 32)


class BetaVae:
    """Encoder whose vectors are the latent means of the network of :func:`build`, scaled to unit length.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows; must be the shape that the weights were trained on.
    weights : str
        Path of a file made by ``lookalike train beta-vae``. Empty: the file in the package, if there is one.
    batch : int
        Windows per batch; 0 selects a size that suits the device.

    Raises
    ------
    EncoderError
        The weights are missing or do not fit, or the number of channels is not a multiple of 32.
    """

    def __init__(self, grid: WindowGrid, weights: str = "", batch: int = 0) -> None:
        path = Path(weights).expanduser() if weights else SHIPPED
        if not weights and not path.exists():
            raise EncoderError(f"encoder {NAME} comes without weights; make a weights file with: lookalike train "
                               f"{NAME}, and name that file with --weights FILE")
        self._grid = grid
        digest = hash_weights(path, NAME)
        model, _ = build(grid)
        load_weights(path, model, NAME)
        self._start_batch = place_on_cutouts(model, (grid.integrations, grid.channels), _scale)
        self._batch = batch or choose_batch_size(GPU_BATCH, BATCH)
        self.spec = EncoderSpec(
            name=NAME,
            version=VERSION,
            dimension=DIMENSION,
            input=f"cutout-v{CUTOUT_VERSION} {grid.integrations}x{grid.channels}",
            weights_sha256=digest,
            tolerance=TOLERANCE,
        )

    def encode(self, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode cutouts; see :meth:`pipeline.encoders.Encoder.encode`."""
        return self.encode_all([cutouts])

    def encode_all(self, blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode an iterable of blocks of cutouts; see :meth:`pipeline.encoders.Encoder.encode_all`."""
        windows = (check_cutouts(NAME, block, self._grid) for block in blocks)
        made = compute_in_batches(self._start_batch, windows, self._batch)
        return join_vectors((normalise_rows(NAME, vectors) for vectors in made), DIMENSION)


def inputs(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert cutouts (n, T, F) to the network's input (n, T, F, 1).

    Each asinh image is scaled by its own range to 0…1. A constant image becomes 0 everywhere.
    """
    scaled: NDArray[np.float32] = _scale(image_of_cutouts(cutouts), np)
    return scaled


def _scale(image: Any, xp: Any) -> Any:
    low, high = (of(image, axis=(1, 2), keepdims=True) for of in (xp.min, xp.max))
    span = high - low
    return xp.where(span > 0, (image - low) / xp.where(span > 0, span, 1), 0)[..., None]


def build(grid: WindowGrid, seed: int = 0) -> tuple[Any, Any]:
    """Build the network for the windows of a grid. Keras' global seed decides the initial weights.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows; its number of channels must be a multiple of 32.
    seed : int
        Seed of the latent vectors that training draws.

    Returns
    -------
    encoder : keras.Model
        (n, T, F, 1) of :func:`inputs` → (n, 10) latent means.
    trainable : keras.Model
        Encoder and decoder, for ``compile(optimizer)`` and ``train_on_batch(images)``. It shares the encoder's weights.

    Raises
    ------
    EncoderError
        The number of channels is not a multiple of 32.
    """
    halvings = 2 ** len(_FILTERS)
    if grid.channels % halvings:
        raise EncoderError(f"encoder {NAME} takes windows whose number of channels is a multiple of {halvings}, not "
                           f"{grid.channels}; use --encoder power-spectrum")
    layers = keras().layers
    pixels = keras().Input((grid.integrations, grid.channels, 1), name="image")
    x = pixels
    # layers have explicit names, because Keras' default names depend on how many networks the process has built
    for i, filters in enumerate(_FILTERS):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"convolution{i}")(x)
        x = layers.MaxPooling2D((1, 2))(x)
        x = layers.BatchNormalization(name=f"convolution{i}_norm")(x)
    small = x.shape[1:]
    x = layers.Flatten()(x)
    for units in _DENSE:
        x = _dense(x, units, f"dense{units}")
    mean, log_variance = (layers.Dense(DIMENSION, dtype="float32", name=name)(_dense(x, _DENSE[-1], f"{name}_dense"))
                          for name in ("mean", "log_variance"))
    posterior = keras().Model(pixels, [mean, log_variance], name="posterior")
    return keras().Model(pixels, mean, name=NAME), _trainable(posterior, _decoder(small), seed)


def _dense(x: Any, units: int, name: str) -> Any:
    layers = keras().layers
    return layers.BatchNormalization(name=f"{name}_norm")(layers.Dense(units, activation="relu", name=name)(x))


def _decoder(small: tuple[int, int, int]) -> Any:
    """Build the decoder: latent vectors (n, 10) → logits of the pixels (n, T, F, 1)."""
    layers = keras().layers
    latent = keras().Input((DIMENSION,), name="latent")
    x = _dense(_dense(latent, _DENSE[0], "dense"), small[0] * small[1] * small[2], "unflatten")
    x = layers.Reshape(small)(x)
    for i, filters in enumerate(reversed(_FILTERS)):
        x = layers.Conv2DTranspose(filters, 3, strides=(1, 2), padding="same", activation="relu", name=f"widen{i}")(x)
        x = layers.BatchNormalization(name=f"widen{i}_norm")(x)
    pixels = layers.Conv2DTranspose(1, 3, padding="same", dtype="float32", name="logits")(x)
    return keras().Model(latent, pixels, name="decoder")


def _trainable(posterior: Any, decoder: Any, seed: int) -> Any:
    ops, random = keras().ops, keras().random

    class BetaVaeTraining(keras().Model):  # type: ignore[misc]  # Keras has no types and is imported late
        def __init__(self) -> None:
            super().__init__(name="training")
            self.posterior, self.decoder = posterior, decoder
            self.seed = random.SeedGenerator(seed)

        def call(self, images: Any, training: bool = False) -> Any:
            mean, log_variance = self.posterior(images, training=training)
            drawn = mean + ops.exp(log_variance / 2) * random.normal(ops.shape(mean), seed=self.seed)
            return self.decoder(drawn, training=training), mean, log_variance

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                         training: bool = True) -> Any:
            return loss(x, *y_pred)

    return BetaVaeTraining()


def loss(images: Any, logits: Any, mean: Any, log_variance: Any) -> Any:
    """Return the training loss: binary cross-entropy + β · KL divergence, averaged over a batch.

    Parameters
    ----------
    images : (n, T, F, 1) tensor
        Input pixels, 0…1.
    logits : (n, T, F, 1) tensor
        Reconstructed pixels, as logits. The cross-entropy is summed over pixels.
    mean, log_variance : (n, 10) tensor
        Parameters of the latent distributions. Their divergence from the standard normal distribution is averaged over
        components, as in the authors' program.

    Returns
    -------
    scalar tensor
        Loss in nats per window.
    """
    ops = keras().ops
    entropy = ops.sum(ops.binary_crossentropy(images, logits, from_logits=True), axis=(1, 2, 3))
    divergence = ops.mean(mean**2 + ops.exp(log_variance) - 1 - log_variance, axis=1) / 2
    return ops.mean(entropy + BETA * divergence)
