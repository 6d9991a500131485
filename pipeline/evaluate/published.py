"""The published test of look-alike search (arXiv 2302.13854), for any encoder.

The test has two parts.

- **Clusters.** There are 100 classes. A class is one drifting line, whose drift, width and strength are drawn once.
  setigen injects it into many windows. Silhouette and spread measure how tight the cluster of its vectors is.
- **Disentanglement.** There are four sets of lines. Each set has one fixed property (drift, strength, width or
  position); the other properties are drawn for every line. A linear classifier predicts the set from mean differences
  of vectors (:func:`~pipeline.evaluate.metrics.mean_differences`).

With few windows and many components, the classifier is better than chance even on random vectors, because the mean of
each set differs by chance. Compare with the control, which is random vectors.

In the publication, backgrounds are windows in which an energy detector found something. That archive is not available.
Here the backgrounds are simulated interference (``busy``) or pure noise (``clean``).
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
from pipeline.simulate import FINE, FINE_GRID, SNR_RANGE, random_signal, simulate_power, vary

CLASSES = 100
PROPERTIES = ("drift", "snr", "width", "place")
MAX_DRIFT_HZ_PER_S = 2.0
PLACES = (50, 180)
"""Lowest and highest channel at which a line begins."""
PARTNERS = 1000
"""Number of windows with which each window is compared in the test of disentanglement."""


@dataclass(frozen=True, slots=True)
class PublishedSize:
    """Number of windows in the test."""

    per_class: int = 60
    """Windows per class of the test of clusters."""
    per_property: int = 2500
    """Windows per set of the test of disentanglement."""


QUICK, FULL = PublishedSize(), PublishedSize(1000, 10_000)


@dataclass(frozen=True, slots=True)
class Injections:
    """Windows with injected lines, and their classes."""

    cutouts: NDArray[np.uint8]
    """(n, 16, 256)."""
    labels: NDArray[np.int64]
    """(n,) Class of each window."""


@dataclass(frozen=True, slots=True)
class PublishedSets:
    """All windows of the test."""

    clean: Injections
    """Classes on pure noise."""
    busy: Injections
    """Classes on simulated interference."""
    properties: Injections
    """Sets of the test of disentanglement. A label is the index of the fixed property in :data:`PROPERTIES`."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """How tight the clusters of the classes are."""

    silhouette: float
    """Mean silhouette by Euclidean distance, as published."""
    silhouette_cosine: float
    """Mean silhouette by cosine distance."""
    spread: float
    """Largest distance from the centroid divided by the mean distance. Random vectors have a good (small) spread."""


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """Scores of one encoder."""

    clean: Clusters
    busy: Clusters
    disentanglement: float
    """Accuracy of the linear classifier; 0.25 by chance."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Published scores of one method; None or empty if not published."""

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
"""Figures from arXiv 2302.13854 and its test bench. The authors used real backgrounds, 10 runs, and for each encoder
its own input."""


@dataclass(frozen=True, slots=True)
class _Line:
    drift_hz_per_s: float
    snr: float
    """SNR of the whole track, in sigmas: √16 times the SNR per bin."""
    width_hz: float
    place: int
    """Channel at which the line begins."""


def published_sets(size: PublishedSize = QUICK, seed: int = 0) -> PublishedSets:
    """Simulate all windows of the test.

    Parameters
    ----------
    size : PublishedSize
        Number of windows.
    seed : int
        Seed of lines and backgrounds.

    Raises
    ------
    ConfigError
        setigen is not installed.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 2])
    return PublishedSets(
        class_injections(rng, size.per_class, busy=False),
        class_injections(rng, size.per_class, busy=True),
        property_injections(rng, size.per_property),
    )


def class_injections(rng: np.random.Generator, per_class: int, *, busy: bool, classes: int = CLASSES) -> Injections:
    """Draw ``classes`` lines and inject each into ``per_class`` windows.

    The windows hold simulated interference if ``busy``, else noise only.
    """
    cutouts = []
    for _ in range(classes):
        drift, snr, width = _draw_drift(rng), float(rng.integers(100, 151)), float(rng.integers(20, 51))
        lines = [_Line(drift, snr, width, place) for place in rng.integers(PLACES[0], PLACES[1] + 1, per_class)]
        backgrounds = simulate_power(rng, [vary(rng, random_signal(rng), SNR_RANGE) for _ in lines]) if busy else None
        cutouts.append(inject(rng, lines, backgrounds))
    return Injections(np.concatenate(cutouts), np.repeat(np.arange(classes), per_class))


def property_injections(rng: np.random.Generator, per_property: int) -> Injections:
    """Inject a set of lines into noise for each of :data:`PROPERTIES`; the lines of a set share only that property."""
    common = _draw_line(rng)
    lines = []
    for name in PROPERTIES:
        for _ in range(per_property):
            one = _draw_line(rng)
            lines.append(_Line(*(getattr(common if name == prop else one, field) for prop, field in zip(
                PROPERTIES, ("drift_hz_per_s", "snr", "width_hz", "place"), strict=True))))
    return Injections(inject(rng, lines, None), np.repeat(np.arange(len(PROPERTIES)), per_property))


def inject(
    rng: np.random.Generator, lines: list[_Line], backgrounds: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Inject each line into a window with setigen.

    Parameters
    ----------
    rng : Generator
    lines : list of n lines
    backgrounds : (n, 16, 256) float32 or None
        Windows to inject into; None for chi-squared noise of mean 1.

    Returns
    -------
    (n, 16, 256) uint8
        Cutouts.
    """
    stg, units = _import_setigen()
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
    """Run the test on an encoder.

    Parameters
    ----------
    encode : callable
        Encoder to measure.
    sets : PublishedSets
        Windows of the test.
    seed : int
        Seed of the choice of partners.
    """
    vectors = encode(sets.properties.cutouts)
    rng = np.random.default_rng([HELD_OUT, seed, 3])
    partners = min(PARTNERS, len(vectors) // len(PROPERTIES))
    differences = mean_differences(vectors, sets.properties.labels, rng, partners)
    return PublishedScores(
        measure_clusters(encode(sets.clean.cutouts), sets.clean.labels),
        measure_clusters(encode(sets.busy.cutouts), sets.busy.labels),
        linear_accuracy(differences, sets.properties.labels),
    )


def measure_clusters(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Clusters:
    """Measure how tight the clusters of vectors (n, d) with class labels (n,) are."""
    return Clusters(silhouette(vectors, labels), silhouette(vectors, labels, "cosine"), cluster_spread(vectors, labels))


def random_vectors(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return random unit vectors (n, 128) that ignore the cutouts; they are the control of the test."""
    vectors = np.random.default_rng([HELD_OUT, len(cutouts)]).standard_normal((len(cutouts), 128)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _draw_line(rng: np.random.Generator) -> _Line:
    snr, width = rng.uniform(20, 70, 2)
    return _Line(_draw_drift(rng), snr, width, int(rng.integers(PLACES[0], PLACES[1] + 1)))


def _draw_drift(rng: np.random.Generator) -> float:
    """Draw a drift; two thirds are upward, as in the publication."""
    return float(rng.uniform(0, MAX_DRIFT_HZ_PER_S) * (1 if rng.random() < 2 / 3 else -1))


def _import_setigen() -> tuple[Any, Any]:
    """Import setigen and astropy's units.

    setigen imports blimpy, which changes the settings of warnings and logging. They are restored.
    """
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
