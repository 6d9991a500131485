import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pipeline.errors import CorpusDamaged, CorpusLocked, RunError
from pipeline.store import CorpusStore, lease, lease_holder
from pipeline.store.lease import Lease

HOLDER = """
import sys
from pipeline.store import CorpusStore
with CorpusStore.open(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""
SLEEPER = """
import sys
from pipeline.catalogue import FileEntry
from pipeline.store import CorpusStore, lease, lease_holder
lease.HEARTBEAT_S, lease_holder.place = 0.05, lambda: "another machine"
store = CorpusStore.open(sys.argv[1])
try:
    with store.lock():
        print("held", flush=True)
        sys.stdin.readline()
        store.publish(lambda manifest: manifest.with_files({"/late": FileEntry(1, 1, "done")}))
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""
CONTENDER = """
import sys
from pipeline.errors import CorpusLocked
from pipeline.store import CorpusStore
store = CorpusStore.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with store.lock():
        print("won", flush=True)
        sys.stdin.readline()
except CorpusLocked:
    print("lost", flush=True)
"""


def start(script: str, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)


def hold_in_another_process(root: Path, script: str = HOLDER) -> subprocess.Popen[str]:
    process = start(script, root)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def say(process: subprocess.Popen[str]) -> str:
    """Let a process continue; return the next line that it prints."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_a_live_holder_is_named_and_a_killed_one_holds_nothing(store: CorpusStore):
    with hold_in_another_process(store.root) as process:
        with pytest.raises(CorpusLocked) as caught, store.lock():
            pass
        for fact in (str(store.root), f"process {process.pid} ", socket.gethostname(), " since 20",
                     f"(-c {store.root})"):
            assert fact in str(caught.value)
        with pytest.raises(CorpusLocked):
            store.publish(lambda manifest: manifest)
        assert store.manifest().generation == 0, "reading needs no lock"
        process.send_signal(signal.SIGKILL)
    with store.lock():
        pass


def test_one_that_was_killed_and_not_yet_buried_holds_nothing(store: CorpusStore):
    with hold_in_another_process(store.root) as process:
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        with store.lock():
            pass


def test_a_process_that_has_got_the_number_of_a_dead_one_is_not_its_holder(store: CorpusStore):
    with hold_in_another_process(store.root) as process:
        process.send_signal(signal.SIGKILL)
    [held] = (store.root / "lock").iterdir()
    record = json.loads(held.read_bytes())
    held.write_text(json.dumps({**record, "pid": os.getpid()}))
    with store.lock():
        pass


def test_the_lock_is_free_again_after_the_block(store: CorpusStore):
    with pytest.raises(ZeroDivisionError), store.lock():
        _ = 1 / 0
    with hold_in_another_process(store.root) as process:
        process.communicate("")
    assert process.returncode == 0
    assert len(list((store.root / "lock").iterdir())) == 1, "nothing piles up"


def test_a_second_store_of_the_same_process_is_another_writer(store: CorpusStore):
    other = CorpusStore.open(store.root)
    with store.lock(), pytest.raises(CorpusLocked, match=f"process {os.getpid()} "), other.lock():
        pass


def test_one_store_may_nest_it_and_share_it_between_threads(store: CorpusStore):
    published = []
    with store.lock(), store.lock():
        thread = threading.Thread(target=lambda: published.append(store.publish(lambda m: m)))
        thread.start()
        thread.join()
    assert [manifest.generation for manifest in published] == [0]
    with CorpusStore.open(store.root).lock():
        pass


def test_a_file_where_the_folder_of_the_leases_should_be_is_refused_and_stays(tmp_path: Path):
    path = tmp_path / "lock"
    path.write_text("notes")
    with pytest.raises(CorpusDamaged, match=r"lock: is no folder, so nothing can be locked; move it out"):
        Lease.acquire(path)
    assert path.read_text() == "notes"


def test_one_that_sleeps_on_this_machine_keeps_it(store: CorpusStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease, "EXPIRY_S", 0.1)
    with hold_in_another_process(store.root) as process:
        process.send_signal(signal.SIGSTOP)
        [held] = (store.root / "lock").iterdir()
        os.utime(held, (0, 0))
        with pytest.raises(CorpusLocked), store.lock():
            pass
        process.kill()


def test_one_elsewhere_that_sleeps_is_succeeded_and_publishes_nothing(
    store: CorpusStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lease, "WATCH_S", 0.3)
    with hold_in_another_process(store.root, SLEEPER) as process:
        [held] = (store.root / "lock").iterdir()
        os.utime(held, (0, 0))
        while held.stat().st_mtime == 0:  # until its owner renews it
            time.sleep(0.01)
        with pytest.raises(CorpusLocked, match=r"\), last heard of \d+ s ago; wait"), store.lock():
            pass
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        os.utime(held, (0, 0))  # as if its owner had not renewed it for a long time
        with store.lock():
            process.send_signal(signal.SIGCONT)
            said = say(process)
            assert said.startswith("CorpusLocked ")
            assert f"taken over by process {os.getpid()} on {socket.gethostname()} since" in said
            process.wait()
            assert store.publish(lambda manifest: manifest).files == {}
        assert store.manifest().generation == 0


DAYS_S = 40 * 86_400


def held_elsewhere(folder: Path, patch: pytest.MonkeyPatch, heartbeat_s: float) -> Lease:
    """Take the lease as a process of another machine, which touches it every ``heartbeat_s``."""
    with patch.context() as there:
        there.setattr(lease_holder, "place", lambda: "another machine")
        return Lease.acquire(folder, heartbeat_s=heartbeat_s)


def clock_jumps(folder: Path, by_s: float) -> None:
    """Date the lease as if the clock of the file system had jumped since its holder touched it."""
    [held] = folder.iterdir()
    then = time.time() - by_s
    os.utime(held, (then, then))


@pytest.mark.parametrize("by_s", [DAYS_S, -DAYS_S], ids=["forward", "back"])
def test_a_clock_that_jumps_takes_no_lease_from_a_live_holder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, by_s: float
):
    alive = held_elsewhere(folder, monkeypatch, heartbeat_s=0.2)
    clock_jumps(folder, by_s)
    with pytest.raises(CorpusLocked, match="locked by process"):
        Lease.acquire(folder, watch_s=60)
    alive.require()
    alive.release()
    Lease.acquire(folder).release()


@pytest.mark.parametrize("by_s", [DAYS_S, -DAYS_S], ids=["forward", "back"])
def test_a_dead_holders_lease_is_taken_over_whatever_the_clock_did(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, by_s: float
):
    dead = held_elsewhere(folder, monkeypatch, heartbeat_s=1e6)
    clock_jumps(folder, by_s)
    taken = Lease.acquire(folder, watch_s=0.3, expiry_s=0.4)
    assert "seems to be locked by a run that has died" in caplog.text
    taken.require()
    with pytest.raises(CorpusLocked, match="was taken over"):
        dead.require()
    taken.release()
    dead.release()


def test_a_lease_that_is_released_while_it_is_watched_is_free_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    other = held_elsewhere(folder, monkeypatch, heartbeat_s=1e6)
    clock_jumps(folder, DAYS_S)
    timer = threading.Timer(0.2, other.release)
    timer.start()
    Lease.acquire(folder, watch_s=200).release()  # the test would time out
    timer.join()


def test_of_eight_contenders_for_a_dead_holders_lease_one_wins(store: CorpusStore):
    with hold_in_another_process(store.root) as dead:
        dead.kill()
    contenders = [start(CONTENDER, store.root) for _ in range(8)]
    try:
        for contender in contenders:
            assert contender.stdout is not None
            assert contender.stdout.readline() == "ready\n"
        for contender in contenders:
            assert contender.stdin is not None
            contender.stdin.write("\n")
            contender.stdin.flush()
        said = [contender.stdout.readline() for contender in contenders if contender.stdout]
        assert sorted(said) == ["lost\n"] * 7 + ["won\n"]
    finally:
        for contender in contenders:
            contender.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[list[int]]:
    """Yield a list that other processes follow: before each claim, they take and release the lease as often as its last
    entry says. If the entry is negative, one more takes the lease and keeps it.
    """
    others: list[int] = []
    stayed: list[Lease] = []
    link = os.link

    def slow(*arguments: Path) -> None:
        count = others.pop() if others else 0
        for _ in range(abs(count)):
            Lease.acquire(folder).release()
        if count < 0:
            stayed.append(Lease.acquire(folder))
        link(*arguments)

    monkeypatch.setattr(os, "link", slow)
    yield others
    for held in stayed:
        held.require()
        held.release()


@pytest.mark.parametrize("came", [1, 2, 3, 20])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_contender_thatstalled_takes_nothing_from_a_later_holder(
    folder: Path, stalled: list[int], came: int, is_new: bool
):
    if not is_new:
        Lease.acquire(folder).release()
    stalled[:] = [-came]
    with pytest.raises(CorpusLocked, match=f"process {os.getpid()} "):
        Lease.acquire(folder)
    stalled[:] = []


@pytest.mark.parametrize("came", [1, 2, 20])
def test_a_contender_thatstalled_succeeds_whoever_was_last(folder: Path, stalled: list[int], came: int):
    Lease.acquire(folder).release()
    stalled[:] = [came]
    held = Lease.acquire(folder)
    held.require()
    with pytest.raises(CorpusLocked):
        Lease.acquire(folder)
    held.release()


def test_a_successor_that_died_before_it_cleared_up_is_a_successor(folder: Path):
    held = Lease.acquire(folder)
    held.require()
    (folder / "00000002").write_text("{}")
    with pytest.raises(CorpusLocked, match="was taken over, as this run"):
        held.require()
    held.release()


def test_a_claim_that_is_cut_short_claims_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    Lease.acquire(folder).release()

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Lease.acquire(folder)
    Lease.acquire(folder).release()


def test_without_hard_links_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*arguments: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(RunError, match=r"lock: the file system has no hard links"):
        Lease.acquire(folder)
    assert list(folder.iterdir()) == []


class Machines(RuleBasedStateMachine):
    """Processes on machines that take, lose and release one lease. A model says who holds it."""

    folder: Path
    place: str = ""

    @initialize()
    def begin(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.superseded: set[str] = set()
        self.holder = ""
        self.is_silent = False

    @rule(who=st.sampled_from(["a", "b", "c"]))
    def acquire(self, who: str) -> None:
        if who in self.leases:
            return
        Machines.place = who
        try:
            taken = Lease.acquire(self.folder, heartbeat_s=1e6, expiry_s=60, watch_s=0.0)
        except CorpusLocked:
            assert self.holder
            assert not self.is_silent
            return
        assert not self.holder or self.is_silent
        if self.holder:
            self.superseded.add(self.holder)
        self.leases[who], self.holder, self.is_silent = taken, who, False

    @rule()
    def be_silent(self) -> None:
        if self.holder:
            os.utime(self.leases[self.holder]._descriptor, (0, 0))
            self.is_silent = True

    @rule()
    def stir(self) -> None:
        if self.holder:
            os.utime(self.leases[self.holder]._descriptor)
            self.is_silent = False

    @rule(who=st.sampled_from(["a", "b", "c"]))
    def release(self, who: str) -> None:
        if who in self.leases:
            self.leases.pop(who).release()
            self.superseded.discard(who)
            if self.holder == who:
                self.holder = ""

    @invariant()
    def only_the_holder_may_write(self) -> None:
        for who, held in getattr(self, "leases", {}).items():
            if who == self.holder:
                held.require()
            else:
                assert who in self.superseded
                with pytest.raises(CorpusLocked):
                    held.require()

    def teardown(self) -> None:
        for held in getattr(self, "leases", {}).values():
            held.release()


def test_whatever_happens_one_process_at_a_time_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease_holder, "place", lambda: Machines.place)
    runs = iter(range(10**9))

    class Fresh(Machines):
        def __init__(self) -> None:
            self.folder = tmp_path / str(next(runs))
            super().__init__()

    run_state_machine_as_test(Fresh, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))
