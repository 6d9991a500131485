"""A small corpus to attack, a victim beside it, and every command that writes or reads one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.integrity import verify
from pipeline.nightly import nightly
from pipeline.run import embed, index, ingest, remove
from pipeline.store import CorpusStore
from tests.run.damages import CONFIG, KEY, no_graph
from tests.run.small import archive


@dataclass(frozen=True)
class Attacked:
    """A corpus of one source with its vectors and a segment, and a folder outside it that must not change."""

    root: Path
    data: Path
    victim: Path

    @property
    def source_id(self) -> str:
        return min(path.name for path in (self.root / "sources").resolve().iterdir() if path.name.startswith("GBT_"))

    @property
    def segment_id(self) -> str:
        return min(path.name for path in (self.root / "index").resolve().iterdir() if path.name.startswith(KEY))

    def place(self, text: str) -> Path:
        """Return a folder of the corpus. ID, KEY and SEG in ``text`` stand for source, encoder and segment."""
        for word, name in (("ID", self.source_id), ("KEY", KEY), ("SEG", self.segment_id)):
            text = "/".join(name if part == word else part for part in text.split("/"))
        return self.root / text

    def call(self, command: str) -> tuple[int, str]:
        """Run a command; return its exit code and its errors. An exception of another kind is raised."""
        try:
            return COMMANDS[command](self)
        except PipelineError as error:
            return error.exit_code, str(error)


def snapshot(folder: Path) -> dict[str, Any]:
    """Return the content of everything below a folder. Links are not followed."""
    found: dict[str, Any] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            kind = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(folder))] = kind
    return found


def _verified(attacked: Attacked, **more: Any) -> tuple[int, str]:
    found = verify(attacked.root, serial=True, **more)
    return found.exit_code, "\n".join(f"{one.path}: {one.message}; {one.remedy}" for one in found.damages)


def _night(attacked: Attacked) -> tuple[int, str]:
    report = nightly([attacked.data], attacked.root, config=CONFIG, serial=True)
    failed = [step.message for step in report.steps if step.status == "failed"]
    return report.exit_code, "\n".join(failed)


def _done(_: object) -> tuple[int, str]:
    return 0, ""


COMMANDS: dict[str, Callable[[Attacked], tuple[int, str]]] = {
    "ingest": lambda one: _done(ingest([one.data], one.root, config=CONFIG, serial=True)),
    "index": lambda one: _done(index(one.root, config=CONFIG)),
    "embed": lambda one: _done(embed(one.root, config=CONFIG, serial=True)),
    "verify": _verified,
    "verify --repair": lambda one: _verified(one, repair=True),
    "nightly": _night,
    "remove": lambda one: _done(remove([one.source_id], one.root)),
}
WRITERS = [command for command in COMMANDS if command != "verify"]


def forge(root: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change the current manifest, with valid digests in it, its copy and the pointer; return its path."""
    number = int((root / "CURRENT").read_text().split()[0])
    path = root / "manifest" / f"{number:08d}.json"
    record = json.loads(path.read_bytes())
    del record["sha256"]
    change(record)
    content = json.dumps(record, separators=(",", ":")).encode()
    content = content[:-1] + b',"sha256":"%s"}' % hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content)
    path.with_suffix(".copy").write_bytes(content)
    (root / "CURRENT").write_text(f"{number} {hashlib.sha256(content).hexdigest()}\n")
    return path


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    folder = tmp_path_factory.mktemp("attacked")
    with pytest.MonkeyPatch.context() as patch:
        no_graph(patch)
        ingest([archive(folder / "data", 1)], folder / "corpus", config=CONFIG, serial=True)
        assert len(index(folder / "corpus", config=CONFIG)) == 1
    assert CorpusStore.open(folder / "corpus").manifest().generation > 0
    return Attacked(folder / "corpus", folder / "data", folder / "victim")


@pytest.fixture
def attacked(original: Attacked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attacked:
    no_graph(monkeypatch)
    victim = tmp_path / "victim"
    (victim / "sub").mkdir(parents=True)
    (victim / "precious").write_text("of somebody")
    (victim / "sub" / "c").write_text("named as the store names its own")
    return Attacked(Path(shutil.copytree(original.root, tmp_path / "corpus")), original.data, victim)
