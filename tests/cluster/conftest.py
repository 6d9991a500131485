"""Certificates, and a small archive with the corpus that one process makes of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.run import ingest
from tests.cluster.places import DEPLOYMENT
from tests.run.small import archive, config


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the certificates that ``make certs`` makes."""
    folder = tmp_path_factory.mktemp("certificates") / "tls"
    subprocess.run([DEPLOYMENT / "make-certs", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("data"), 3)


@pytest.fixture(scope="session")
def reference(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus of the scans of ``data``, made in this process."""
    root = tmp_path_factory.mktemp("reference") / "corpus"
    ingest([data], root, config=config(), serial=True)
    return root
