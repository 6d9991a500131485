import random
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.model import EncoderSpec
from pipeline.store import (
    CorpusStore,
    SourceGroup,
    VectorGroup,
    arrays,
    checked_file,
    commit_source_group,
    commit_vector_group,
)
from pipeline.store.digests import Digests
from tests.store.format_1 import is_format_1, to_format_1


@pytest.fixture(params=[1, 2], ids=["format 1", "format 2"])
def committed(
    request: pytest.FixtureRequest, store: CorpusStore, stage: Callable[..., Any], spec: EncoderSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Commit a source of 130 windows, which take several shards, in either format."""
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 512)
    monkeypatch.setattr(checked_file, "MAX_KEPT_BYTES", 4096)  # less than the size of a table
    monkeypatch.setattr(arrays, "CHUNKS_PER_SHARD", 4)
    staged = stage(50, 0, 80)
    commit_source_group(store.root, staged.staging, staged.source, 3, report=staged.report,
                        fingerprint="f00d", columns={"snr": "best statistic, in sigmas"})
    commit_vector_group(store.root, staged.staging, staged.source.id, 3, spec=spec)
    if request.param == 1:
        to_format_1(store.root, staged.source.id)
    assert is_format_1(store.root, staged.source.id) == (request.param == 1)
    return staged


def test_everything_comes_back_bit_for_bit_in_the_order_of_the_parts(store: CorpusStore, committed: Any):
    group = SourceGroup.open(store.root, committed.source.id)
    assert group.source == committed.source
    assert group.header == committed.source.header
    assert group.report == committed.report
    assert group.fingerprint == "f00d"
    assert group.columns == {"snr": "best statistic, in sigmas"}
    assert group.n_windows == 130
    np.testing.assert_array_equal(group.numbers, committed.windows["number"], strict=True)
    assert set(group.column_names) == set(committed.windows)
    assert set(group.exposure_names) == set(committed.exposure)
    for name, column in committed.windows.items():
        np.testing.assert_array_equal(group.column(name), column, strict=True)
    for name, column in committed.exposure.items():
        np.testing.assert_array_equal(group.exposure(name), column, strict=True)
    group.verify()


def test_cutouts_by_slice_and_by_row(store: CorpusStore, committed: Any):
    group = SourceGroup.open(store.root, committed.source.id)
    cutouts = committed.windows["cutout"]
    np.testing.assert_array_equal(group.cutouts(slice(40, 90)), cutouts[40:90], strict=True)
    np.testing.assert_array_equal(group.cutouts([129, 0, 64]), cutouts[[129, 0, 64]], strict=True)
    assert group.cutouts([]).shape == (0, 4, 8)
    for rows in ([130], [-1], [0, 500]):
        with pytest.raises(IndexError):
            group.cutouts(rows)
    with pytest.raises(KeyError, match="no column 'nope'; there are cutout"):
        group.column("nope")
    with pytest.raises(KeyError, match="no exposure 'nope'; there are coarse"):
        group.exposure("nope")


def test_vectors_come_back_as_float32_of_the_stored_halves(
    store: CorpusStore, committed: Any, spec: EncoderSpec
):
    group = VectorGroup.open(store.root, spec.key, committed.source.id)
    assert (group.spec, group.count, group.dimension, group.source_id) == (spec, 130, 8, committed.source.id)
    np.testing.assert_array_equal(group.vectors(), committed.vectors, strict=True)
    np.testing.assert_array_equal(group.vectors(37, 101), committed.vectors[37:101], strict=True)
    assert group.vectors(130).shape == (0, 8)
    for start, stop in ((0, 131), (-1, 5), (9, 8)):
        with pytest.raises(IndexError):
            group.vectors(start, stop)
    group.verify()


def test_threads_may_share_a_group(store: CorpusStore, committed: Any):
    group = SourceGroup.open(store.root, committed.source.id)
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(10):
            rows = rng.integers(0, 130, 5)
            if not np.array_equal(group.cutouts(rows), committed.windows["cutout"][rows]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def read_all(store: CorpusStore, source_id: str, spec: EncoderSpec) -> None:
    group = SourceGroup.open(store.root, source_id)
    for name in group.column_names:
        group.column(name)
    for name in group.exposure_names:
        group.exposure(name)
    VectorGroup.open(store.root, spec.key, source_id).vectors()


def test_fifty_flipped_bits_in_chunks_are_all_found_on_reading(
    store: CorpusStore, committed: Any, spec: EncoderSpec
):
    read_all(store, committed.source.id, spec)
    files = sorted(path for kind in ("sources", "vectors") for path in (store.root / kind).rglob("*")
                   if path.is_file() and path.suffix != ".json")
    assert len(files) == (10 if is_format_1(store.root, committed.source.id) else 6)
    rng = random.Random(20)
    for _ in range(50):
        path = rng.choice(files)
        content = path.read_bytes()
        altered = bytearray(content)
        altered[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(altered)
        with pytest.raises(CorpusDamaged) as caught:
            read_all(store, committed.source.id, spec)
        folder = next(parent for parent in path.parents if parent.name == committed.source.id)
        array = re.split("/c[/.]", str(path.relative_to(folder)))[0]
        assert re.search(rf"{folder}(: array {array} |.*[/(]{array}[ :])", str(caught.value))
        path.write_bytes(content)
    read_all(store, committed.source.id, spec)


def test_a_chunk_that_is_missing_is_found_on_opening_and_on_reading(
    store: CorpusStore, committed: Any, spec: EncoderSpec
):
    source = SourceGroup.open(store.root, committed.source.id)
    vectors = VectorGroup.open(store.root, spec.key, committed.source.id)
    assert source.cutouts([129]).shape == (1, 4, 8)
    is_old = is_format_1(store.root, committed.source.id)
    shard, of_vectors = ("windows/cutout/c/2/0/0", "vector/c/1/0") if is_old else ("cutout/c.2.0.0", "vector/c.0.0")
    (source.folder / shard).unlink()
    with pytest.raises(CorpusDamaged, match=shard):
        source.cutouts([0])
    with pytest.raises(CorpusDamaged, match=shard):
        SourceGroup.open(store.root, committed.source.id)
    (vectors.folder / of_vectors).unlink()
    with pytest.raises(CorpusDamaged, match=of_vectors):
        vectors.vectors(0, 1)


def test_a_group_that_is_not_there_or_not_whole_is_damage(store: CorpusStore, spec: EncoderSpec):
    with pytest.raises(CorpusDamaged, match="nothing"):
        SourceGroup.open(store.root, "nothing")
    (store.root / "sources" / "half").mkdir()
    with pytest.raises(CorpusDamaged, match=r"half: group\.json"):
        SourceGroup.open(store.root, "half")
    (store.root / "sources" / "half" / "zarr.json").write_text("{}")  # format 1
    with pytest.raises(CorpusDamaged, match=r"half: digests\.json"):
        SourceGroup.open(store.root, "half")


def test_a_group_of_a_newer_format_says_so(store: CorpusStore, committed: Any):
    group = SourceGroup.open(store.root, committed.source.id)
    attributes = {**group.attributes, "format": 3}
    attributes.pop("sha256", None)
    Digests.of(group.folder).write_group(attributes)
    with pytest.raises(CorpusMismatch, match=r"format 3.*update"):
        SourceGroup.open(store.root, committed.source.id)


def test_vectors_of_other_windows_are_refused(
    store: CorpusStore, committed: Any, stage: Callable[..., Any], spec: EncoderSpec, tmp_path: Path
):
    other = stage(50, 0, 80, seed=1)  # the same source, the same number of windows
    folder = store.root / "sources" / committed.source.id
    folder.rename(tmp_path / "away")
    commit_source_group(store.root, other.staging, other.source, 3, report=other.report, fingerprint="f00d")
    with pytest.raises(CorpusMismatch, match="made of other windows"):
        VectorGroup.open(store.root, spec.key, committed.source.id)


def test_the_digest_is_of_the_rows_not_of_the_circumstances(store: CorpusStore, stage: Callable[..., Any]):
    digests = []
    for seed, source_id, fingerprint in ((0, "a", "f1"), (0, "b", "f2"), (1, "c", "f1")):
        staged = stage(5, 6, seed=seed, source_id=source_id)
        digests.append(commit_source_group(store.root, staged.staging, staged.source, 2, report=staged.report,
                                           fingerprint=fingerprint).digest)
    assert digests[0] == digests[1] != digests[2]
