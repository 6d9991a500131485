"""Runs examples of :class:`tests.machine.machine.Machine`: a few of them, or many more in a soak."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.cluster.deaths import Server
from tests.cluster.soak import IS_SOAK, note
from tests.machine.machine import Machine
from tests.machine.scans import make_pool
from tests.run import fake

STEPS = 30
EXAMPLES = 20 if IS_SOAK else 5
"""Number of examples in each shard."""
SHARDS = range(26) if IS_SOAK else [0, *(pytest.param(shard, marks=pytest.mark.slow) for shard in (1, 2))]
HOW = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None, print_blob=True,
               suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Machine]]:
    """The machine with its files; its runs in this process do not wait for the disk."""
    server = Server("tests.machine.forked")
    folder = tmp_path_factory.mktemp("machine")
    try:
        with pytest.MonkeyPatch.context() as patch:
            fake.register(patch.setattr)
            patch.setattr(os, "fsync", lambda _: None)
            patch.setattr(Machine, "pool", make_pool(folder / "pool"), raising=False)
            patch.setattr(Machine, "server", server, raising=False)
            yield Machine
    finally:
        server.close()


@pytest.mark.timeout(7200 if IS_SOAK else 900)
@pytest.mark.parametrize("shard", SHARDS)
def test_whatever_happens_a_corpus_holds_what_it_has_to(shard: int, machine: type[Machine]) -> None:
    """The examples are always the same, so that a test does not fail by chance. In a soak, they differ each time."""
    number = random.SystemRandom().randrange(2**32) if IS_SOAK else shard
    print(f"seed {number}, shard {shard}")  # noqa: T201 - pytest shows it if the test fails
    machine.tally.clear()
    run_state_machine_as_test(seed(number)(machine), settings=HOW)
    note(f"state machine: an example of {STEPS} steps", EXAMPLES, seed=number)
    note("state machine: SIGKILL of a run at a change of the disk", machine.tally["KILL"])
    note("state machine: power cut in a run, or right after it", machine.tally["POWER"])
