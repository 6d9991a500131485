"""Plain values become dataclasses, and whatever does not fit is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest

from pipeline.support.records import Bounds, Count, json_of, record_of, value_of


class Colour(StrEnum):
    RED = "RED"


@dataclass(frozen=True, slots=True)
class Inner:
    width: int
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: Inner
    colour: Colour | None = None
    last: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = field(default_factory=dict)


PLAIN: dict[str, Any] = {"name": "a\udc80", "inner": {"width": 3, "share": 1}, "colour": "RED", "last": {"width": 2},
                         "many": [{"width": 4}], "by_name": {"x": {"width": 5}}}


def test_plain_values_become_the_types_of_the_fields() -> None:
    made = record_of(Outer, PLAIN)
    assert made == Outer("a\udc80", Inner(3, 1.0), Colour.RED, Inner(2), (Inner(4),), {"x": Inner(5)})
    assert (type(made.inner.share), type(made.colour), type(made.many)) == (float, Colour, tuple)
    assert record_of(list[Inner], [{"width": 1}]) == [Inner(1)]
    assert record_of(Outer, {"name": "", "inner": {"width": 1}, "last": None}).last is None


@pytest.mark.parametrize(("change", "message"), [
    ({"name": 3}, "Expected `str`, got `int` - at `\\$.name`"),
    ({"inner": {"width": 1.0}}, "Expected `int`, got `float` - at `\\$.inner.width`"),
    ({"inner": {"width": True}}, "Expected `int`, got `bool`"),
    ({"inner": {}}, "missing required field `width`"),
    ({"colour": "BLUE"}, "Invalid enum value 'BLUE'"),
    ({"by_name": []}, "Expected `object`, got `array`"),
    ({"more": 1}, "Outer has no 'more'"),
    ({"inner": {"width": 1, "wdith": 2}}, "Inner has no 'wdith'"),
    ({"last": {"width": 1, "wdith": 2}}, "Inner has no 'wdith'"),
    ({"many": [{"width": 1}, {"width": 1, "wdith": 2}]}, "Inner has no 'wdith'"),
    ({"by_name": {"x": {"width": 1, "wdith": 2}}}, "Inner has no 'wdith'"),
])
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record_of(Outer, {**PLAIN, **change})


def test_unknown_keys_in_a_list_are_named_too() -> None:
    with pytest.raises(ValueError, match="Inner has no 'wdith'"):
        record_of(list[Inner], [{"width": 1, "wdith": 2}])


def test_a_single_value_is_converted_from_text_only_where_that_is_asked_for() -> None:
    assert value_of(float, 3) == 3.0
    assert (value_of(bool, "True", is_text=True), value_of(int, "7", is_text=True)) == (True, 7)
    for kind, value in ((int, "7"), (bool, "true"), (bool, 1), (int, 7.0), (str, 7)):
        with pytest.raises(ValueError, match="Expected"):
            value_of(kind, value)
    with pytest.raises(ValueError, match="Expected"):
        value_of(bool, "yes", is_text=True)


@dataclass(frozen=True, slots=True)
class Bounded:
    count: Count
    share: Annotated[float, Bounds(0, 1)] = 0.0
    last: Count | None = None
    many: tuple[Count, ...] = ()
    by_name: Mapping[str, Inner | None] = field(default_factory=dict)
    pairs: dict[str, tuple[Count, str]] = field(default_factory=dict)
    kind: Literal["a", "b"] = "a"


@pytest.mark.parametrize(("change", "where"), [
    ({"count": -1}, "count"), ({"count": 2**40 + 1}, "count"), ({"count": 10**30}, "count"),
    ({"count": 10**400}, "count"),
    ({"share": 1.01}, "share"), ({"share": float("nan")}, "share"), ({"share": float("inf")}, "share"),
    ({"last": -1}, "last"), ({"many": [1, -1]}, "many"), ({"pairs": {"x": [-1, ""]}}, "pairs"), ({"kind": "c"}, "kind"),
])
def test_a_value_out_of_bounds_is_named(change: dict[str, Any], where: str) -> None:
    assert record_of(Bounded, {"count": 2**40, "share": 1, "last": None}).count == 2**40
    with pytest.raises(ValueError, match=rf"\$\.{where}"):
        record_of(Bounded, {"count": 1, **change})


def test_bounds_are_for_what_is_read() -> None:
    assert Bounded(-1).count == -1


def test_nesting_without_end_is_no_value() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        json_of("[" * 100_000 + "]" * 100_000)
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ValueError, match="Expected"):
        record_of(Bounded, {"count": deep})
    assert record_of(Inner, {"width": 1, "more": deep}, has_more=True) == Inner(1)
