"""The kinds of real interference, and patterns drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.simulate.families import log_uniform
from pipeline.simulate.line_kinds import LINE_KINDS
from pipeline.simulate.patterns import Pattern, stretched
from pipeline.simulate.recipes import Kind, draw_value
from pipeline.simulate.wide_kinds import WIDE_KINDS

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in LINE_KINDS + WIDE_KINDS})
"""Name → kind of real interference. :func:`random_pattern` draws one."""


def random_pattern(
    rng: np.random.Generator, kind: str | None = None, name: str = "", *, is_varied: bool = False
) -> Pattern:
    """Draw a pattern of a kind of real interference: its parameters, and an SNR in the usual range.

    Parameters
    ----------
    rng : Generator
    kind : str, optional
        Name in :data:`KINDS`. Default: a random one.
    name : str
        Name of the family. Default: the name of the kind.
    is_varied : bool
        False: parameters as measured at Green Bank. True: also like those, but mirrored in half of the patterns, and
        stretched in frequency and time by factors between 1/2 and 2. Training should not learn one transmitter.

    Raises
    ------
    ConfigError
        There is no kind of that name.
    """
    if kind is None:
        kind = str(rng.choice(list(KINDS)))
    if kind not in KINDS:
        raise ConfigError(f"no kind of interference {kind!r}; there are {', '.join(KINDS)}")
    chosen = KINDS[kind]
    parts: list[Any] = []
    for recipe in chosen.parts:
        if recipe.chance >= 1 or rng.random() < recipe.chance:
            parts.append(draw_value(rng, recipe, parts[0] if parts else None))
    pattern = Pattern(kind, tuple(parts), log_uniform(rng, *chosen.snr), name or kind)
    if not is_varied:
        return pattern
    wider, longer = log_uniform(rng, 0.5, 2), log_uniform(rng, 0.5, 2)
    varied = stretched(pattern, wider if rng.random() < 0.5 else -wider, longer)
    return replace(varied, band_hz=pattern.band_hz, duration_s=pattern.duration_s)
