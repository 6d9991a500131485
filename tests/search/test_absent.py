"""A search for what the corpus does not hold says why: it was removed, or could not be used, or was never there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.catalogue import FileEntry
from pipeline.errors import QueryError, Reason
from pipeline.search import Filters
from tests.search.conftest import Made

A, B = "GBT_59000_0_A", "GBT_59000_1_B"
RANGE = {"f_start_mhz": 1529.9990, "f_stop_mhz": 1529.9995}


@pytest.fixture
def made(fill: Callable[..., Made]) -> Made:
    """A corpus from which A was removed, and which could not use two files. It holds B."""
    made = fill(sources="AB")
    made.store.publish(lambda m: m.with_files({
        "/data/copy.fil": FileEntry(1, 2, "skipped", Reason.DUPLICATE, "the same scan", A)}).with_removed([A]))
    made.store.publish(lambda m: m.with_files({
        "/data/cut.h5": FileEntry(1, 2, "failed", Reason.TRUNCATED, "/data/cut.h5: ends\nearly; wait"),
        "/data/part.fil": FileEntry(1, 2, "skipped", Reason.DUPLICATE, "the beginning of the scan in /gone/B.h5", B)}))
    return made


def asked(name: str) -> list[dict[str, Any]]:
    return [{"window": f"{name}/3"}, {"file": name, **RANGE}]


@pytest.mark.parametrize("name", [A, "GBT_59000_0", f"{A}.h5", f"/gone/{A}.h5", "copy.fil", "/data/copy.fil"])
def test_what_was_removed_is_said_to_be_with_the_command_that_takes_it_back(made: Made, name: str) -> None:
    said = f"{A} was removed; to take it back: lookalike remove --undo {A} --corpus {made.root}"
    for query in asked(name):
        with pytest.raises(QueryError) as caught:
            made.open().search(**query)
        assert str(caught.value) == f"{name}: {said}"
    with pytest.raises(QueryError) as caught:
        made.open().search(window=f"{B}/{made.numbers[B][0]}", filters=Filters(only_file=(name,)))
    assert str(caught.value).endswith(f"there are {B}; {said}")


@pytest.mark.parametrize(("name", "why"), [
    ("cut.h5", "TRUNCATED, /data/cut.h5: ends\\nearly; wait"),
    ("/data/cut.h5", "TRUNCATED, /data/cut.h5: ends\\nearly; wait"),
    ("part.fil", "DUPLICATE, the beginning of the scan in /gone/B.h5"),
])
def test_what_could_not_be_used_is_said_to_be_with_the_reason(made: Made, name: str, why: str) -> None:
    for query in asked(name):
        with pytest.raises(QueryError) as caught:
            made.open().search(**query)
        assert str(caught.value) == f"{name}: was not taken in: {why}"
    with pytest.raises(QueryError, match="was not taken in: "):
        made.open().search(window=f"{B}/{made.numbers[B][0]}", filters=Filters(not_file=(name,)))


def test_what_never_was_there_is_unknown(made: Made) -> None:
    for query in asked("nothing.h5"):
        with pytest.raises(QueryError, match=r"nothing\.h5: no such file, and no source of "):
            made.open().search(**query)


def test_several_that_were_removed_are_listed(fill: Callable[..., Made]) -> None:
    made = fill(sources="ABC")
    made.store.publish(lambda m: m.with_removed([A, B]))
    made.store.publish(lambda m: m.with_files({"/data/x.h5": FileEntry(1, 2, "skipped", Reason.REMOVED, "", A),
                                               "/more/x.h5": FileEntry(1, 2, "skipped", Reason.REMOVED, "", B)}))
    for query in asked("x.h5"):
        with pytest.raises(QueryError) as caught:
            made.open().search(**query)
        assert str(caught.value) == (f"x.h5: {A}, {B} were removed; to take one back: lookalike remove --undo SOURCE "
                                     f"--corpus {made.root}")
