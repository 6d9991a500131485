import json
from pathlib import Path

import pytest

from pipeline.errors import CorpusDamaged, CorpusMismatch, CorpusNotFound
from pipeline.store.identity import compare_identity, read_identity, write_identity


def test_what_is_written_is_read(tmp_path: Path):
    identity = {"scan": {"false_alarm": 0.001, "f_start_mhz": None}, "cutout_version": 1}
    write_identity(tmp_path, identity)
    assert read_identity(tmp_path) == identity
    assert json.loads((tmp_path / "identity.json").read_text())["format"] == 2


def test_an_altered_value_is_damage_and_a_format_that_was_never_released_is_refused(tmp_path: Path):
    path = tmp_path / "identity.json"
    write_identity(tmp_path, {"scan": {"window": 256}})
    path.write_text(path.read_text().replace("256", "257", 1))
    with pytest.raises(CorpusDamaged, match=r"identity\.json: does not match its digest; mend it with"):
        read_identity(tmp_path)
    path.write_text('{"format": 1, "scan": {"window": 256}}')
    with pytest.raises(CorpusMismatch, match="corpus of format 1, this program reads 2; ingest the files into a new"):
        read_identity(tmp_path)


def test_every_differing_key_is_listed_with_both_values(tmp_path: Path):
    stored = {"scan": {"window": 256, "step": 256, "old": 1}, "encoder": "a"}
    asked = {"scan": {"window": 128, "step": 256}, "encoder": "a", "new": [1.5]}
    with pytest.raises(CorpusMismatch) as caught:
        compare_identity(tmp_path, stored, asked)
    begin, *differences, advice = str(caught.value).split("; ")
    assert [begin, *differences] == [
        f"{tmp_path}: this corpus has other settings: new: corpus has null, this run asks [1.5]",
        "scan.old: corpus has 1, this run asks null",
        "scan.window: corpus has 256, this run asks 128",
    ]
    assert "name another folder" in advice


def test_what_json_makes_equal_is_equal(tmp_path: Path):
    compare_identity(tmp_path, {"band": [1.0, 2.0]}, {"band": (1.0, 2.0)})


def test_no_folder_no_file_and_a_file_in_its_place_are_no_corpus(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(CorpusNotFound, match="lookalike ingest"):
            read_identity(root)


def test_a_newer_format_is_a_mismatch_and_rubbish_is_damage(tmp_path: Path):
    path = tmp_path / "identity.json"
    path.write_text('{"format": 3, "scan": {}, "sha256": ""}')
    with pytest.raises(CorpusMismatch, match=r"format 3.*update"):
        read_identity(tmp_path)
    for rubbish in ("", "[1]", "{}", '"text"', "\x00"):
        path.write_text(rubbish)
        with pytest.raises(CorpusDamaged, match=r"identity\.json"):
            read_identity(tmp_path)


def test_the_format_is_not_the_caller_s(tmp_path: Path):
    with pytest.raises(ValueError, match="format"):
        write_identity(tmp_path, {"format": 1})
