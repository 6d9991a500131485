"""Measure whether windows keep the ids of their families while nights add windows.

    python -m benchmarks.bench_family_ids [--seeds 300 301 302]

For each seed, 3,200 windows of 40 simulated emitters, 800 of other signals and 200 of noise are shuffled. Half of them
are a corpus whose families are found. Then ten nights add a twentieth of all windows each: a tenth of what was there at
first. After each night, families are updated as `lookalike families` does, or all windows are grouped again as
`lookalike families --again` does. Both work on the corpus on disk.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from benchmarks.report import heading, table
from pipeline.encoders import load_encoder
from pipeline.evaluate.sets import LabelledSet, SetSpec, labelled_set
from pipeline.model import CoarseLayout, EncoderSpec
from pipeline.run import find_families
from pipeline.simulate import NOISE
from tests.search.conftest import CONFIG, FINE, Made

SPEC = SetSpec("families", "mixed", (6.0, 60.0), signals=3200, noise=200, unrelated=800)
NIGHTS = 10


def measure(known: LabelledSet, vectors: NDArray[np.float32], seed: int, *, again: bool) -> list[float]:
    """Add night after night.

    Returns
    -------
    list of float
        Smallest share, over the nights, of the members of families that keep their id in one night; share of the first
        members that have their id after all nights; adjusted Rand index at the end, by emitter.
    """
    order = np.random.default_rng(seed).permutation(len(vectors))
    half = len(order) // 2
    parts = [order[:half], *np.array_split(order[half:], NIGHTS)]
    header = replace(FINE, nchans=16 * len(order))
    with tempfile.TemporaryDirectory() as folder:
        made = Made(Path(folder) / "corpus", CONFIG.override({"encoder": {"name": "families"}}))
        spec = EncoderSpec("families", 1, vectors.shape[1], "none")
        families = np.zeros(len(order), np.int64)
        first, kept = families, []
        for night, rows in enumerate(parts):
            name = f"GBT_59000_{night}_NIGHT"
            made.add(name, np.arange(len(rows)), vectors[rows], header=header, spec=spec,
                     coarse=CoarseLayout(header.nchans, "flag"))
            found = find_families(made.root, again=again)
            before, families = families, families.copy()
            for i, some in enumerate(parts[: night + 1]):
                numbers, ids = found.table.sources[f"GBT_59000_{i}_NIGHT"]
                families[some[numbers]] = ids
            if night:
                kept.append(_share(before, families))
            else:
                first = families
        return [min(kept), _share(first, families), adjusted_rand_score(_alone(
            np.unique(known.labels, return_inverse=True)[1], known.labels == NOISE), _alone(families, families == 0))]


def _alone(groups: NDArray[np.int64], is_none: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Make each window that is in no group a group of its own."""
    return np.where(is_none, -1 - np.arange(len(groups)), groups)


def _share(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Return the share of the windows that were in a family and are in the same one."""
    return float((before == after)[before != 0].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[300, 301, 302])
    options = parser.parse_args()
    encoder = load_encoder("spectral")
    heading("Ids of families over ten nights", "numpy", "scipy", "scikit-learn")
    rows = []
    for seed in options.seeds:
        known = labelled_set(SPEC, seed=seed)
        vectors = encoder.encode(known.cutouts)
        for again in (False, True):
            night, all_nights, rand = measure(known, vectors, seed, again=again)
            rows.append((str(seed), "--again" if again else "", f"{100 * night:.2f}", f"{100 * all_nights:.2f}",
                         f"{rand:.3f}"))
    table(("seed", "how", "% that keep their id in the worst night", "% of the first members with their id at the end",
           "adjusted Rand index at the end"), rows)


if __name__ == "__main__":
    main()
