"""Shared values: frequency arithmetic in both directions, and records that survive JSON."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Reason
from pipeline.model import EncoderSpec, Header, Hit, Match, OffPower, OnOff, SourceReport, Timing, Window, WindowGrid
from pipeline.support.records import record_of

HEADER = Header(
    fch1_mhz=8421.386717353016, foff_mhz=-2.7939677238464355e-06, nchans=1000, nifs=1, nbits=32,
    tsamp_s=18.253611008, nsamples=16, tstart_mjd=57650.78209490741, source_name="Voyager1", telescope_id=6,
)
NAMES = st.text(max_size=12)
FINITE = st.floats(-1e9, 1e9)

headers = st.builds(
    Header, fch1_mhz=FINITE, foff_mhz=FINITE, nchans=st.integers(1, 2**31), nifs=st.integers(1, 4),
    nbits=st.sampled_from([8, 16, 32]), tsamp_s=FINITE, nsamples=st.integers(1, 2**31), tstart_mjd=FINITE,
    source_name=NAMES, telescope_id=st.integers(0, 99), machine_id=st.integers(0, 99), ra_hours=FINITE,
    dec_deg=FINITE, rawdatafile=NAMES,
)


def naive_centres_mhz(header: Header) -> list[float]:
    """Channel centres, ascending, as sigproc defines them: fch1 + i · foff for channel i of the file."""
    return sorted(header.fch1_mhz + i * header.foff_mhz for i in range(header.nchans))


@pytest.mark.parametrize("foff_mhz", [-0.25, 0.25, -2.7939677238464355e-06, 2.7939677238464355e-06])
def test_channel_edges_lie_half_a_channel_from_the_centres(foff_mhz: float) -> None:
    header = replace(HEADER, foff_mhz=foff_mhz)
    half = abs(foff_mhz) / 2

    for channel, centre in enumerate(naive_centres_mhz(header)):
        assert header.channel_edge_mhz(channel) == pytest.approx(centre - half, rel=1e-14)
        assert header.channel_edge_mhz(channel + 1) == pytest.approx(centre + half, rel=1e-14)
    assert header.f_min_mhz == header.channel_edge_mhz(0)
    assert header.f_max_mhz == header.channel_edge_mhz(header.nchans)


@given(channel=st.integers(0, 322_961_408), foff_mhz=st.sampled_from([-2.7939677238464355e-06, 2.7939677238464355e-06]))
def test_channel_at_inverts_channel_edge(channel: int, foff_mhz: float) -> None:
    header = replace(HEADER, nchans=322_961_408, foff_mhz=foff_mhz)

    assert header.channel_at(header.channel_edge_mhz(channel)) == pytest.approx(channel, abs=1e-5)


def test_time() -> None:
    assert HEADER.duration_s == pytest.approx(292.057776128)
    assert HEADER.mjd_at(0) == HEADER.tstart_mjd
    assert HEADER.mjd_at(43_200) == pytest.approx(HEADER.tstart_mjd + 0.5, rel=1e-14)


@given(headers)
def test_header_survives_json(header: Header) -> None:
    assert record_of(Header, json.loads(json.dumps(asdict(header)))) == header


@given(headers)
def test_header_survives_pickle(header: Header) -> None:
    assert pickle.loads(pickle.dumps(header)) == header


def test_unknown_header_keyword_is_refused() -> None:
    with pytest.raises(ValueError, match="Header has no 'mystery'"):
        record_of(Header, {**asdict(HEADER), "mystery": 1})


def test_nouns_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        HEADER.nchans = 1  # type: ignore[misc]


@pytest.mark.parametrize("field", ["channels", "step", "integrations"])
@pytest.mark.parametrize("value", [0, -1])
def test_grid_refuses_empty_windows(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"grid {field} must be at least 1, got {value}"):
        WindowGrid(**{field: value})


def test_encoder_key_names_the_folder() -> None:
    plain = EncoderSpec("power-spectrum", 1, 128, "cutout-v1 16x256")
    assert plain.key == "power-spectrum-v1"
    assert replace(plain, weights_sha256="0123456789abcdef").key == "power-spectrum-v1-01234567"
    assert replace(plain, precision="bfloat16").key == "power-spectrum-v1-bfloat16"
    assert replace(plain, name="resnet50", version=2, weights_sha256="f" * 64, precision="float16").key \
        == "resnet50-v2-ffffffff-float16"


def test_timings_add_up() -> None:
    assert Timing(1, 2, 3, 4) + Timing(10, 20, 30, 40) == Timing(11, 22, 33, 44)
    assert sum([Timing(read_s=1), Timing(write_s=2)], Timing()) == Timing(read_s=1, write_s=2)


def test_report_is_json() -> None:
    report = SourceReport("a.fil", "failed", reason=Reason.TRUNCATED, message="short", also_at=("b.fil",))

    record = json.loads(json.dumps(asdict(report)))

    assert record["reason"] == "TRUNCATED"
    record |= {name: tuple(record[name]) for name in ("also_at", "remarks", "replaces", "views")}
    record |= {"reason": Reason(record["reason"])}
    assert SourceReport(**{**record, "timing": Timing(**record["timing"])}) == report


def test_a_hit_compared_again_tells_how_it_lies_over_the_query() -> None:
    window = Window("A", 7, 1792, 2048, 0, 16, 8419.2, 8419.3, 0.0, 292.0577761, 57650.78)
    match = Match(0.7654321, -27.939677238, 18.253611008, 0.1530638, False)
    record = json.loads(json.dumps(Hit(1, 0.9, window, "A", "/a.h5", "A", 6, 24.5, match=match).to_json()))
    assert [record[name] for name in ("correlation", "shift_hz", "shift_s", "extra_drift_hz_per_s", "mirrored")] == [
        0.765432, -27.94, 18.254, 0.153064, False]


def test_small_figures_of_a_hit_keep_four_digits() -> None:
    window = Window("A", 7, 1792, 2048, 0, 16, 8419.2, 8419.3, 0.0, 292.0577761, 57650.78)
    hit = Hit(1, 0.9, window, "A", "/a.h5", "A", 6, 24.5, expected=1.234567e-9, p=1.234567e-12, q=0.5)
    record = json.loads(json.dumps(hit.to_json()))
    assert (record["expected"], record["p"], record["q"], record["expected_low"]) == (1.235e-9, 1.235e-12, 0.5, None)


def test_hit_record_is_flat_json_precise_to_a_millihertz() -> None:
    window = Window("GBT_57650", 7, 1792, 2048, 0, 16, 8419.274412345678, 8419.275127654321, 0.0, 292.0577761, 57650.78)
    hit = Hit(1, 0.87654321, window, "GBT_57650", "/data/a.h5", "Voyager1", 6, 24.512, merged=(8, 9),
              also_at=("/data/b.h5",), copies=("GBT_57651/9",), known=("GPS L1",), labels=("comb",),
              not_searched=("one",), family="F12", family_name="clock",
              on_off=OnOff("in OFF", ("C",), ("C/3",), power=(OffPower("C", 8.1234, 9.7684),), own_snr=10.006))

    record = json.loads(json.dumps(hit.to_json()))

    assert record == {
        "rank": 1, "score": 0.876543, "source": "GBT_57650", "file": "/data/a.h5", "target": "Voyager1", "window": 7,
        "f_start_mhz": 8419.274412346, "f_stop_mhz": 8419.275127654, "t_start_s": 0.0, "t_stop_s": 292.057776,
        "mjd": 57650.78, "snr": 24.51, "merged": [8, 9],
        "correlation": None, "shift_hz": None, "shift_s": None, "extra_drift_hz_per_s": None, "mirrored": None,
        "reranked": None, "expanded": None, "nearness": None,
        "expected": None, "expected_low": None, "expected_high": None, "extrapolated": None, "p": None, "q": None,
        "query_f_start_mhz": None, "query_f_stop_mhz": None, "query_t_start_s": None, "query_t_stop_s": None,
        "also_at": ["/data/b.h5"], "copies": ["GBT_57651/9"], "view": "", "known": ["GPS L1"], "labels": ["comb"],
        "family": "F12", "family_name": "clock", "not_searched": ["one"],
        "on_off": "in OFF", "in_off": ["C/3"], "on_off_reason": "", "on_snr": 10.01,
        "off_power": [{"scan": "C", "snr": 8.12, "snr_limit": 9.77}],
    }
    assert hit.source_ids == ("GBT_57650", "GBT_57651")


def test_a_hit_tells_which_window_of_the_query_it_resembles() -> None:
    window = Window("A", 7, 1792, 2048, 0, 16, 8419.2, 8419.3, 0.0, 292.0577761, 57650.78)
    asked = Window("B", -1, 10, 266, 16, 32, 1400.1234567891, 1400.1241721092, 292.0577761, 584.1155522, 57650.78)
    record = Hit(1, 0.9, window, "A", "/a.h5", "A", 6, 24.5, query_window=asked).to_json()
    assert [record[name] for name in ("query_f_start_mhz", "query_f_stop_mhz", "query_t_start_s", "query_t_stop_s")
            ] == [1400.123456789, 1400.124172109, 292.057776, 584.115552]
