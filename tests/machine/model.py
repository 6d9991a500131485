"""What a corpus has to hold after each step, as far as that is certain.

The state of a scan is :data:`ABSENT`, :data:`REMOVED`, or the set of the encoders whose vectors the corpus has of it. A
run that ends early leaves any state between the one before and the one that it was to reach. What it has committed but
not published is *in doubt*: a later run may adopt it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from tests.machine.scans import OWN, SECOND

ABSENT, REMOVED = "absent", "removed"
State = str | frozenset[str]
States = Mapping[int, State]
"""Number of a scan → its state; scans that are absent are left out."""
DAY_S = 86_400.0
SLACK_S = 3600.0
"""Longest time that an example takes."""


def keys(state: State) -> frozenset[str]:
    return frozenset() if isinstance(state, str) else state


@dataclass
class Removed:
    """What is known of a scan that was removed."""

    keys: frozenset[str]
    most: frozenset[str]
    """Also the encoders whose vectors were in doubt: the run that removed the scan may have adopted them first."""
    since_s: float
    is_doubtful: bool = False
    """True once a run may have deleted it."""


@dataclass
class Model:
    """A corpus and its archive, in memory."""

    exists: bool = False
    files: dict[str, int] = field(default_factory=dict)
    """Name in the archive → number of the scan."""
    paths: dict[int, set[str]] = field(default_factory=dict)
    """Number of a scan → every name that a file of it ever had."""
    states: dict[int, State] = field(default_factory=dict)
    doubt: dict[int, frozenset[str]] = field(default_factory=dict)
    """Number of a scan → encoders whose vectors of it a later run may adopt."""
    removed: dict[int, Removed] = field(default_factory=dict)
    ahead_s: float = 0.0
    """By how much the clock is wrong."""

    @property
    def held(self) -> dict[int, frozenset[str]]:
        """Scans that a search may find, and the encoders of their vectors."""
        return {number: keys(state) for number, state in self.states.items() if state != REMOVED}

    def after(self, work: str, scans: Collection[int] = ()) -> States:
        """Return the states after a run that comes to its end."""
        states = dict(self.states)
        if work in ("ingest", "nightly"):
            if work == "ingest" or self.ahead_s >= 0:  # otherwise, files were changed in the future, and a night waits
                states = {number: ABSENT for number in self.files.values()} | states
            return {number: state if state == REMOVED else keys(state) | {OWN} for number, state in states.items()}
        if work == "embed":
            return {number: state if state == REMOVED else keys(state) | {SECOND} for number, state in states.items()}
        for number in scans:
            if work == "remove":
                states[number] = REMOVED
            elif work == "undo":
                before = self.removed[number]
                states[number] = ABSENT if before.is_doubtful else before.keys
        return states

    def begin(self, work: str, scans: Collection[int] = ()) -> None:
        """Note what a run may do besides its work, by the clock."""
        for one in self.removed.values():
            one.is_doubtful |= self.ahead_s - one.since_s >= DAY_S - SLACK_S
        for number in scans if work == "undo" else ():
            if self.removed[number].is_doubtful or self.removed[number].most > self.removed[number].keys:
                self.doubt[number] = self.removed[number].most

    def settle(self, found: States, after: States, work: str, *, is_complete: bool) -> None:
        """Compare what was found with the states before and after a run, and go on from there."""
        doubt: dict[int, frozenset[str]] = {}
        for number in {*self.states, *after, *found, *self.doubt}:
            before, now, then = (states.get(number, ABSENT) for states in (self.states, found, after))
            least, most, words = self._bounds(number, before, then, work, is_complete=is_complete)
            assert (now in words if isinstance(now, str) else least is not None and least <= now <= most), (
                f"scan {number} is {now} after {work}; it was {before} and is to be {then}, in doubt {most}")
            if not is_complete and (now != then or number in self.doubt):
                doubt[number] = most
            self._note_removed(number, before, now, most)
        if not is_complete or work == "upgrade":  # upgrade adopts nothing
            doubt = {**self.doubt, **doubt}
        self.doubt = {number: most for number, most in doubt.items() if found.get(number) != REMOVED}
        self.states = {number: state for number, state in found.items() if state != ABSENT}

    def _bounds(
        self, number: int, before: State, then: State, work: str, *, is_complete: bool
    ) -> tuple[frozenset[str] | None, frozenset[str], set[str]]:
        """Return the least and most vectors that a scan may have, and the other states that are allowed.

        The least is None if the corpus must not hold the scan.
        """
        doubted = self.doubt.get(number)
        allowed: Iterable[State] = (then,) if is_complete else (before, then)
        words = {state for state in allowed if isinstance(state, str)}
        if work == "undo" and not is_complete and REMOVED in words:
            words.add(ABSENT)  # until a run adopts it
        sets = [state for state in allowed if not isinstance(state, str)]
        made = {"ingest": {OWN}, "nightly": {OWN}, "embed": {SECOND}}.get(work, set())  # also for adopted windows
        most = frozenset().union(*sets, set() if doubted is None else doubted | made)
        if not sets:
            return (None if doubted is None else frozenset()), most, words
        is_whole = is_complete or not isinstance(before, str)  # otherwise, vectors come after windows
        return frozenset.intersection(*sets) if is_whole else frozenset(), most, words

    def _note_removed(self, number: int, before: State, now: State, most: frozenset[str]) -> None:
        if now == REMOVED and before != REMOVED:
            self.removed[number] = Removed(keys(before), keys(before) | most, self.ahead_s)
        elif now != REMOVED:
            self.removed.pop(number, None)
