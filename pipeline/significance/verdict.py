"""What the figures of all hits say together, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.support.text import short_chance

MAX_CONVINCING_Q, MAX_CONVINCING_EXPECTED = 0.08, 0.35
"""A hit is convincing if both its false discovery rate and its expected number are at most these. They were chosen by
simulated corpora (docs/decisions.md)."""
MAX_PLAUSIBLE_EXPECTED = 1.0
"""A hit that is not convincing is plausible if its expected number is at most this."""


def false_shares(expected: Sequence[float]) -> list[float]:
    """Return the false discovery rate q of each hit, by the rule of Benjamini and Hochberg.

    Of the hits that are at least as good as a hit, at most this share is there by chance. Hits that are not listed
    could only lower it.

    Parameters
    ----------
    expected : sequence of float
        Expected number of each hit, in any order.
    """
    order = sorted(range(len(expected)), key=lambda i: expected[i])
    shares, least = [1.0] * len(expected), 1.0
    for rank in range(len(order), 0, -1):
        least = min(least, expected[order[rank - 1]] / rank)
        shares[order[rank - 1]] = least
    return shares


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many hits are more than chance."""

    convincing: int
    plausible: int
    expected: float
    """Number of unrelated windows that score as well as the last convincing or plausible hit; that of the best hit if
    there is none."""

    def __str__(self) -> str:
        if self.convincing or self.plausible:
            return (f"{self.convincing} convincing, {self.plausible} plausible; expected by chance "
                    f"{short_chance(self.expected)}")
        return f"nothing convincing: the best hit is as good as chance gives in {_searches(self.expected)}"

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, and the words."""
        return {"words": str(self), "convincing": self.convincing, "plausible": self.plausible,
                "expected": self.expected}


def are_convincing(expected: Sequence[float]) -> list[bool]:
    """Tell which hits of a search are convincing, by their expected numbers."""
    return [one <= MAX_CONVINCING_EXPECTED and share <= MAX_CONVINCING_Q
            for one, share in zip(expected, false_shares(expected), strict=True)]


def verdict_on(expected: Sequence[float]) -> Verdict:
    """Judge the hits of a search by their expected numbers, of which there is at least one."""
    convincing = are_convincing(expected)
    good = [one for one, is_convincing in zip(expected, convincing, strict=True)
            if is_convincing or one <= MAX_PLAUSIBLE_EXPECTED]
    return Verdict(sum(convincing), len(good) - sum(convincing), max(good) if good else min(expected))


def _searches(expected: float) -> str:
    """Return in how many searches chance gives at least one such hit, such as ``1 of 3 searches``."""
    share = -math.expm1(-expected)
    if share > 0.9:
        return "nearly every search"
    return f"1 of {round(1 / share)} searches" if share <= 0.5 else f"{round(10 * share)} of 10 searches"
