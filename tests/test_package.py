"""The front door: ``import pipeline``, ``python -m pipeline``."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import pipeline
import pipeline.index
import pipeline.run
from tests.run.small import archive, config

ROOT = Path(__file__).parents[1]


def test_public_names_are_there_and_listed() -> None:
    assert set(pipeline.__all__) <= set(dir(pipeline))
    for name in pipeline.__all__:
        assert callable(getattr(pipeline, name)), name  # no package of the same name hides it


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'serach'"):
        pipeline.serach  # noqa: B018


def test_the_version_is_the_distribution_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == pipeline.__version__
    assert project["scripts"] == {"lookalike": "pipeline.cli:main"}


def test_the_package_can_be_run() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lookalike {pipeline.__version__}\n", "")


def test_from_files_to_hits(tmp_path: Path) -> None:
    data, root = archive(tmp_path / "data", 2), tmp_path / "corpus"
    pipeline.ingest([data], corpus=root, config=config(), serial=True)
    assert pipeline.build_index(root) == ()
    corpus = pipeline.open_corpus(root)
    hits = corpus.search(file=str(data / "scan0.h5"), f_start_mhz=8419.46, f_stop_mhz=8419.4605, k=3)
    assert len(hits) == 3
    power = np.random.default_rng(0).gamma(100, 1 / 100, (5, 16, 256)).astype(np.float32)
    power[:, :, 100] *= 3
    assert len(corpus.search(power=power[0])) > 0
    vectors = pipeline.encode(power, encoder="power-spectrum")
    assert (vectors.dtype, vectors.shape[0]) == (np.float32, 5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
