"""The β-variational autoencoder published for look-alike search (arXiv 2302.13854): the mean of its latent vector.

Five convolutions (32, 64, 64, 128, 128 filters of 3 × 3, each followed by pooling over two channels and batch
normalisation), dense layers of 256 and 32, and a latent vector of 10 numbers; a decoder that mirrors them draws the
window again. Taught without labels: the cross-entropy between window and drawing, plus β times the divergence of the
latent distribution from the standard normal one.

Two things are done otherwise than in the authors' program, and both are cheaper or safer without another result in
view: the decoder widens channels alone (theirs widens both axes and pools time again), and its last layer gives logits
(theirs gives numbers that the cross-entropy clips to between 0 and 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.encoders.backend import batch_of_device, digest_of, keras, load_weights, of_cutouts
from pipeline.encoders.base import checked, joined, unit_rows
from pipeline.encoders.device import in_batches
from pipeline.errors import EncoderError
from pipeline.grid.cutouts import image_of_cutouts
from pipeline.model import EncoderSpec, WindowGrid

NAME = "beta-vae"
VERSION = 1
DIMENSION = 10
"""Numbers in the latent vector."""
BETA = 9.0
"""Weight of the divergence; published runs take 8 to 10."""
SHIPPED = Path(__file__).with_name("weights") / "beta-vae.npz"
TOLERANCE = 2e-3
"""Components of one window's vector differ by less, whatever the batch and the hardware."""
BATCH, GPU_BATCH = 128, 1024
"""Windows at once on processors, and on a GPU: the last batch is filled up, so that a network is compiled once."""

_FILTERS = (32, 64, 64, 128, 128)
_DENSE = (256, 32)


class BetaVae:
    """Encoder by the latent mean of :func:`build`.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows, the one it was taught on.
    weights : str
        A file made by ``lookalike train beta-vae``; empty for the shipped one.
    batch : int
        Windows at once; 0 for what suits the device.

    Raises
    ------
    EncoderError
        Where there are no weights, or they do not fit.
    """

    def __init__(self, grid: WindowGrid, weights: str = "", batch: int = 0) -> None:
        path = Path(weights).expanduser() if weights else SHIPPED
        if not weights and not path.exists():
            raise EncoderError(f"encoder {NAME} comes without weights; train with: lookalike train {NAME}, and name "
                               "the file that makes with --weights FILE")
        self._grid = grid
        digest = digest_of(path, NAME)
        model, _ = build(grid)
        load_weights(path, model, NAME)
        self._begin = of_cutouts(model, (grid.integrations, grid.channels), _scaled)
        self._batch = batch or batch_of_device(GPU_BATCH, BATCH)
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
        """Encode cutouts that come block by block; see :meth:`pipeline.encoders.Encoder.encode_all`."""
        windows = (checked(NAME, block, self._grid) for block in blocks)
        made = in_batches(self._begin, windows, self._batch)
        return joined((unit_rows(NAME, vectors) for vectors in made), DIMENSION)


def inputs(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn cutouts (n, T, F) into what the network takes, (n, T, F, 1).

    Each asinh image is scaled by its own range to 0…1; a constant one is 0 throughout.
    """
    scaled: NDArray[np.float32] = _scaled(image_of_cutouts(cutouts), np)
    return scaled


def _scaled(image: Any, xp: Any) -> Any:
    low, high = (of(image, axis=(1, 2), keepdims=True) for of in (xp.min, xp.max))
    span = high - low
    return xp.where(span > 0, (image - low) / xp.where(span > 0, span, 1), 0)[..., None]


def build(grid: WindowGrid, seed: int = 0) -> tuple[Any, Any]:
    """Build the network for windows of a grid, its weights drawn by Keras' own seed.

    Parameters
    ----------
    grid : WindowGrid
        Its channels a multiple of 32.
    seed : int
        Of the latent vectors drawn in training.

    Returns
    -------
    encoder : keras.Model
        (n, T, F, 1) of :func:`inputs` → (n, 10) latent means.
    trainable : keras.Model
        The whole, for ``compile(optimizer)`` and ``train_on_batch(images)``; shares the encoder's weights.

    Raises
    ------
    EncoderError
        For windows of other shapes.
    """
    halvings = 2 ** len(_FILTERS)
    if grid.channels % halvings:
        raise EncoderError(f"encoder {NAME} takes windows of a multiple of {halvings} channels, not {grid.channels}; "
                           "use --encoder power-spectrum")
    layers = keras().layers
    pixels = keras().Input((grid.integrations, grid.channels, 1), name="image")
    x = pixels
    # layers are named: Keras' own names count the networks a process has built
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
    """Latent vectors (n, 10) → logits of the pixels (n, T, F, 1)."""
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

    class BetaVaeTraining(keras().Model):  # type: ignore[misc]  # Keras has no types, and is not there before its use
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
    """Return BCE + β · KL in nats a window, the mean over a batch.

    Parameters
    ----------
    images, logits : (n, T, F, 1) tensor
        What was seen, 0…1, and what was drawn. The cross-entropy is summed over pixels.
    mean, log_variance : (n, 10) tensor
        Of the latent distributions. Their divergence from the standard normal one is averaged over components, as the
        authors' program weighs it.
    """
    ops = keras().ops
    entropy = ops.sum(ops.binary_crossentropy(images, logits, from_logits=True), axis=(1, 2, 3))
    divergence = ops.mean(mean**2 + ops.exp(log_variance) - 1 - log_variance, axis=1) / 2
    return ops.mean(entropy + BETA * divergence)
