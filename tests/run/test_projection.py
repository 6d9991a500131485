"""Encoders with a projection: fitted once on a sample of the corpus, by ingest or by embed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import encoders, run
from pipeline.config import CONFIG_FILE, Config, EncoderConfig
from pipeline.encoders import load_encoder
from pipeline.errors import CorpusMismatch, EncoderError
from pipeline.run import embed, ingest
from pipeline.search import open_corpus
from pipeline.store import SourceGroup
from pipeline.store.layout import projection_file
from pipeline.tasks import fit as fit_task
from tests.run import fake
from tests.run.small import SCAN, archive, config, noisy_power, write_scan
from tests.run.stored import check_vectors, manifest

pytestmark = pytest.mark.usefixtures("fake_encoders")

KEEP_ALL = replace(SCAN, keep_all=True)
WITH_PROJECTION = replace(config(KEEP_ALL), encoder=EncoderConfig(fake.PROJECTED))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("two"), 2)


def projected(root: Path) -> Any:
    return load_encoder(fake.PROJECTED, projection=projection_file(root, fake.PROJECTED))


@pytest.mark.parametrize("where", ["serial", "cluster"])
def test_an_encoder_with_a_projection_is_fitted_after_the_first_scan_and_never_again(
    data: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    client.run(fake.register)
    told: list[run.Progress] = []
    root = tmp_path / "corpus"
    report = ingest([data], root, client, config=WITH_PROJECTION, serial=where == "serial", progress=told.append)
    assert list(dict.fromkeys(p.stage for p in told)) == ["probe", "scan", "fit", "embed"]
    assert [(r.status, r.windows_seen, r.windows_embedded) for r in report.reports] == [("done", 64, 64)] * 2
    assert report.tasks == 1 + 2 * 2 + 1 + 2 * 2
    path = projection_file(root, fake.PROJECTED)
    frozen = path.read_bytes()
    encoder = projected(root)
    assert report.encoder == encoder.spec.key
    assert check_vectors(root, report.encoder, encoder.encode) == 128
    # what it was fitted on, by hand
    sample = np.concatenate([SourceGroup.open(root, source_id).cutouts() for source_id in manifest(root).sources])
    expected = encoders.fit_projection(fake.Fake(SCAN.grid, name=fake.PROJECTED).encode(sample))
    np.testing.assert_allclose(abs(encoder._projection.axes @ expected.axes.T), np.eye(24), atol=0.01)

    later = ingest([write_scan(tmp_path / "later.h5", 5)], root, serial=True)
    assert (later.encoder, later.tasks) == (report.encoder, 5)
    assert path.read_bytes() == frozen
    check_vectors(root, report.encoder, encoder.encode)
    found = open_corpus(root).search(power=noisy_power(9)[:, 5000:5256], k=3)  # embedded with the projection
    assert len(found) == 3


def test_embed_fits_a_projection_too_and_its_weights_cannot_change(root: Path, tmp_path: Path) -> None:
    report = embed(root, encoder=fake.PROJECTED, serial=True)
    assert {r.status for r in report.reports} == {"done"}
    check_vectors(root, report.encoder, projected(root).encode)
    assert embed(root, encoder=fake.PROJECTED, serial=True).tasks == 0
    (tmp_path / "w").write_bytes(b"other")
    with pytest.raises(CorpusMismatch, match="projection of fake-projected was fitted with fake-projected-v1-"):
        embed(root, encoder=fake.PROJECTED, weights=tmp_path / "w", serial=True)


def test_a_projection_is_fitted_on_a_bounded_sample(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    really = encoders.fit_projection
    monkeypatch.setattr(fit_task, "MAX_FIT_WINDOWS", 32)
    monkeypatch.setattr(encoders, "fit_projection", lambda features: sizes.append(len(features)) or really(features))
    embed(root, encoder=fake.PROJECTED, serial=True)
    assert sizes == [32]


def test_where_there_is_too_little_to_fit_the_windows_stay_and_the_next_ingest_goes_on(tmp_path: Path) -> None:
    root, asked = tmp_path / "corpus", replace(config(), encoder=EncoderConfig(fake.PROJECTED))
    data = archive(tmp_path / "data", 1)
    with pytest.raises(EncoderError, match="a projection needs at least 32 windows, but there are"):
        ingest([data], root, config=asked, serial=True)
    (entry,) = manifest(root).sources.values()
    assert 0 < entry.windows_kept < 32
    assert (dict(entry.vectors), projection_file(root, fake.PROJECTED).exists()) == ({}, False)
    archive(data, 4)
    report = ingest([data], root, serial=True)
    assert sum(bool(r.windows_seen) for r in report.reports) == 3
    assert {r.status for r in report.reports} == {"done"}
    check_vectors(root, report.encoder, projected(root).encode)


def test_a_source_of_no_windows_waits_for_a_projection_without_a_task(tmp_path: Path) -> None:
    elsewhere = replace(SCAN, f_start_mhz=1.0, f_stop_mhz=2.0)
    asked = replace(config(elsewhere), encoder=EncoderConfig(fake.PROJECTED))
    data, root = archive(tmp_path / "data", 1), tmp_path / "corpus"
    assert ingest([data], root, config=asked, serial=True).encoder == ""
    assert ingest([data], root, serial=True).tasks == 0
    assert "fake-projected" in (root / CONFIG_FILE).read_text()
    assert Config.load(root).encoder.name == fake.PROJECTED
