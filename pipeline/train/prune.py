"""A smaller network that computes nearly what a larger one does.

Of each layer, the channels are kept from which the next layer of the large network can best be computed (as in ThiNet,
arXiv 1707.06342). The kernels of the small network are then the least-squares solution for what the large network
computes. No gradient is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import keras

RIDGE = 1e-5
"""Number that is added to the mean square of each input of a least-squares problem, relative to the mean one."""
WINDOWS_AT_ONCE = 200
"""Windows whose patches are in memory at a time."""

Array = NDArray[Any]


def prune(large: Any, small: Any, images: NDArray[np.float32]) -> None:
    """Set the weights of a small network so that it computes nearly what a large one does.

    Parameters
    ----------
    large, small : keras.Model
        Networks of :func:`pipeline.encoders.spectral.build`, with as many features after the last block.
    images : (n, T, F, 1) float32
        Images as the networks take them, a thousand or more.
    """
    wide, narrow = _blocks(large), _blocks(small)
    kept = _channels(large, f"down{wide[0]}", ["down", "skip"], wide[0], images, small.get_layer("stem").filters)
    kernel, bias = _folded(large, "stem")
    _set_convolution(small, "stem", kernel[..., kept], bias[kept])
    for number, (name, new) in enumerate(zip(wide, narrow, strict=True)):
        filters = small.get_layer(f"same{new}").filters
        if number + 1 < len(wide):
            following = wide[number + 1]
            outputs = _channels(large, f"down{following}", ["down", "skip"], following, images, filters)
        else:
            outputs = list(range(filters))
        _set_block(large, small, (name, new), outputs, images)
    _set_last_layers(large, small, images)


def _set_block(
    large: Any, small: Any, names: tuple[int, int], outputs: list[int], images: NDArray[np.float32]
) -> None:
    """Set the convolutions of a block of the small network, whose input is already right.

    Parameters
    ----------
    large, small : keras.Model
        The networks.
    names : (int, int)
        Numbers in the names of the block's layers, in the large network and in the small one.
    outputs : list of int
        Channels of the large network's block that the small network's block computes.
    images : (n, T, F, 1) float32
        Images.
    """
    name, new = names
    filters = small.get_layer(f"down{new}").filters
    inner = _channels(large, f"same{name}", ["same"], name, images, filters)
    wanted = _output(large, f"down{name}_norm", images)[..., inner]
    seen = _input(small, f"down{new}", images)
    kernel, bias = _Sums.of([(seen, 3, 2)], wanted).solution()
    _set_convolution(small, f"down{new}", kernel.reshape(3, 3, -1, len(inner)), bias)

    wanted = (_output(large, f"same{name}_norm", images) + _output(large, f"skip{name}_norm", images))[..., outputs]
    kernel, bias = _Sums.of([(_input(small, f"same{new}", images), 3, 1), (seen, 1, 2)], wanted).solution()
    split = 9 * filters
    _set_convolution(small, f"same{new}", kernel[:split].reshape(3, 3, -1, len(outputs)), bias)
    _set_convolution(small, f"skip{new}", kernel[split:].reshape(1, 1, -1, len(outputs)), np.zeros(len(outputs)))


def _set_last_layers(large: Any, small: Any, images: NDArray[np.float32]) -> None:
    """Copy the last layers, but compute what they get from the picture from the features of the small network."""
    small.get_layer("scales").set_weights(large.get_layer("scales").get_weights())
    before, after = (_input(network, "vector", images) for network in (large, small))
    for layer in ("vector", "kind"):
        kernel, bias = large.get_layer(layer).get_weights()
        size = before.shape[1] - large.get_layer("scales").units
        sums = _Sums()
        sums.add(after[:, :size], before[:, :size] @ kernel[:size])
        found, added = sums.solution()
        small.get_layer(layer).set_weights([np.concatenate([found, kernel[size:]]), bias + added])


class _Sums:
    """Sums over the rows of a least-squares problem: inputs (n, i) → outputs (n, o), with a constant."""

    def __init__(self) -> None:
        self._inputs, self._both, self._rows = np.zeros(()), np.zeros(()), 0

    @classmethod
    def of(cls, maps: list[tuple[Array, int, int]], wanted: Array) -> _Sums:
        """Sum over all positions of maps (n, h, w, c), each with the size and the step of a convolution."""
        sums = cls()
        for first in range(0, len(wanted), WINDOWS_AT_ONCE):
            at = slice(first, first + WINDOWS_AT_ONCE)
            seen = [_patches(one[at], size, step) for one, size, step in maps]
            sums.add(np.concatenate(seen, axis=1), wanted[at].reshape(-1, wanted.shape[-1]))
        return sums

    def add(self, inputs: Array, outputs: Array) -> None:
        inputs = np.concatenate([inputs, np.ones((len(inputs), 1), inputs.dtype)], axis=1)
        self._inputs = self._inputs + (inputs.T @ inputs).astype(np.float64)
        self._both = self._both + (inputs.T @ outputs).astype(np.float64)
        self._rows += len(inputs)

    def _ridged(self) -> Array:
        size = np.diag(self._inputs)[:-1].mean() * RIDGE
        return self._inputs + np.diag(np.append(np.full(len(self._inputs) - 1, size), 1e-9 * size))

    def solution(self) -> tuple[Array, Array]:
        """Return the kernel (i, o) and the constant (o,)."""
        found = np.linalg.solve(self._ridged(), self._both)
        return found[:-1], found[-1]

    def choose(self, channels: int, keep: int) -> list[int]:
        """Leave out one channel after another, each time that which adds the least error; return those that stay.

        The inputs are the patches of one map, which has ``channels`` channels.
        """
        inverse = np.linalg.inv(self._ridged())
        solution = inverse @ self._both
        left = list(range(channels))
        while len(left) > keep:
            worst = min(left, key=lambda one: _cost(inverse, solution, slice(one, -1, channels)))
            out = np.arange(len(inverse) - 1)[worst::channels]
            share = np.linalg.solve(inverse[np.ix_(out, out)], np.concatenate([inverse[out], solution[out]], axis=1))
            column = inverse[:, out]
            inverse = inverse - column @ share[:, :len(inverse)]
            solution = solution - column @ share[:, len(inverse):]
            left.remove(worst)
        return left


def _cost(inverse: Array, solution: Array, at: slice) -> float:
    """Return the squared error that leaving out some inputs adds."""
    part = solution[at]
    return float((part * np.linalg.solve(inverse[at, at], part)).sum())


def _channels(
    network: Any, layer: str, layers: list[str], block: int, images: NDArray[np.float32], keep: int
) -> list[int]:
    """Choose the channels before a convolution of 3 × 3 from which layers of its block can best be computed."""
    seen = _input(network, layer, images)
    if keep == seen.shape[-1]:
        return list(range(keep))
    wanted = np.concatenate([_output(network, f"{one}{block}_norm", images) for one in layers], axis=-1)
    step = seen.shape[1] // wanted.shape[1]
    return _Sums.of([(seen, 3, step)], wanted).choose(seen.shape[-1], keep)


def _patches(maps: Array, size: int, step: int) -> Array:
    """Return what a convolution sees at each position: maps (n, h, w, c) → (n × positions, size × size × c)."""
    around = [max((-(-length // step) - 1) * step + size - length, 0) for length in maps.shape[1:3]]
    padded = np.pad(maps, [(0, 0), *((one // 2, one - one // 2) for one in around), (0, 0)])
    seen = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::step, ::step]
    patches: Array = seen.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * maps.shape[3])
    return patches


def _blocks(network: Any) -> list[int]:
    return [int(layer.name[4:]) for layer in network.layers if layer.name.startswith("down")
            and not layer.name.endswith("_norm")]


def _input(network: Any, layer: str, images: NDArray[np.float32]) -> Array:
    return _computed(network, network.get_layer(layer).input, images)


def _output(network: Any, layer: str, images: NDArray[np.float32]) -> Array:
    return _computed(network, network.get_layer(layer).output, images)


def _computed(network: Any, tensor: Any, images: NDArray[np.float32]) -> Array:
    part, batches = keras().Model(network.input, tensor), np.array_split(images, -(-len(images) // WINDOWS_AT_ONCE))
    return np.concatenate([keras().ops.convert_to_numpy(part(batch, training=False)) for batch in batches])


def _folded(network: Any, layer: str) -> tuple[Array, Array]:
    """Return the kernel and the bias of a convolution, with its normalisation folded into them."""
    normalisation = network.get_layer(f"{layer}_norm")
    gamma, beta, mean, variance = normalisation.get_weights()
    scale = gamma / np.sqrt(variance + normalisation.epsilon)
    return network.get_layer(layer).get_weights()[0] * scale, beta - mean * scale


def _set_convolution(network: Any, layer: str, kernel: Array, bias: Array) -> None:
    """Set a convolution, and the normalisation after it so that it only adds a bias."""
    network.get_layer(layer).set_weights([kernel])
    normalisation, ones = network.get_layer(f"{layer}_norm"), np.ones_like(bias)
    normalisation.set_weights([ones, bias, 0 * ones, (1 - normalisation.epsilon) * ones])
