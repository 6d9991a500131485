"""Less than float32 is another encoder: a key, vectors and a tolerance of its own, on whatever machine."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import encoders
from pipeline.config import CONFIG_FILE, Config, EncoderConfig
from pipeline.encoders import load_encoder
from pipeline.errors import ConfigError, CorpusMismatch, QueryError
from pipeline.run import embed, ingest
from pipeline.search import open_corpus
from pipeline.store import VectorGroup
from pipeline.store.layout import projection_file
from tests.run import fake
from tests.run.small import archive, config, noisy_power, write_scan
from tests.run.stored import FAKE, check_vectors, manifest, snapshot

pytestmark = pytest.mark.usefixtures("fake_encoders")

HALF = f"{FAKE}-float16"


def asking(name: str, precision: str) -> Config:
    return replace(config(), encoder=EncoderConfig(name, precision=precision))


def fastest(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Be a machine that computes fastest in ``precision``."""
    monkeypatch.setattr(encoders, "fastest_precision", lambda: precision)


def precision_in(root: Path) -> str:
    return str(tomllib.loads((root / CONFIG_FILE).read_text())["encoder"]["precision"])


def largest_difference(root: Path, key: str, other: str) -> float:
    """Of the components of two encoders' vectors of the same windows."""
    pairs = [[VectorGroup.open(root, each, source_id).vectors() for each in (key, other)]
             for source_id in manifest(root).sources]
    return max(float(np.abs(one - two).max()) for one, two in pairs)


def test_the_networks_vectors_lie_side_by_side_within_the_tolerance(root: Path) -> None:
    """With the default encoder itself."""
    keys = [embed(root, encoder="spectral", precision=p, serial=True).encoder for p in ("float32", "bfloat16")]
    full, reduced = (manifest(root).encoders[key] for key in keys)  # type: ignore[index]
    assert reduced == replace(full, precision="bfloat16", tolerance=reduced.tolerance)
    assert keys[1] == f"{keys[0]}-bfloat16"
    assert full.tolerance < reduced.tolerance
    check_vectors(root, full.key, load_encoder("spectral").encode, full.tolerance)
    check_vectors(root, reduced.key, load_encoder("spectral", precision="bfloat16").encode, reduced.tolerance)
    assert 5e-4 < largest_difference(root, *keys) < reduced.tolerance  # 5e-4: more than storing as float16 makes
    # reopened: a query is embedded in the precision of what it is compared with
    power = noisy_power(9)[:, 5000:5256]
    found = [open_corpus(root).search(power=power, k=3, encoder=key) for key in keys]
    assert [result.query["encoder"] for result in found] == keys
    scores = np.array([[hit.score for hit in result] for result in found])
    np.testing.assert_allclose(scores[0], scores[1], atol=0.02)
    assert (scores[0] != scores[1]).any()


@pytest.mark.parametrize("where", ["serial", "cluster"])
def test_auto_is_settled_once_by_the_machine_that_starts_the_run(
    data: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The workers' own fastest is float32, or what it really is: nobody asks them."""
    client.run(fake.register)
    fastest(monkeypatch, "float16")
    root = tmp_path / "corpus"
    report = ingest([data], root, client, config=asking("fake", "auto"), serial=where == "serial")
    assert (report.encoder, precision_in(root)) == (HALF, "float16")
    assert {spec.precision for spec in manifest(root).encoders.values()} == {"float16"}
    check_vectors(root, HALF, load_encoder("fake", precision="float16").encode)
    # another machine goes on in what is written there
    fastest(monkeypatch, "bfloat16")
    later = ingest([write_scan(tmp_path / "later.h5", 5)], root, client, serial=where == "serial")
    assert later.encoder == HALF
    assert {*manifest(root).encoders} == {HALF}


def test_an_ingest_in_another_precision_is_sent_to_embed(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    assert ingest([data], root, config=asking("fake", "bfloat16"), serial=True).encoder == f"{FAKE}-bfloat16"
    before = snapshot(root)
    message = (rf"its encoder fake computes in bfloat16, this run asks for float16; .*lookalike embed --corpus {root} "
               "--encoder fake --precision float16")
    with pytest.raises(CorpusMismatch, match=message):
        ingest([data], root, config=asking("fake", "float16"), serial=True)
    with pytest.raises(ConfigError, match="precision must be one of"):
        embed(root, precision="half", serial=True)
    with pytest.raises(ConfigError, match="power-spectrum computes in float32 alone, not in float16"):
        embed(root, encoder="power-spectrum", precision="float16", serial=True)
    assert snapshot(root) == before

    assert embed(root, serial=True).tasks == 0, "its own precision unless told"
    assert embed(root, precision="float16", serial=True).encoder == HALF
    with pytest.raises(CorpusMismatch, match=message):  # it stays a guest …
        ingest([data], root, config=asking("fake", "float16"), serial=True)
    (root / CONFIG_FILE).write_text((root / CONFIG_FILE).read_text().replace('"bfloat16"', '"float16"'))
    assert ingest([write_scan(tmp_path / "later.h5", 5)], root, serial=True).encoder == HALF  # … until it is named


def test_searches_compare_the_own_precision_unless_told(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    ingest([data], root, config=asking("fake", "float32"), serial=True)
    embed(root, precision="float16", serial=True)
    embed(root, encoder=fake.PROJECTED, precision="float32", serial=True)
    guest = embed(root, encoder=fake.PROJECTED, precision="float16", serial=True).encoder
    power = noisy_power(9)[:, 5000:5256]

    def compared(encoder: str | None = None) -> str:
        return str(open_corpus(root).search(power=power, encoder=encoder).query["encoder"])

    assert compared() == compared("fake") == open_corpus(root).status().encoder == FAKE
    assert (compared(HALF), compared(guest)) == (HALF, guest)
    with pytest.raises(QueryError, match="several encoders named fake-projected; give the key of one"):
        compared(fake.PROJECTED)
    (root / CONFIG_FILE).write_text((root / CONFIG_FILE).read_text().replace('"float32"', '"float16"'))
    assert compared() == open_corpus(root).status().encoder == HALF


def test_precisions_share_a_projection(root: Path) -> None:
    keys = [embed(root, encoder=fake.PROJECTED, precision=p, serial=True).encoder for p in ("float16", "float32")]
    assert keys[0] == f"{keys[1]}-float16"
    path = projection_file(root, fake.PROJECTED)
    for key, precision in zip(keys, ("float16", "float32"), strict=True):
        check_vectors(root, key, load_encoder(fake.PROJECTED, projection=path, precision=precision).encode)
    assert 0 < largest_difference(root, *keys) < manifest(root).encoders[keys[0]].tolerance


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("four"), 4)
