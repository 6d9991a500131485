"""Which scans form a session, and which have the same pointing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import SourceEntry, sessions_of
from pipeline.catalogue.cadences import MAX_PAUSE_S, separation_deg
from pipeline.model import SECONDS_PER_DAY, CoarseLayout, Header
from pipeline.simulate import fine_header

SCAN = fine_header(coarse_width=4096)
"""292 s long."""


def entry(second: float, target: str = "A", **more: float) -> SourceEntry:
    header = replace(SCAN, tstart_mjd=59_000 + second / SECONDS_PER_DAY, source_name=target, **more)
    return SourceEntry(header, CoarseLayout(4096, "flag"), f"/{target}.h5", 1, 1, 16, 0, "2.794Hz-18.25s")


def groups(sources: dict[str, SourceEntry], said: dict[str, tuple[str, str]] | None = None) -> list[list[str]]:
    return [[scan.scan_id for scan in session.scans] for session in sessions_of(sources, said)]


def test_scans_of_a_session_follow_one_another() -> None:
    end_s = 292.0577761
    scans = {"a": entry(0), "b": entry(end_s + MAX_PAUSE_S - 1, "B"), "c": entry(2 * end_s + 2 * MAX_PAUSE_S + 1, "A"),
             "d": entry(2 * end_s + 2 * MAX_PAUSE_S + 400, "B"), "b+f4": entry(0, "B")}
    assert groups(scans) == [["a", "b"], ["c", "d"]]
    [first, second] = sessions_of(scans)
    assert (first.name, first.pointings, first.is_cadence) == ("a", ("A", "B"), True)
    assert second.name == "c"


def test_another_telescope_resolution_or_band_is_another_session() -> None:
    alone = [entry(100, telescope_id=4), replace(entry(100), resolution="1Hz-1s"), entry(100, fch1_mhz=1600.0)]
    for other in alone:
        assert groups({"a": entry(0), "b": other, "c": entry(200)}) == [["a", "c"], ["b"]]
    # a scan with twice the band has the other's band in it
    assert groups({"a": entry(0), "b": entry(100, nchans=8192), "c": entry(200)}) == [["a", "b", "c"]]


def test_pointings_are_told_by_name_and_position() -> None:
    at = {"ra_hours": 10.0, "dec_deg": 30.0}
    away = {"ra_hours": 10.0, "dec_deg": 31.0}
    near = {"ra_hours": 10.01, "dec_deg": 30.0}  # 0.13 degrees
    nowhere = {"ra_hours": 0.0, "dec_deg": 0.0}
    scans = {name: entry(300 * i, target, **place) for i, (name, target, place) in enumerate([
        ("a", "HIP 1", at), ("b", "HIP1_OFF", at), ("c", "hip-1", near), ("d", "HIP1", away), ("e", "HIP1", nowhere),
        ("f", "HIP1", away)])}
    [session] = sessions_of(scans)
    assert [scan.pointing for scan in session.scans] == ["HIP 1", "HIP1_OFF", "HIP 1", "HIP1 (2)", "HIP 1", "HIP1 (2)"]
    assert [scan.scan_id for scan in session.elsewhere("a")] == ["b", "d", "f"]  # the nearest in time first


def test_a_user_corrects_sessions_and_pointings() -> None:
    scans = {name: entry(300 * i, "AB"[i % 2]) for i, name in enumerate("abcd")}
    said = {"b": ("", ""), "c": ("other", "OFF"), "d": ("other", "")}
    found = sessions_of(scans, said)
    assert [(session.name, [(scan.scan_id, scan.pointing) for scan in session.scans]) for session in found] == [
        ("a", [("a", "A")]), ("other", [("c", "OFF"), ("d", "B")])]


@given(st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from("ABC"), st.sampled_from([4, 6])), max_size=12))
def test_every_scan_is_in_one_session_whatever_their_order(scans: list[tuple[int, str, int]]) -> None:
    sources = {f"s{i}": entry(second, target, telescope_id=telescope)
               for i, (second, target, telescope) in enumerate(scans)}
    found = groups(sources)
    assert sorted(name for group in found for name in group) == sorted(sources)
    assert groups(dict(reversed(sources.items()))) == found
    for group in found:
        times = [sources[name].header.tstart_mjd * SECONDS_PER_DAY for name in group]
        assert all(b - a <= MAX_PAUSE_S + 293 for a, b in pairwise(times))


@pytest.mark.parametrize(("a", "b"), [
    ((1.0, 10.0), (1.5, 12.0)), ((0.01, -5.0), (23.99, -5.1)), ((3.0, 89.9), (15.0, 89.9)),
    ((7.2, 41.0), (7.2, 41.00001)),
])
def test_separations_are_those_of_astropy(a: tuple[float, float], b: tuple[float, float]) -> None:
    coordinates = pytest.importorskip("astropy.coordinates")
    headers = [replace(SCAN, ra_hours=ra, dec_deg=dec) for ra, dec in (a, b)]
    places = [coordinates.SkyCoord(ra=15 * ra, dec=dec, unit="deg") for ra, dec in (a, b)]
    assert separation_deg(*headers) == pytest.approx(places[0].separation(places[1]).deg, rel=1e-9)


def test_a_header_without_a_position_is_near_everything() -> None:
    nowhere: Header = replace(SCAN, ra_hours=0.0, dec_deg=0.0)
    assert separation_deg(nowhere, SCAN) == 0.0
