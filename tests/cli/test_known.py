"""``lookalike known``."""

from __future__ import annotations

import pytest

from pipeline.interference import known_bands
from tests.cli.conftest import Lookalike


def test_the_command_lists_what_touches_a_frequency(lookalike: Lookalike) -> None:
    at = lookalike("known", "--at", "1575.42")
    assert (at.code, at.err) == (0, "")
    assert [line.split("  ")[0].strip() for line in at.out.splitlines()] == [
        "1559.0520–1591.7880", "1560.0750–1590.7650", "1563.1440–1587.6960"]
    assert {"GPS L1", "Galileo E1", "BeiDou B1C"} == {
        band["name"] for band in lookalike("known", "--at", "1575:1576", "--json").json["bands"]}
    assert lookalike("known", "--at", "1420.4").out == "no known band there\n"
    assert len(lookalike("known").out.splitlines()) == len(known_bands())
    [notch] = lookalike("known", "--name", "*L-band notch*").out.splitlines()
    assert notch == (" 1200.0000–1341.2000  Green Bank L-band notch filter  receiver  "
                     "only GBT; little sensitivity; Enriquez et al. 2017 (arXiv 1709.03491)")


@pytest.mark.parametrize(("flags", "message"), [
    (("--at", "L1"), "--at 'L1' is no frequency in MHz: give one such as 1575.42, or a range such as 1570:1580"),
    (("--at", "2:1"), "'2:1' is no range in MHz"),
    (("--name", "gps"), "--name gps: no band has this name or kind; alike are 'GPS L5', 'GPS L2', 'GPS L3', 'GPS L1'"),
    (("--name", "x"), "no band has this name or kind"),
])
def test_the_command_says_what_it_cannot_use(lookalike: Lookalike, flags: tuple[str, ...], message: str) -> None:
    ran = lookalike("known", *flags)
    assert ran.code == 2
    assert message in ran.err
