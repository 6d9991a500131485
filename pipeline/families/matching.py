"""Gives groups that were found again the numbers of the families that they were before. Uses no files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.families.grouping import NONE


def matched(
    groups: NDArray[np.int32], before: NDArray[np.int32], next_number: int
) -> NDArray[np.int32]:
    """Number groups as the families with which they share most windows.

    A family goes to one group, and a group to one family: the pairs that share most windows come first. Other groups
    get new numbers.

    Parameters
    ----------
    groups : (n,) int32
        New group of each window, 1, 2 …; :data:`~pipeline.families.grouping.NONE` for none.
    before : (n,) int32
        Number of the family that it was in before; :data:`~pipeline.families.grouping.NONE` for none.
    next_number : int
        First number that no family has had.

    Returns
    -------
    (n,) int32
        Number of the family of each window.
    """
    count = int(groups.max(initial=NONE)) + 1
    number = np.zeros(count, np.int32)
    is_both = (groups != NONE) & (before != NONE)
    pairs, shared = np.unique(np.stack([groups[is_both], before[is_both]]), axis=1, return_counts=True)
    taken: set[int] = set()
    for at in np.argsort(-shared, kind="stable").tolist():
        one, family = int(pairs[0, at]), int(pairs[1, at])
        if not number[one] and family not in taken:
            number[one] = family
            taken.add(family)
    for one in range(1, count):
        if not number[one]:
            number[one], next_number = next_number, next_number + 1
    number[NONE] = NONE
    return number[groups]
