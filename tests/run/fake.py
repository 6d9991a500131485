"""Encoders that load at once. They multiply pooled pixels by a random matrix, whose seed comes from the weights file.

In bfloat16 and in float16, pixels are rounded to float16.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline import encoders
from pipeline.encoders import Projection
from pipeline.grid.cutouts import image_of_cutouts
from pipeline.model import EncoderSpec, WindowGrid

PLAIN, PROJECTED = "fake", "fake-projected"


class Fake:
    """24 numbers for each window, or their projection if there is one."""

    def __init__(
        self, grid: WindowGrid, weights: str = "", projection: str = "", name: str = PLAIN, precision: str = "float32"
    ) -> None:
        content = Path(weights).read_bytes() if weights else b""
        digest = hashlib.sha256(content)
        self._matrix = np.random.default_rng(digest.digest()[0]).normal(size=(grid.integrations * 16, 24))
        self._projection = Projection.load(Path(projection), name) if projection else None
        tolerance = 1e-4 if precision == "float32" else 0.01
        self.spec = EncoderSpec(name, 1, 24, f"cutout-v1 {grid.integrations}x{grid.channels}", digest.hexdigest(),
                                precision, tolerance=tolerance)
        if self._projection is not None:
            digest.update(Path(projection).read_bytes())
            self.spec = replace(self.spec, dimension=len(self._projection.axes), weights_sha256=digest.hexdigest())

    def encode_all(self, blocks: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.empty((0, self.spec.dimension), np.float32), *map(self.encode, blocks)])

    def encode(self, cutouts: np.ndarray) -> np.ndarray:
        n, times, channels = cutouts.shape
        image = image_of_cutouts(cutouts).reshape(n, times, 16, channels // 16).max(axis=3).reshape(n, times * 16)
        if self.spec.precision != "float32":
            image = image.astype(np.float16)
        vectors = image @ self._matrix
        if self._projection is not None:
            vectors = self._projection.apply(vectors.astype(np.float32))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def register(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Add both encoders to those that :mod:`pipeline.encoders` knows; ``patch`` sets an attribute."""
    really = getattr(encoders._load, "really", encoders._load)

    def load(
        name: str, grid: WindowGrid, weights: str, projection: str, digest: str, precision: str, version: int | None
    ) -> Any:
        if name in (PLAIN, PROJECTED):
            return Fake(grid, weights, projection, name, precision)
        return really(name, grid, weights, projection, digest, precision, version)

    load.really = really  # type: ignore[attr-defined]
    load.cache_clear = really.cache_clear  # type: ignore[attr-defined]
    patch(encoders, "_load", load)
    patch(encoders, "ENCODERS", MappingProxyType({**encoders.ENCODERS, PLAIN: Fake, PROJECTED: Fake}))
    patch(encoders, "_WITH_PROJECTION", encoders._WITH_PROJECTION | {PROJECTED})
    patch(encoders, "_WITH_REDUCED_PRECISION", encoders._WITH_REDUCED_PRECISION | {PLAIN, PROJECTED})


COMMAND = "from tests.run import fake; fake.register(); from pipeline.cli import main; main()"
"""Code for ``python -c`` that runs the command line with these encoders."""
