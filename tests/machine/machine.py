"""A state machine: a corpus holds what it must hold, whatever is done to it, in any order, and however runs end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.catalogue import Manifest
from pipeline.errors import CorpusError
from pipeline.integrity import verify
from pipeline.nightly.reported import read_reported
from pipeline.search import Corpus, OpenCorpus
from pipeline.store import CURRENT, IDENTITY
from tests.cluster.deaths import Server
from tests.machine.checks import (
    Reader,
    check_contents,
    check_foreign,
    check_search,
    check_status,
    check_tidy,
    check_verified,
    files_to_damage,
    states_of,
)
from tests.machine.draws import FOREIGN, JUMPS_S, MAX_READERS, MEMORY, NAMED_BY_CHANCE, moment, pick, share
from tests.machine.model import DAY_S, SLACK_S, Model
from tests.machine.scans import FILES, Pool
from tests.machine.works import CHANGES, LIMITS, Place, perform
from tests.run.damages import DAMAGES, flip


class Machine(RuleBasedStateMachine):
    """Does to a corpus what users, other programs and accidents do, and keeps a model beside it."""

    pool: ClassVar[Pool]
    server: ClassVar[Server]
    tally: ClassVar[Counter[str]] = Counter()
    """KILL or POWER → number of runs that were ended in this way, in all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Place(Path(tempfile.mkdtemp(prefix="lookalike-", dir=MEMORY)))
        self.place.data.mkdir()
        self.model = Model()
        self.foreign: dict[Path, bytes] = {}
        self.readers: list[Reader] = []
        self.count = 0
        self.checked = ""
        """Pointer to the generation that was checked last."""
        self.is_sound = True

    @property
    def root(self) -> Path:
        return self.place.root

    def teardown(self) -> None:
        """Complete what was begun: the corpus is then that of an undisturbed run."""
        try:
            if self.is_sound and self.model.files:
                self._do("ingest")
                check_contents(self.root, self.model.held, self.pool)
        finally:
            shutil.rmtree(self.place.folder)

    def _do(self, work: str, scans: tuple[int, ...] = (), **details: Any) -> Any:
        """Do a run, and compare the corpus with the model."""
        after = self._begin(work, scans)
        result = perform(work, self.place, self.model.ahead_s, **details)
        self.model.settle(states_of(self.root, self.pool), after, work, is_complete=True)
        if work != "upgrade":
            check_tidy(self.root, self.foreign, segments=work == "index")
        self._check()
        return result

    def _begin(self, work: str, scans: tuple[int, ...]) -> Any:
        self.is_sound = False
        self.count += 1
        for reader in self.readers:
            reader.may_be_outlived |= self.model.ahead_s - reader.lowest_s >= DAY_S - SLACK_S
        self.model.begin(work, scans)
        self.model.exists = True
        return self.model.after(work, scans)

    def _check(self, *, thoroughly: bool = False) -> None:
        """Check what must hold after any run, killed or not.

        Nothing is read again if the last run published nothing. Unless ``thoroughly`` is True, ``verify`` runs
        every third time.
        """
        generation = (self.root / CURRENT).read_text()
        if thoroughly or generation != self.checked:
            corpus = Corpus(OpenCorpus(self.root))
            check_status(corpus, self.model.held, self.pool)
            check_search(corpus, self.model.held, self.pool, self.model.paths, self.count)
            if thoroughly or self.count % 3 == 0:
                check_verified(self.root, self.foreign)
        self.checked = generation
        self.is_sound = True

    def _names(self, scans: tuple[int, ...]) -> dict[str, Any]:
        return {"names": [self.pool.scans[number].source_id for number in scans]} if scans else {}

    @precondition(lambda self: self.model.files)
    @rule()
    def ingest(self) -> None:
        report = self._do("ingest")
        assert not report.by_status("failed")

    @precondition(lambda self: self.model.exists)
    @rule()
    def embed(self) -> None:
        self._do("embed")

    @precondition(lambda self: self.model.exists)
    @rule(limits=st.sampled_from(LIMITS))
    def index(self, limits: Mapping[str, Any]) -> None:
        self._do("index", **limits)
        if limits["exact_below"] == 1:
            status = Corpus(OpenCorpus(self.root)).status()
            assert not any(one.vectors_unindexed for one in status.index.values())

    @precondition(lambda self: self.model.held)
    @rule(which=pick)
    def remove(self, which: int) -> None:
        scans = self._chosen("remove", which)
        self._do("remove", scans, **self._names(scans))

    @precondition(lambda self: self.model.removed)
    @rule(which=pick)
    def undo(self, which: int) -> None:
        scans = self._chosen("undo", which)
        (removal,) = self._do("undo", scans, **self._names(scans))
        assert removal.is_held == (scans[0] in self.model.held)

    def _chosen(self, work: str, which: int) -> tuple[int, ...]:
        """Return the scan that a run takes as its argument; empty if it takes none."""
        scans = sorted({"remove": self.model.held, "undo": self.model.removed}.get(work, ()))
        return (scans[which % len(scans)],) if scans else ()

    @precondition(lambda self: self.model.files)
    @rule()
    def nightly(self) -> None:
        past = self._reported()
        past = set(self.model.held) if past is None else past
        report = self._do("nightly")
        assert {self.pool.number_of[one] for one in report.new_sources} == self.model.held.keys() - past
        assert self._reported() >= self.model.held.keys(), "the next night does not report these again"

    def _reported(self) -> set[int] | None:
        """Return the scans that have been in a report of a night; None before the first."""
        noted = read_reported(self.place.reports, Manifest())
        return None if noted is None else {self.pool.number_of[one] for one in noted.sources}

    @precondition(lambda self: self.model.exists)
    @rule(work=st.sampled_from(["repair", "upgrade"]))
    def mend_nothing(self, work: str) -> None:
        result = self._do(work)
        assert work == "upgrade" or result.damages == ()

    @precondition(lambda self: self.model.exists or self.model.files)
    @rule(kind=pick, at=moment, which=pick, limits=st.sampled_from(LIMITS))
    def killed(self, kind: int, at: float, which: int, limits: Mapping[str, Any]) -> None:
        self._end_early("KILL", kind, at, 1.0, which, limits)

    @precondition(lambda self: self.model.exists or self.model.files)
    @rule(kind=pick, at=moment, persist=share, which=pick, limits=st.sampled_from(LIMITS))
    def power_fails(self, kind: int, at: float, persist: float, which: int, limits: Mapping[str, Any]) -> None:
        self._end_early("POWER", kind, at, persist, which, limits)

    def _end_early(
        self, effect: str, kind: int, at: float, persist: float, which: int, limits: Mapping[str, Any]
    ) -> None:
        """End a run at one of its changes of the disk. A power cut may also come right after the last change."""
        works = self._possible()
        work = works[kind % len(works)]
        scans = self._chosen(work, which)
        existed = self.model.exists
        after = self._begin(work, scans)
        details = limits if work == "index" else self._names(scans)
        ended = self._killed(work, at, effect, persist, details)
        is_complete = ended["status"] == 0
        assert is_complete or (ended["status"], ended["error"]) == (-9, ""), ended
        if not existed and not is_complete and not (self.root / IDENTITY).exists():
            self.model.exists = False
            self.is_sound = True
            return
        self.model.settle(states_of(self.root, self.pool), after, work, is_complete=is_complete)
        self._check(thoroughly=True)

    def _possible(self) -> list[str]:
        """List the works that can be done now."""
        work = ["ingest", "nightly"] if self.model.files else []
        work += ["embed", "index", "repair"] if self.model.exists else []
        return [*work, *(["remove"] if self.model.held else []), *(["undo"] if self.model.removed else [])]

    def _killed(self, work: str, at: float, effect: str, persist: float, details: Mapping[str, Any]) -> dict[str, Any]:
        when = round(CHANGES[work] ** at)  # the first 10 changes are as likely as the next 90
        ended = self.server.order(work=work, folder=str(self.place.folder), now_s=self.model.ahead_s, when=when,
                                  effect=effect, persist=persist, details=details)
        if ended["status"] < 0 or effect == "POWER":
            self.tally[effect] += 1
        return ended

    @precondition(lambda self: self.model.held)
    @rule(which=pick, how=st.sampled_from(list(DAMAGES)), seed=pick, at=st.none() | moment, persist=share,
          effect=st.sampled_from(["KILL", "POWER"]))
    def damage_and_repair(
        self, which: int, how: str, seed: int, at: float | None, persist: float, effect: str
    ) -> None:
        """A file is damaged. ``verify`` names it, and a repair mends it, killed once or not."""
        files = files_to_damage(self.root, self.foreign)
        path, kind, name = files[which % len(files)]
        after = self._begin("repair", ())
        flip(path, seed) if how == "flip" else DAMAGES[how](path)
        assert {(one.kind, one.id) for one in verify(self.root).damages} == {(kind, name)}
        if at is not None:
            ended = self._killed("repair", at, effect, persist, {})
            assert ended["status"] in (0, -9), ended
        mended = perform("repair", self.place, self.model.ahead_s)
        assert mended.damages == (), mended.damages
        self.readers.clear()  # what the readers had opened was damaged
        self.model.settle(states_of(self.root, self.pool), after, "repair", is_complete=True)
        self._check(thoroughly=True)

    @precondition(lambda self: self.model.exists)
    @rule(by_s=st.sampled_from(JUMPS_S))
    def clock_jumps(self, by_s: float) -> None:
        self.model.ahead_s = 0.0 if self.model.ahead_s else by_s
        for reader in self.readers:
            reader.lowest_s = min(reader.lowest_s, self.model.ahead_s)

    @initialize(which=st.tuples(pick, pick))
    def begin(self, which: tuple[int, int]) -> None:
        for one in which:
            self.add_file(one)

    @precondition(lambda self: FILES.keys() - self.model.files.keys())
    @rule(which=pick)
    def add_file(self, which: int) -> None:
        names = sorted(FILES.keys() - self.model.files.keys())
        name = names[which % len(names)]
        self.pool.copy(name, self.place.data, name)
        self._note_file(name, FILES[name])

    def _note_file(self, name: str, number: int) -> None:
        self.model.files[name] = number
        self.model.paths.setdefault(number, set()).add(name)

    @precondition(lambda self: self.model.files)
    @rule(which=pick)
    def move_file(self, which: int) -> None:
        name = sorted(self.model.files)[which % len(self.model.files)]
        self.count += 1
        to = f"moved-{self.count}-{name}"
        os.rename(self.place.data / name, self.place.data / to)
        self._note_file(to, self.model.files.pop(name))

    @precondition(lambda self: self.model.files)
    @rule(which=pick, by=pick)
    def replace_file(self, which: int, by: int) -> None:
        """Another scan gets the name of a file."""
        name = sorted(self.model.files)[which % len(self.model.files)]
        others = [other for other in FILES if Path(other).suffix == Path(name).suffix]
        self.pool.copy(others[by % len(others)], self.place.data, name)
        self._note_file(name, FILES[others[by % len(others)]])

    @precondition(lambda self: len(self.model.files) > 1)
    @rule(which=pick)
    def delete_file(self, which: int) -> None:
        name = sorted(self.model.files)[which % len(self.model.files)]
        (self.place.data / name).unlink()
        del self.model.files[name]

    @precondition(lambda self: self.model.exists)
    @rule(which=pick, name=st.sampled_from(FOREIGN))
    def drop_foreign_file(self, which: int, name: str) -> None:
        folders = [self.root, *(path for path in sorted(self.root.rglob("*")) if path.is_dir()
                                and not NAMED_BY_CHANCE.search(path.relative_to(self.root).as_posix()))]
        folder = folders[which % len(folders)]
        self.count += 1
        path = folder / name.format(self.count)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % self.count)
        self.foreign[path] = path.read_bytes()
        self._check(thoroughly=True)

    @precondition(lambda self: self.model.exists and len(self.readers) < MAX_READERS)
    @rule()
    def open_reader(self) -> None:
        self.readers.append(Reader(Corpus(OpenCorpus(self.root)), dict(self.model.held), self.model.ahead_s))

    @precondition(lambda self: self.readers)
    @rule(which=pick)
    def read(self, which: int) -> None:
        """A search that began before other runs sees nothing of them. If its data is gone, it says so."""
        at = which % len(self.readers)
        reader = self.readers[at]
        try:
            check_search(reader.corpus, reader.held, self.pool, self.model.paths, which)
        except CorpusError as error:
            if not reader.may_be_outlived or "open the corpus again" not in str(error):
                raise
            del self.readers[at]

    @invariant()
    def files_of_others_are_left_alone(self) -> None:
        if self.is_sound:
            check_foreign(self.root, self.foreign)
