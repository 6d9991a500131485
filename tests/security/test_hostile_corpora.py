"""Corpora whose digests fit and whose content makes no sense: every command refuses them with a message, soon and in
little memory, and changes nothing outside.

A case is replayed with its number: ``python -m tests.security.hostile FOLDER 17 18``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.errors import CorpusDamaged
from pipeline.search import open_corpus
from tests.cluster.soak import IS_SOAK, note
from tests.run.workers import environment
from tests.security.attacked import COMMANDS, Attacked, attacked, forge, original, snapshot
from tests.security.forgeries import (
    DEEP,
    SPARSE_BYTES,
    mend_group,
    mend_manifest,
    mend_segment,
    mend_vectors,
    seal,
    write_json,
)
from tests.store.format_1 import to_format_1

__all__ = ["attacked", "original"]

CASES = 2000 if IS_SOAK else 40
SHARD = 100
REFUSED_AT_LEAST = 0.3
"""Share of forged corpora that a command refuses as damaged. The others have changes that the command does not read."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, CASES, SHARD))
def test_forged_corpora_are_refused_in_words(tmp_path: Path, first: int) -> None:
    stop = min(first + SHARD, CASES)
    command = [sys.executable, "-m", "tests.security.hostile", str(tmp_path), str(first), str(stop)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["seed"] for report in reports] == list(range(first, stop)), done.stderr[-2000:]
    wrong = [report for report in reports if report["fault"]]
    assert not wrong, f"{len(wrong)} of {len(reports)}: {json.dumps(wrong[:10], indent=1)}"
    codes = Counter(report["code"] for report in reports)
    assert codes[CorpusDamaged.exit_code] >= REFUSED_AT_LEAST * len(reports), codes
    note(f"forged corpora {first}–{stop - 1} (exit codes {dict(sorted(codes.items()))})", len(reports))


PLACES = ["CURRENT", "identity.json", "manifest", "sources/ID/group.json", "sources/ID/windows.npy",
          "sources/ID/cutout/c.0.0.0", "vectors/KEY/ID/vector/zarr.json", "vectors/KEY/ID/vector/c.0.0",
          "index/SEG/segment.json", "index/SEG/vectors.npy"]
PLACES_IN_FORMAT_1 = ["sources/ID/digests.json", "sources/ID/zarr.json", "sources/ID/windows/number/c/0",
                      "sources/ID/windows/spread/zarr.json",
                      "vectors/KEY/ID/vector/zarr.json"]


def _sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, SPARSE_BYTES)


UNLIKE_FILES: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo, "folder": Path.mkdir, "device": lambda path: path.symlink_to("/dev/zero"), "sparse": _sparse}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", UNLIKE_FILES)
@pytest.mark.parametrize("place", [*PLACES, *PLACES_IN_FORMAT_1])
def test_what_is_no_file_is_refused_by_readers(attacked: Attacked, place: str, kind: str) -> None:
    if place in PLACES_IN_FORMAT_1:
        to_format_1(attacked.root, attacked.source_id)
    number = int((attacked.root / "CURRENT").read_text().split()[0])
    path = attacked.place(place if place != "manifest" else f"manifest/{number:08d}.json")
    path.unlink()
    UNLIKE_FILES[kind](path)
    for folder in (attacked.place("sources/ID"), attacked.place("vectors/KEY/ID")):
        if folder in path.parents:
            mend_group(folder)
    if "index" in path.parts and path.suffix == ".npy":
        mend_segment(path.parent)
    with pytest.raises(CorpusDamaged) as caught:
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5", k=3)
    assert str(attacked.root) in str(caught.value)
    assert path.name in str(caught.value)
    code, said = attacked.call("verify")
    assert code == 5
    assert str(path) in said or str(path.parent) in said


def test_a_configuration_that_is_a_pipe_is_refused(attacked: Attacked) -> None:
    path = attacked.root / "corpus.toml"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Exception, match=r"corpus\.toml: cannot be read \(is a pipe, not a file\)"):
        open_corpus(attacked.root)
    assert attacked.call("verify")[0] == 5
    assert attacked.call("verify --repair") == (0, "")
    assert path.is_file()


def _of_source(record: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = next(iter(record["sources"].values()))
    return entry


SENSELESS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "deep": lambda record: record.update(files=DEEP),
    "no coarse width": lambda record: _of_source(record)["coarse"].update(width=0),
    "many coarse channels": lambda record: _of_source(record).update(
        coarse={"width": 1, "origin": "flag", "offset": 0}, header={**_of_source(record)["header"], "nchans": 2**39}),
    "no axis": lambda record: _of_source(record)["header"].update(foff_mhz=0.0),
    "a far axis": lambda record: _of_source(record)["header"].update(fch1_mhz=1e308, foff_mhz=1e308),
    "many windows": lambda record: _of_source(record).update(windows_kept=10**13),
    "many vectors": lambda record: _of_source(record)["vectors"].update({key: 10**13 for key in record["encoders"]}),
    "a long vector": lambda record: next(iter(record["encoders"].values())).update(dimension=10**12),
    "a class": lambda record: _of_source(record).update(resolution="0Hz-0s"),
    "a path": lambda record: _of_source(record).update(path="a\0b"),
    "a time": lambda record: next(iter(record["files"].values())).update(tried_s=1e300),
    "no encoder": lambda record: record.update(encoders={}),
    "a segment of others": lambda record: record["segments"][0].update(source_ids=["nobody"]),
    "a segment of more": lambda record: record["segments"][0].update(count=65),
    "dead of nobody": lambda record: record["segments"][0].update(dead={"nobody": 1}),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_a_manifest_without_sense_is_damage_to_every_command(attacked: Attacked, name: str) -> None:
    path = forge(attacked.root, lambda record: None)
    record = json.loads(path.read_bytes())
    SENSELESS[name](record)
    mend_manifest(attacked.root, record)
    victim = snapshot(attacked.victim)
    for command in COMMANDS:
        if command != "verify --repair":
            code, said = attacked.call(command)
            assert (code, str(path) in said) == (5, True), (command, code, said)
    with pytest.raises(CorpusDamaged, match="is no manifest"):
        open_corpus(attacked.root)
    with pytest.raises(SystemExit) as ended:
        main(["status", "--corpus", str(attacked.root)])
    assert ended.value.code == 5
    assert snapshot(attacked.victim) == victim


ARRAYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "more rows": lambda record: record.update(shape=[10**15, *record["shape"][1:]]),
    "fewer rows": lambda record: record.update(shape=[1, *record["shape"][1:]]),
    "negative": lambda record: record.update(shape=[-1, *record["shape"][1:]]),
    "no axis": lambda record: record.update(shape=[]),
    "type": lambda record: record.update(data_type="complex128"),
    "deep": lambda record: record.update(codecs=DEEP),
    "other codec": lambda record: record.update(codecs=[{"name": "bytes"}]),
    "large chunk": lambda record: [
        record["chunk_grid"]["configuration"].update(chunk_shape=[2**30, *record["shape"][1:]]),
        record["codecs"][0]["configuration"].update(chunk_shape=[2**30, *record["shape"][1:]])],
    "no array": lambda record: record.update(node_type="group"),
}


@pytest.mark.parametrize("array", ["sources/ID/windows/snr", "sources/ID/windows/number", "vectors/KEY/ID/vector"])
@pytest.mark.parametrize("change", ARRAYS)
def test_an_array_whose_description_makes_no_sense_is_damage(attacked: Attacked, array: str, change: str) -> None:
    to_format_1(attacked.root, attacked.source_id)
    path = attacked.place(array) / "zarr.json"
    record = json.loads(path.read_bytes())
    ARRAYS[change](record)
    write_json(path, record)
    _mend(attacked)
    with pytest.raises(CorpusDamaged, match=r"zarr\.json: fits no array|zarr\.json is not that of a group|1 vectors"):
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5", k=3)


@pytest.mark.parametrize("change", ARRAYS)
def test_cutouts_whose_description_makes_no_sense_are_damage(attacked: Attacked, change: str) -> None:
    path = attacked.place("sources/ID/cutout/zarr.json")
    record = json.loads(path.read_bytes())
    ARRAYS[change](record)
    write_json(path, record)
    _mend(attacked)
    with pytest.raises(CorpusDamaged, match=r"cutout/zarr\.json: fits no array"):
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5", k=3, rerank=True)
    code, said = attacked.call("verify")
    assert (code, "cutout/zarr.json: fits no array" in said) == (5, True)


def _without_numbers(array: Any) -> Any:
    return array[[name for name in array.dtype.names if name != "number"]]


TABLES: dict[str, Callable[[Any], Any]] = {
    "fewer rows": lambda array: array[:1],
    "more rows": lambda array: np.concatenate([array, array]),
    "no column": lambda array: _without_numbers(array) if array.dtype.names else array[:, :1],
    "no table": lambda array: np.zeros(len(array)),
    "type": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "axes": lambda array: array.reshape(2, -1),
}
HEADERS = {
    "many rows": b"{'descr': '<f2', 'fortran_order': False, 'shape': (1099511627776, 128), }",
    "negative": b"{'descr': '<f2', 'fortran_order': False, 'shape': (-64, -128), }",
    "objects": b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    "nested": b"{'descr': [('number', [('a', '<i8')])], 'fortran_order': False, 'shape': (64,), }",
    "nothing": b"{'descr': '|V0', 'fortran_order': False, 'shape': (64,), }",
    "deep": b"(" * 5000,
}


@pytest.mark.parametrize("change", [*TABLES, *HEADERS])
def test_a_table_that_makes_no_sense_is_damage(attacked: Attacked, change: str) -> None:
    path = attacked.place("sources/ID/windows.npy")
    array = np.load(path)
    if change in HEADERS:
        header = HEADERS[change]
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + array.tobytes())
    else:
        np.save(path, TABLES[change](array))
    _mend(attacked)
    with pytest.raises(CorpusDamaged, match=r"npy: fits no array|its report says 64|vectors for 64 windows"):
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5", k=3)
    assert attacked.call("verify")[0] == 5


DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "more rows": {"shape": [65, 128]},
    "many rows": {"shape": [2**31 - 1, 128], "chunk_grid": {"name": "regular", "configuration": {
        "chunk_shape": [1, 128]}}},
    "shorter vectors": {"shape": [128, 64], "chunk_grid": {"name": "regular", "configuration": {
        "chunk_shape": [128, 64]}}},
    "no rows in a chunk": {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 128]}}},
    "a large chunk": {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**30, 128]}}},
    "type": {"data_type": "float32"},
    "order of bytes": {"codecs": [{"name": "bytes", "configuration": {"endian": "big"}}]},
    "compressed": {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}},
                              {"name": "zstd", "configuration": {"level": 3, "checksum": False}}]},
    "transformed": {"storage_transformers": [{"name": "mystery"}]},
}


@pytest.mark.parametrize("change", DESCRIPTIONS)
def test_vectors_whose_description_makes_no_sense_are_damage(attacked: Attacked, change: str) -> None:
    path = attacked.place("vectors/KEY/ID/vector/zarr.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **DESCRIPTIONS[change]}))
    _mend(attacked)
    with pytest.raises(CorpusDamaged, match=r"vector/zarr\.json: fits no array|vectors for 64 windows"):
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5", k=3)
    assert attacked.call("verify")[0] == 5


@pytest.mark.parametrize("place", ["sources/ID/windows/snr/c/0", "sources/ID/cutout/c.0.0.0",
                                   "vectors/KEY/ID/vector/c.0.0"])
def test_a_chunk_that_the_digests_no_longer_name_is_missed(attacked: Attacked, place: str) -> None:
    if "windows/" in place:
        to_format_1(attacked.root, attacked.source_id)
    attacked.place(place).unlink()
    _mend(attacked)
    with pytest.raises(CorpusDamaged, match="needs 1 files of data, there are 0"):
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5", k=3, rerank=True)


def test_a_table_that_the_digests_no_longer_name_is_missed(attacked: Attacked) -> None:
    attacked.place("sources/ID/windows.npy").unlink()
    _mend(attacked)
    code, said = attacked.call("verify")
    assert (code, "there is no windows.npy" in said) == (5, True)


def _mend(attacked: Attacked) -> None:
    mend_group(attacked.place("sources/ID"))
    mend_group(attacked.place("vectors/KEY/ID"))
    mend_vectors(attacked.root, attacked.source_id)


def test_a_segment_that_the_manifest_does_not_know_like_this_is_refused(attacked: Attacked) -> None:
    path = attacked.place("index/SEG/segment.json")
    mend_segment(path.parent, {**json.loads(path.read_bytes()), "source_ids": ["GBT_1_2_other_0123456789"]})
    with pytest.raises(CorpusDamaged, match="or other sources; the manifest says 64 of"):
        open_corpus(attacked.root).search(window=f"{attacked.source_id}/5", k=3)


def test_verify_compares_a_segment_with_the_stored_vectors(attacked: Attacked) -> None:
    path = attacked.place("index/SEG/row_number.npy")
    np.save(path, np.load(path)[::-1])
    mend_segment(path.parent)
    code, said = attacked.call("verify")
    assert code == 5
    assert "is not the vector of window" in said
    assert attacked.call("verify --repair") == (0, "")
    assert attacked.call("verify") == (0, "")


@pytest.mark.parametrize(("count", "what"), [
    ("windows_seen", "windows searched"), ("windows_masked", "windows masked")])
def test_a_report_that_counts_other_windows_than_the_exposure_is_damage(
    attacked: Attacked, count: str, what: str
) -> None:
    folder = attacked.place("sources/ID")
    record = json.loads((folder / "group.json").read_bytes())
    true = record["report"][count]
    record["report"][count] = true + 1
    (folder / "group.json").write_bytes(seal(record))
    forge(attacked.root, lambda manifest: _of_source(manifest).update(windows_seen=true + 1)
          if count == "windows_seen" else None)
    code, said = attacked.call("verify")
    assert code == 5
    assert f"{folder}: its report counts {true + 1} {what}, its exposure {true}" in said


def test_a_manifest_that_counts_other_windows_than_the_report_is_damage(attacked: Attacked) -> None:
    forge(attacked.root, lambda manifest: _of_source(manifest).update(windows_seen=10**12))
    code, said = attacked.call("verify")
    assert code == 5
    assert "its report counts 64 windows searched, the manifest says 1000000000000" in said
