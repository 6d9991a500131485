"""The published test of look-alike search (arXiv 2302.13854), on any encoder.

Clusters: each of 100 classes is one drifting line (its drift, width and strength drawn once) injected by setigen into
many windows; silhouette and spread say how well its vectors hold together. Disentanglement: of four sets of lines, each
has one property fixed (drift, strength, width, place) and the others drawn anew; a linear classifier names the set from
mean differences of vectors (:func:`~pipeline.evaluate.metrics.mean_differences`). Of few windows and many components,
it names more than chance would from vectors that say nothing, because a set's mean is a mark of the set: look at the
control, random vectors.

The published backgrounds are windows in which an energy detector saw something. No such archive is at hand: here they
hold simulated interference (``busy``), or noise alone (``clean``).
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.evaluate.metrics import cluster_spread, linear_accuracy, mean_differences, silhouette
from pipeline.evaluate.retrieval import Encode
from pipeline.evaluate.sets import HELD_OUT
from pipeline.grid.cutouts import quantise
from pipeline.simulate import random_signal, vary
from pipeline.simulate.population import SNR_RANGE
from pipeline.simulate.signals import FINE
from pipeline.simulate.windows import FINE_GRID, simulate_power

CLASSES = 100
PROPERTIES = ("drift", "snr", "width", "place")
MOST_DRIFT_HZ_PER_S = 2.0
PLACES = (50, 180)
"""Channels at which a line begins."""
PARTNERS = 1000
"""Windows with which each one is compared in the test of disentanglement."""


@dataclass(frozen=True, slots=True)
class PublishedSize:
    """How many windows the test takes."""

    per_class: int = 60
    per_property: int = 2500


QUICK, FULL = PublishedSize(), PublishedSize(1000, 10_000)


@dataclass(frozen=True, slots=True)
class Injections:
    """Injected windows and their classes."""

    cutouts: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PublishedSets:
    """What the test is made on."""

    clean: Injections
    busy: Injections
    properties: Injections
    """Labels count :data:`PROPERTIES`: the one that is fixed."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """How well classes hold together."""

    silhouette: float
    """Euclidean, as published."""
    silhouette_cosine: float
    spread: float
    """Farthest over mean distance from the centroid; random vectors do well here."""


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """How one encoder fares."""

    clean: Clusters
    busy: Clusters
    disentanglement: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A row as others published it; None where they give none."""

    name: str
    silhouette: str
    spread: float | None
    disentanglement: float | None


FIGURES = (
    Figures("β-VAE", "-0.123", 2.16, 0.877),
    Figures("autoencoder", "-0.224", 2.67, 0.81),
    Figures("ResNet50", "-0.188 to -0.227", 3.59, 0.66),
    Figures("SIFT", "", 3.09, None),
    Figures("raw pixels", "-0.363", None, None),
)
"""arXiv 2302.13854 and its test bench: on real backgrounds, from the encoders' own inputs, 10 runs."""


@dataclass(frozen=True, slots=True)
class _Line:
    drift_hz_per_s: float
    snr: float
    """Of the whole track, in sigmas: √16 times that of a bin."""
    width_hz: float
    place: int
    """Channel at which it begins."""


def published_sets(size: PublishedSize = QUICK, seed: int = 0) -> PublishedSets:
    """Inject all windows of the test.

    Raises
    ------
    ConfigError
        Where setigen is not installed.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 2])
    return PublishedSets(
        class_injections(rng, size.per_class, busy=False),
        class_injections(rng, size.per_class, busy=True),
        property_injections(rng, size.per_property),
    )


def class_injections(rng: np.random.Generator, per_class: int, *, busy: bool, classes: int = CLASSES) -> Injections:
    """Inject ``classes`` lines, each into ``per_class`` windows of noise or, if ``busy``, of simulated interference."""
    cutouts = []
    for _ in range(classes):
        drift, snr, width = _drift(rng), float(rng.integers(100, 151)), float(rng.integers(20, 51))
        lines = [_Line(drift, snr, width, place) for place in rng.integers(PLACES[0], PLACES[1] + 1, per_class)]
        backgrounds = simulate_power(rng, [vary(rng, random_signal(rng), SNR_RANGE) for _ in lines]) if busy else None
        cutouts.append(inject(rng, lines, backgrounds))
    return Injections(np.concatenate(cutouts), np.repeat(np.arange(classes), per_class))


def property_injections(rng: np.random.Generator, per_property: int) -> Injections:
    """Inject four sets of lines into noise: each has one of :data:`PROPERTIES` in common, all else differs."""
    common = _random_line(rng)
    lines = []
    for name in PROPERTIES:
        for _ in range(per_property):
            one = _random_line(rng)
            lines.append(_Line(*(getattr(common if name == prop else one, field) for prop, field in zip(
                PROPERTIES, ("drift_hz_per_s", "snr", "width_hz", "place"), strict=True))))
    return Injections(inject(rng, lines, None), np.repeat(np.arange(len(PROPERTIES)), per_property))


def inject(
    rng: np.random.Generator, lines: list[_Line], backgrounds: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Inject each line by setigen, into its background or chi-squared noise of mean 1; return cutouts."""
    stg, units = _setigen()
    resolution = {"df": FINE.channel_width_hz * units.Hz, "dt": FINE.tsamp_s * units.s, "fch1": 1289 * units.MHz,
                  "ascending": True}
    shape = (FINE_GRID.integrations, FINE_GRID.channels)
    cutouts = np.empty((len(lines), *shape), np.uint8)
    for i, line in enumerate(lines):
        if backgrounds is None:
            frame = stg.Frame(shape=shape, seed=rng, **resolution)
            frame.add_noise(x_mean=1, noise_type="chi2")
        else:
            frame = stg.Frame.from_data(data=backgrounds[i].astype(np.float64), seed=rng, **resolution)
        frame.add_signal(
            stg.constant_path(frame.get_frequency(index=line.place), line.drift_hz_per_s * units.Hz / units.s),
            stg.constant_t_profile(level=frame.get_intensity(snr=line.snr)),
            stg.gaussian_f_profile(width=line.width_hz * units.Hz),
            stg.constant_bp_profile(level=1),
        )
        cutouts[i] = quantise(frame.data, FINE.sigma)
    return cutouts


def evaluate_published(encode: Encode, sets: PublishedSets, *, seed: int = 0) -> PublishedScores:
    """Put an encoder to the test."""
    vectors = encode(sets.properties.cutouts)
    rng = np.random.default_rng([HELD_OUT, seed, 3])
    partners = min(PARTNERS, len(vectors) // len(PROPERTIES))
    differences = mean_differences(vectors, sets.properties.labels, rng, partners)
    return PublishedScores(
        clusters(encode(sets.clean.cutouts), sets.clean.labels),
        clusters(encode(sets.busy.cutouts), sets.busy.labels),
        linear_accuracy(differences, sets.properties.labels),
    )


def clusters(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Clusters:
    """Measure how well classes hold together."""
    return Clusters(silhouette(vectors, labels), silhouette(vectors, labels, "cosine"), cluster_spread(vectors, labels))


def random_vectors(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Encode nothing at all: the control, random unit vectors of 128 components."""
    vectors = np.random.default_rng([HELD_OUT, len(cutouts)]).standard_normal((len(cutouts), 128)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _random_line(rng: np.random.Generator) -> _Line:
    snr, width = rng.uniform(20, 70, 2)
    return _Line(_drift(rng), snr, width, int(rng.integers(PLACES[0], PLACES[1] + 1)))


def _drift(rng: np.random.Generator) -> float:
    """Two thirds of the published drifts are upward."""
    return float(rng.uniform(0, MOST_DRIFT_HZ_PER_S) * (1 if rng.random() < 2 / 3 else -1))


def _setigen() -> tuple[Any, Any]:
    """Import setigen and astropy's units, and undo what blimpy, which it imports, does to warnings and logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import setigen
            from astropy import units
    except ImportError as error:
        raise ConfigError(f"the published protocol needs setigen ({error}); install it with: pip install "
                          "'lookalike[evaluate]'") from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return setigen, units
