"""Upgrade: which files are replaced, which stay, and what happens if an upgrade is refused or killed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config
from pipeline.errors import ConfigError, CorpusLocked, CorpusNotFound
from pipeline.integrity import verify
from pipeline.run import upgrade
from pipeline.store import CorpusStore
from tests.fixtures.old_corpus import unpacked
from tests.run.stored import snapshot

DATA = ("sources", "vectors", "index")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A corpus whose ``corpus.toml`` has a table [run] of defaults, and is otherwise in the current format.

    Its groups are in format 1, which no upgrade changes.
    """
    root = unpacked(tmp_path, "graph")
    CorpusStore.open(root).publish(replace)
    return root


def write_otherwise(root: Path) -> None:
    """Write manifest and identity with other white space than this version writes."""
    number = CorpusStore.open(root).manifest().generation
    path = root / "manifest" / f"{number:08d}.json"
    record = json.loads(path.read_text())
    del record["sha256"]
    body = json.dumps(record, indent=2).removesuffix("\n}")
    content = f'{body},"sha256":"{digest(body + "}")}"}}'
    path.write_text(content)
    path.with_suffix(".copy").write_text(content)
    (root / "CURRENT").write_text(f"{number} {digest(content)}\n")
    identity = root / "identity.json"
    identity.write_text(json.dumps(json.loads(identity.read_text())))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def held(root: Path) -> tuple[Any, ...]:
    """Return what readers see of a corpus, except for the number of its generation."""
    manifest = CorpusStore.open(root).manifest()
    return manifest.sources, manifest.files, manifest.segments, manifest.encoders, CorpusStore.open(root).identity


def test_a_table_of_defaults_is_taken_out_and_the_rest_stays_to_the_letter(root: Path) -> None:
    path, config = root / "corpus.toml", Config.load(root)
    path.write_text(path.read_text().replace("\n[nightly]\ntries = 6\n",
                                             "\n# My nights.\n[nightly]  # they are long\ntries = 7\n"))
    before, above, below = path.read_text(), *path.read_text().split("[run]\n")
    done = upgrade(root)
    assert done.changes == ("corpus.toml: the table [run] is taken out; all its values were defaults",)
    after = path.read_text()
    assert after == above.replace("[index], [run] and", "[index] and") + below[below.index("# My nights."):]
    assert after != before
    assert Config.load(root) == config.override({"nightly": {"tries": 7}})
    assert upgrade(root).changes == ()


@pytest.mark.parametrize(("line", "own"), [
    ("workers = 4", "[run] workers = 4: "), ('cluster = "ssh"', '[run] cluster = "ssh": '),
    ("in_flihgt = 3", "[run]: unknown key 'in_flihgt'"),
])
def test_values_of_the_user_s_own_stop_it_before_anything_is_written(
    root: Path, line: str, own: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    path = root / "corpus.toml"
    key = line.split(" = ")[0]
    lines = [one for one in path.read_text().splitlines() if not one.startswith(f"{key} =")]
    path.write_text("\n".join(lines).replace("\n[run]\n", f"\n[run]\n{line}\n"))
    write_otherwise(root)
    before = snapshot(root)
    with pytest.raises(ConfigError) as caught:
        upgrade(root)
    assert f"{path} {own}" in str(caught.value).replace(f"{path}: ", f"{path} ")
    if "unknown" not in own:
        assert str(tmp_path / "settings/lookalike/config.toml") in str(caught.value)
        assert "Delete the line" in str(caught.value)
    assert snapshot(root) == before


def test_a_table_that_is_written_unusually_is_left_to_the_user(root: Path) -> None:
    path = root / "corpus.toml"
    above, below = path.read_text().split("[run]\n")
    path.write_text("run = { workers = 0 }\n" + above + below[below.index("[nightly]"):])
    before = path.read_text()
    with pytest.raises(ConfigError, match=r"corpus\.toml: \[run\] can only be taken out by hand"):
        upgrade(root)
    assert path.read_text() == before
    path.write_text("[run\n")
    with pytest.raises(ConfigError, match=r"corpus\.toml: not valid TOML"):
        upgrade(root)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"corpus\.toml: not valid TOML"):
        upgrade(root)


def test_manifest_and_identity_in_another_form_are_written_in_the_current_one(root: Path) -> None:
    upgrade(root)
    before, generation = held(root), CorpusStore.open(root).manifest().generation
    write_otherwise(root)
    data = {path: facts for path, facts in snapshot(root).items() if path.relative_to(root).parts[0] in DATA}
    done = upgrade(root)
    assert [change.partition(":")[0] for change in done.changes] == ["identity.json", "CURRENT"]
    assert held(root) == before
    assert CorpusStore.open(root).manifest().generation == generation + 1
    assert data.items() <= snapshot(root).items()
    assert data
    assert upgrade(root).changes == ()
    assert verify(root).damages == ()


def test_a_dry_run_says_the_same_and_writes_nothing(root: Path) -> None:
    write_otherwise(root)
    before = snapshot(root)
    told = upgrade(root, dry_run=True)
    assert told.dry_run
    assert snapshot(root) == before
    done = upgrade(root)
    assert done.changes == told.changes
    assert len(done.changes) == 3


def test_killed_at_any_write_it_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = unpacked(tmp_path / "whole", "graph")
    write_otherwise(root)
    upgrade(root)
    expected, config = held(root), (root / "corpus.toml").read_bytes()
    replace, kills = os.replace, 0
    while True:
        root, left = unpacked(tmp_path / str(kills), "graph"), kills
        write_otherwise(root)

        def dying(source: Any, target: Any) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr("os.replace", dying)
            try:
                upgrade(root)
                break
            except KeyboardInterrupt:
                assert held(root) == expected  # readers never see half of it
        kills += 1
        upgrade(root)
        assert held(root) == expected
        assert (root / "corpus.toml").read_bytes() == config
        assert upgrade(root).changes == ()
    assert kills == 5  # corpus.toml, identity, manifest, its copy, pointer


def test_it_takes_the_lock(root: Path) -> None:
    with CorpusStore.open(root).lock():
        before = snapshot(root)
        with pytest.raises(CorpusLocked):
            upgrade(root)
        assert snapshot(root) == before
    assert upgrade(root).changes


def test_a_corpus_without_its_settings_is_upgraded_all_the_same(root: Path, tmp_path: Path) -> None:
    (root / "corpus.toml").unlink()
    assert upgrade(root).changes == ()
    assert not (root / "corpus.toml").exists()
    with pytest.raises(CorpusNotFound):
        upgrade(tmp_path / "nowhere")
