"""A reduced precision makes another encoder, which has its own key, vectors and tolerance on every machine."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import encoders
from pipeline.config import CONFIG_FILE, Config, EncoderConfig
from pipeline.encoders import load_encoder
from pipeline.errors import ConfigError, CorpusMismatch, PrecisionError, QueryError, Reason
from pipeline.integrity import verify
from pipeline.run import embed, ingest
from pipeline.search import open_corpus
from pipeline.store import VectorGroup
from pipeline.store.layout import projection_file, vector_folder
from tests.encoders.precisions import computes_by_keras, computes_in_float32_alone, needs_bfloat16
from tests.run import fake
from tests.run.small import archive, config, noisy_power, write_scan
from tests.run.stored import FAKE, check_vectors, manifest, snapshot

pytestmark = pytest.mark.usefixtures("fake_encoders")

HALF = f"{FAKE}-float16"


def asking(name: str, precision: str) -> Config:
    return replace(config(), encoder=EncoderConfig(name, precision=precision))


def fastest(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Pretend that this machine computes fastest in ``precision``."""
    monkeypatch.setattr(encoders, "fastest_precision", lambda: precision)


def precision_in(root: Path) -> str:
    return str(tomllib.loads((root / CONFIG_FILE).read_text())["encoder"]["precision"])


def largest_difference(root: Path, key: str, other: str) -> float:
    """Return the largest difference between components of two encoders' vectors of the same windows."""
    pairs = [[VectorGroup.open(root, each, source_id).vectors() for each in (key, other)]
             for source_id in manifest(root).sources]
    return max(float(np.abs(one - two).max()) for one, two in pairs)


@pytest.mark.parametrize(("precision", "at_least"), [
    pytest.param("bfloat16", 5e-4, marks=needs_bfloat16),  # more than storing as float16 makes
    ("float16", 1e-4),
])
def test_the_networks_vectors_lie_side_by_side_within_the_tolerance(
    root: Path, precision: str, at_least: float
) -> None:
    """Check with the default encoder."""
    keys = [embed(root, encoder="spectral", precision=p, serial=True).encoder for p in ("float32", precision)]
    full, reduced = (manifest(root).encoders[key] for key in keys)  # type: ignore[index]
    assert reduced == replace(full, precision=precision, tolerance=reduced.tolerance)
    assert keys[1] == f"{keys[0]}-{precision}"
    assert full.tolerance < reduced.tolerance
    check_vectors(root, full.key, load_encoder("spectral").encode, full.tolerance)
    check_vectors(root, reduced.key, load_encoder("spectral", precision=precision).encode, reduced.tolerance)
    assert at_least < largest_difference(root, *keys) < reduced.tolerance
    # reopened: a query is embedded in the precision of what it is compared with
    power = noisy_power(9)[:, 5000:5256]
    found = [open_corpus(root).search(power=power, k=3, encoder=key) for key in keys]
    assert [result.query["encoder"] for result in found] == keys
    assert not any("does not compute" in result.query.get("note", "") for result in found)
    scores = np.array([[hit.score for hit in result] for result in found])
    np.testing.assert_allclose(scores[0], scores[1], atol=0.02)
    assert (scores[0] != scores[1]).any()


@pytest.mark.parametrize("where", ["serial", "cluster"])
def test_auto_is_settled_once_by_the_machine_that_starts_the_run(
    data: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The fastest precision of the workers differs, and is not used."""
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
    message = (rf"its encoder fake computes in bfloat16, this run asks for float16; .*lookalike embed --encoder fake "
               rf"--corpus {root} --precision float16")
    with pytest.raises(CorpusMismatch, match=message):
        ingest([data], root, config=asking("fake", "float16"), serial=True)
    with pytest.raises(ConfigError, match="precision must be one of"):
        embed(root, precision="half", serial=True)
    with pytest.raises(ConfigError, match="power-spectrum computes in float32 only, not in float16"):
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


@pytest.mark.parametrize("corpus", ["new", "held"])
def test_a_run_of_this_machine_refuses_before_it_makes_anything(
    corpus: str, data: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computes_in_float32_alone(monkeypatch)
    before = snapshot(root)
    if corpus == "new":
        with pytest.raises(PrecisionError, match=r"cannot compute in bfloat16 .* Ask for --precision float32"):
            ingest([data], tmp_path / "new", config=asking("spectral", "bfloat16"), serial=True)
        assert not (tmp_path / "new").exists()
    else:
        for more in ({"serial": True}, {}):  # in this process, and by workers on this machine
            with pytest.raises(PrecisionError, match="cannot compute in bfloat16"):
                embed(root, encoder="spectral", precision="bfloat16", **more)  # type: ignore[arg-type]
    assert snapshot(root) == before


def test_auto_is_what_the_machine_computes_in(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computes_in_float32_alone(monkeypatch)
    monkeypatch.setattr("pipeline.encoders.backend.has_bfloat16", lambda: True)  # held down by ONEDNN_MAX_CPU_ISA
    root = tmp_path / "corpus"
    report = ingest([data], root, config=asking("spectral", "auto"), serial=True, dry_run=True)
    assert (report.encoder, {r.status for r in report.reports}) == (load_encoder("spectral").spec.key, {"skipped"})


def refuse_one_part(token: Path) -> None:
    """Let the tasks that embed one part fail, as if their worker did not support the precision.

    It is the part that a worker embeds first. It is refused each time, as Dask may run a task twice.
    """
    really = fake.Fake.encode_all

    def encode_all(self: Any, blocks: Any) -> np.ndarray:
        blocks = list(blocks)
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(block).tobytes() for block in blocks)).hexdigest()
        try:
            with token.open("x") as file:
                file.write(digest)
        except FileExistsError:
            if token.read_text() != digest:
                return really(self, blocks)
        raise PrecisionError("this worker has no bfloat16")

    fake.Fake.encode_all = encode_all  # type: ignore[method-assign]
    fake.Fake.really = really  # type: ignore[attr-defined]


def stop_refusing() -> None:
    fake.Fake.encode_all = fake.Fake.really  # type: ignore[attr-defined,method-assign]


def test_a_worker_without_the_precision_fails_its_task_and_the_others_go_on(
    data: Path, client: Any, tmp_path: Path
) -> None:
    client.run(fake.register)
    client.run(refuse_one_part, tmp_path / "refused")
    root = tmp_path / "corpus"
    asked = replace(asking("fake", "bfloat16"), run=config(retries=0).run)  # else another worker is asked
    try:
        report = ingest([data], root, client, config=asked)
    finally:
        client.run(stop_refusing)
    assert [one.status for one in report.reports].count("done") == 3, report.reports
    (failed,) = (one for one in report.reports if one.status != "done")
    assert (failed.status, failed.reason) == ("failed", Reason.CRASHED)
    assert failed.message == f"{failed.path}: this worker has no bfloat16"
    assert len(report.reports) == 4
    key = f"{FAKE}-bfloat16"
    assert sum(key in entry.vectors for entry in manifest(root).sources.values()) == 3
    # its windows are kept; the next run makes the vectors
    again = ingest([data], root, client)
    assert {one.status for one in again.reports} <= {"done", "skipped"}
    assert all(key in entry.vectors for entry in manifest(root).sources.values())
    assert len(manifest(root).sources) == 4
    check_vectors(root, key, load_encoder("fake", precision="bfloat16").encode)


def test_a_corpus_of_another_machine_is_searched_but_not_added_to(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras makes the vectors in bfloat16, on any processor. Then the machine pretends to support float32 only."""
    power = noisy_power(9)[:, 5000:5256]
    computes_by_keras(monkeypatch)
    key = str(embed(root, encoder="spectral", precision="bfloat16", serial=True).encoder)
    there = open_corpus(root).search(power=power, k=8, encoder=key, exact=True)
    assert "float32" not in there.query.get("note", "")
    tolerance = manifest(root).encoders[key].tolerance

    computes_in_float32_alone(monkeypatch)
    here = open_corpus(root).search(power=power, k=8, encoder=key, exact=True)
    assert here.query["encoder"] == key
    assert ("this machine does not compute in bfloat16: the query's vectors are computed in float32, those of the "
            f"corpus in bfloat16; their components differ by less than {tolerance:g}") in here.query["note"]
    np.testing.assert_allclose([hit.score for hit in here], [hit.score for hit in there], atol=tolerance)
    assert here.hits[0].window == there.hits[0].window
    # a stored window has its vector
    source_id = here.hits[0].source_id
    stored = open_corpus(root).search(window=f"{source_id}/{here.hits[0].window.number}", encoder=key)
    assert "note" not in stored.query

    # vectors that are lost are not made in float32 under the name of bfloat16
    folder = vector_folder(root, key, source_id)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for found in (verify(root, repair=True, serial=True), verify(root)):
        assert {(one.kind, one.id) for one in found.damages} >= {("vectors", f"{key}/{source_id}")}
    assert not any(path.is_file() for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("four"), 4)
