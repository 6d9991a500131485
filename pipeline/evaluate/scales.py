"""Retrieval of patterns of many sizes, through the views of a scan.

Each pattern is a query: the range that it covers, seen through the view that suits its size. It should find the other
patterns of its kind and size, its *kin*. All windows of a pattern count as one hit, as merged hits do in a search. The
best pair of windows counts; how windows are arranged does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics import TOP_COUNT
from pipeline.evaluate.retrieval import Encode
from pipeline.evaluate.skies import KINDS_OF_SIZE, Member, Size, Sky
from pipeline.views import View


@dataclass(frozen=True, slots=True)
class ScaleScores:
    """Scores of the patterns of one kind and size."""

    product: str
    kind: str
    size: Size
    view: str
    """View through which most of them are searched for; empty for the plain one."""
    patterns: int
    kept: float
    """Share of the patterns of which a scan keeps a window in that view."""
    precision_at_5: float
    """Share of kin among the first five hits, or among the first R if the pattern has only R kin."""
    recall: float
    """Share of the R kin among the first 2R hits."""
    kind_at_5: float
    """Share of patterns of the same kind, of any size, among as many hits as for ``precision_at_5``. A pattern that is
    wider or longer than a window is seen in pieces, which look like those of a pattern of another size."""


def evaluate_scales(encode: Encode, sky: Sky) -> list[ScaleScores]:
    """Search for each pattern of a product among all windows that its scans kept in the same view.

    Parameters
    ----------
    encode : callable
        Encoder to measure.
    sky : Sky
        The patterns, and the windows beside them.
    """
    found = np.full((len(sky.members), 3), np.nan)
    for view in {member.view for member in sky.members}:
        for i, scores in _search(encode, sky, view).items():
            found[i] = scores
    groups: dict[tuple[str, Size], list[int]] = {}
    for i, member in enumerate(sky.members):
        groups.setdefault((member.kind, member.size), []).append(i)
    by_kind_and_size = sorted(groups.items(), key=lambda item: (
        KINDS_OF_SIZE.index(item[0][0]), item[0][1].width_hz, item[0][1].duration_s))
    return [_mean(sky, group, found[group]) for _, group in by_kind_and_size]


def _mean(sky: Sky, group: Sequence[int], found: NDArray[np.float64]) -> ScaleScores:
    members = [sky.members[i] for i in group]
    names = [member.view.name for member in members]
    view, kept = max(set(names), key=names.count), np.mean([len(one.kept[one.view]) > 0 for one in members])
    return ScaleScores(sky.product, members[0].kind, members[0].size, view, len(members), float(kept),
                       *found.mean(axis=0).tolist())


def _search(encode: Encode, sky: Sky, view: View) -> dict[int, tuple[float, float, float]]:
    """Return the three scores of each pattern that is searched for through a view, by its index."""
    kept, others = [member.kept[view] for member in sky.members], sky.others[view]
    owner = np.concatenate([np.repeat(np.arange(len(kept)), list(map(len, kept))), -1 - np.arange(len(others))])
    vectors = encode(np.concatenate([*kept, others]))
    items, which = np.unique(owner, return_inverse=True)
    scores = {}
    for i in (i for i, member in enumerate(sky.members) if member.view == view):
        best = np.full(len(items), -np.inf, np.float32)
        np.maximum.at(best, which, (encode(sky.members[i].asks) @ vectors.T).max(axis=0))
        order = items[np.argsort(-best, kind="stable")]
        scores[i] = _score(order[order != i], sky.members, i)
    return scores


def _score(order: NDArray[np.int64], members: Sequence[Member], i: int) -> tuple[float, float, float]:
    """Score hits, nearest first; those at −1 and below are no patterns. NaN if the pattern has no kin."""
    of_kind = [k for k, one in enumerate(members) if k != i and one.kind == members[i].kind]
    kin = [k for k in of_kind if members[k].size == members[i].size]
    if not kin:
        return (float("nan"),) * 3
    top, is_kin = min(TOP_COUNT, len(kin)), np.isin(order, kin)
    return (float(is_kin[:top].sum() / top), float(is_kin[: 2 * len(kin)].sum() / len(kin)),
            float(np.isin(order[:top], of_kind).sum() / top))
