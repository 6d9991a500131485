"""Labelled sets of simulated windows that no training has seen.

All seeds start with :data:`HELD_OUT`, while the seeds of training start with 0. There are six kinds of families:

- random: drawn from the distribution that training uses
- mixed: drawn from another distribution, in which the families are more alike, which makes retrieval harder
- unseen: kinds that training never draws
- catalogue: the named families of :data:`pipeline.simulate.FAMILIES`
- interference: the kinds of :data:`pipeline.simulate.KINDS`; the members of a kind have different parameters
- emitters: two families of each of these kinds; the members of a family have about the same parameters
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from types import MappingProxyType
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.cutouts import quantise
from pipeline.simulate import (
    CLEAN,
    FAMILIES,
    FINE,
    KINDS,
    NOISE,
    UNSEEN,
    Pattern,
    Scene,
    Signal,
    mixed_signal,
    random_pattern,
    random_signal,
    simulate_power,
    vary,
    vary_pattern,
)

HELD_OUT = 7331
"""First number of every seed in this package."""
SNR_BANDS = ((2.0, 6.0), (6.0, 60.0), (60.0, 300.0))
"""Ranges of the SNR per bin: barely visible, usual, saturated."""
RANDOM_FAMILIES = 40
"""Number of families that are drawn for a set of mixed or random kinds."""

DISTURBED = Scene(cut=0.25, distractors=0.25, gained=0.5, sloped=0.5, slope=0.2, regained=0.1)
"""Disturbances that are mostly more frequent or stronger than in training. Similarity should ignore them."""

SignalKind = Literal["mixed", "random", "catalogue", "unseen"]
FamilyKind = SignalKind | Literal["interference", "emitters"]


@dataclass(frozen=True, slots=True)
class SetSpec:
    """Description of a set."""

    name: str
    families: FamilyKind = "mixed"
    """Kind of the families."""
    snr: tuple[float, float] = (6.0, 60.0)
    """Range of the SNR per bin."""
    signals: int = 512
    """Number of windows with a signal of one of the families."""
    noise: int = 1536
    """Number of windows of noise."""
    unrelated: int = 0
    """Number of further random signals. Each is the only member of its family, so it is never a query."""
    kinds: int = RANDOM_FAMILIES
    """Maximum number of families."""
    scene: Scene = CLEAN
    """Disturbances of the windows."""


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Cutouts and the family of each."""

    spec: SetSpec
    cutouts: NDArray[np.uint8]
    """(n, 16, 256)."""
    labels: NDArray[np.str_]
    """(n,) Name of each window's family; ``noise`` for a window without a signal."""


SETS = (
    *(SetSpec("mixed kinds", "mixed", snr) for snr in SNR_BANDS),
    *(SetSpec("trained kinds", "random", snr) for snr in SNR_BANDS),
    *(SetSpec("unseen kinds", "unseen", snr, noise=1024, unrelated=512) for snr in SNR_BANDS),
    SetSpec("catalogue", "catalogue", noise=1024, unrelated=512),
    SetSpec("disturbed", "mixed", scene=DISTURBED),
)
"""Held-out sets for retrieval, 2,048 windows each."""

INTERFERENCE_SETS = (
    *(SetSpec("interference", "interference", snr, kinds=len(KINDS)) for snr in SNR_BANDS[:2]),
    *(SetSpec("emitters", "emitters", snr, kinds=2 * len(KINDS)) for snr in SNR_BANDS[:2]),
)
"""Held-out sets of patterns as real interference draws them, 2,048 windows each."""


def draw_families(kind: SignalKind, rng: np.random.Generator) -> Mapping[str, Signal]:
    """Return the families of a kind, as name → signal. Mixed and random families are drawn from ``rng``."""
    if kind == "catalogue":
        return FAMILIES
    if kind == "unseen":
        return UNSEEN
    draw = mixed_signal if kind == "mixed" else random_signal
    names = [f"{kind}-{i:02d}" for i in range(RANDOM_FAMILIES)]
    return MappingProxyType({name: draw(rng, name) for name in names})


def simulate_set(spec: SetSpec, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Simulate a set: variants of the families in turn, then unrelated signals, then noise.

    The families of a kind depend on ``seed`` only, so sets of different strength hold the same families.

    Parameters
    ----------
    spec : SetSpec
        Description of the set.
    seed : int
        Seed of families, variants and noise.

    Returns
    -------
    power : (n, 16, 256) float32
        Power relative to the baseline, as a scan passes it to the cutouts.
    labels : (n,) str
        Family of each window.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 1, crc32(f"{spec.name} {spec.snr}".encode())])
    signals, labels = draw_signals(spec, seed, rng)
    return simulate_power(rng, signals, scene=spec.scene), labels


def draw_signals(
    spec: SetSpec, seed: int, rng: np.random.Generator
) -> tuple[Sequence[Signal | Pattern | None], NDArray[np.str_]]:
    """Draw the signals or patterns of a set (None for noise), and the names of their families."""
    kind, family_rng = spec.families, np.random.default_rng([HELD_OUT, seed, 0])
    match kind:
        case "interference" | "emitters":
            patterns = _draw_patterns(spec, family_rng, rng)
            return [*patterns, *[None] * spec.noise], np.array([*(one.name for one in patterns), *[NOISE] * spec.noise])
    families = draw_families(kind, family_rng)
    names = list(islice(cycle(islice(families, spec.kinds)), spec.signals))
    others = [random_signal(rng, f"unrelated-{i}") for i in range(spec.unrelated)]
    signals: list[Signal | None] = [vary(rng, one, spec.snr) for one in (*map(families.__getitem__, names), *others)]
    return signals + [None] * spec.noise, np.array([*names, *(one.name for one in others), *[NOISE] * spec.noise])


def _draw_patterns(spec: SetSpec, family_rng: np.random.Generator, rng: np.random.Generator) -> list[Pattern]:
    """Draw patterns of the kinds in turn, of one family each or, for emitters, of two."""
    if spec.families == "interference":
        kinds = islice(cycle(islice(KINDS, spec.kinds)), spec.signals)
        return [vary_pattern(rng, random_pattern(rng, kind), spec.snr, by=0.0) for kind in kinds]
    families = [random_pattern(family_rng, kind, f"{kind} {i}") for i in (1, 2) for kind in KINDS]
    return [vary_pattern(rng, one, spec.snr) for one in islice(cycle(families[: spec.kinds]), spec.signals)]


def labelled_set(spec: SetSpec, seed: int = 0) -> LabelledSet:
    """Simulate a set and convert it to cutouts, as a scan does."""
    power, labels = simulate_set(spec, seed)
    return LabelledSet(spec, quantise(power, FINE.sigma), labels)


def labelled_sets(specs: Sequence[SetSpec] = SETS, seed: int = 0) -> list[LabelledSet]:
    """Simulate several sets from the same seed."""
    return [labelled_set(spec, seed) for spec in specs]
