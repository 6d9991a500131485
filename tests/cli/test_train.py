"""``lookalike train``: a minimal training, and arguments that are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import pipeline.cli.train
from pipeline.train import STEPS
from tests.cli.conftest import Lookalike


def test_weights_are_written_where_they_are_wanted(
    lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uncompiled: None
) -> None:
    monkeypatch.setattr(pipeline.cli.train, "PROGRESS_INTERVAL_S", 0.0)
    out = tmp_path / "mine.npz"
    ran = lookalike("train", "beta-vae", "--steps", "2", "--out", out, "--precision", "float32")
    assert ran.code == 0, ran.err
    assert re.fullmatch(rf"{re.escape(str(out))}: weights of beta-vae, made in \d+ min\n", ran.out)
    assert re.search(r"step 2 of 2, loss [\d.]+, [\d.]+ s per step", ran.err)
    with np.load(out, allow_pickle=False) as weights:
        assert len(weights.files) > 10


def test_what_cannot_be_trained_is_refused(lookalike: Lookalike) -> None:
    ran = lookalike("train", "resnet50")
    assert ran.code == 2
    assert "'resnet50' cannot be trained; these can: spectral, beta-vae" in ran.err
    assert lookalike("train", "beta-vae", "--steps", "0").code == 2


def test_help_names_the_default_steps(lookalike: Lookalike) -> None:
    text = " ".join(lookalike("train", "--help").out.split())
    assert text.count(f"{STEPS['spectral']} for spectral") == text.count(f"{STEPS['beta-vae']} for beta-") == 1
