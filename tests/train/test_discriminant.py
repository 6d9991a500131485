from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.train import discriminant
from pipeline.train.batches import NOISE_KIND
from pipeline.train.discriminant import LENGTH, fit_discriminant


@pytest.fixture
def labelled():
    rng = np.random.default_rng(4)
    kinds = np.repeat([NOISE_KIND, 3, 5, 8], 200)
    means = rng.standard_normal((4, 12)) * 3
    within = rng.standard_normal((12, 12))
    return means.repeat(200, axis=0) + rng.standard_normal((800, 12)) @ within, kinds


def test_it_is_fishers_discriminant(labelled, monkeypatch):
    monkeypatch.setattr(discriminant, "SHRINKAGE", 1e-9)
    features, kinds = labelled
    found = fit_discriminant([(features[:300], kinds[:300]), (features[300:], kinds[300:])], 3)
    made = features @ found.kernel + found.bias
    expected = LinearDiscriminantAnalysis(solver="eigen").fit(features, kinds).transform(features)
    for mine, theirs in zip(made.T, expected.T, strict=True):
        assert abs(np.corrcoef(mine, theirs)[0, 1]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(made[kinds == NOISE_KIND].mean(axis=0), 0, atol=1e-9)
    apart = made - np.stack([made[kinds == kind].mean(axis=0) for kind in kinds])
    np.testing.assert_allclose(apart.T @ apart / (800 - 4), np.eye(3) / LENGTH**2, atol=1e-6)


def test_a_feature_that_is_hardly_there_counts_little(labelled):
    features, kinds = labelled
    rare = np.where(kinds == 5, 1e-6, 0.0)[:, None]  # it alone tells one kind from all others
    with_rare = fit_discriminant([(np.hstack([features, rare]), kinds)], 3)
    without = fit_discriminant([(features, kinds)], 3)
    np.testing.assert_allclose(np.abs(with_rare.kernel[:-1]), np.abs(without.kernel), atol=0.02)


def test_more_directions_than_kinds_are_refused(labelled):
    with pytest.raises(ValueError, match="4 kinds have fewer than 4 directions"):
        fit_discriminant([labelled], 4)
