"""Headers of sigproc and its descendants, packed here by hand."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank
from pipeline.filterbank.sigproc_header import (
    MAX_HEADER_BYTES,
    build_header,
    keywords_of,
    pack_angle,
    parse_header,
    unpack_angle,
)

from .files import GBT, in_file_order, power_of, read_all, refused

KNOWN = """telescope_id:i machine_id:i data_type:i rawdatafile:s source_name:s barycentric:i pulsarcentric:i az_start:d
za_start:d src_raj:d src_dej:d tstart:d tsamp:d nbits:i signed:b nsamples:i nbeams:i ibeam:i fch1:d foff:d nchans:i
nifs:i refdm:d period:d npuls:q nbins:i nfpc:i accel:d flux:d hdrlen:i obs_date:s obs_time:s bandwidth:d"""
"""The keywords of sigproc, PRESTO, sigpyproc and rawspec, with the letters of :mod:`struct`; ``s`` is a text."""
ABSENT = ("fch1", "foff")


def word(text):
    return struct.pack("<i", len(text)) + text.encode()


def value(kind, number):
    return word(f"text {number}") if kind == "s" else b"" if kind == "" else struct.pack(f"<{kind}", number)


def head(*pairs, header=GBT, without=()):
    """A header: GBT's keywords, then pairs of a keyword and the bytes of its value."""
    known = {name: number for name, number in keywords_of(header).items() if name not in without}
    parts = [word(name) + (word(number) if isinstance(number, str) else
                           struct.pack("<i" if isinstance(number, int) else "<d",
                                       pack_angle(number) if name.startswith("src_") else number))
             for name, number in known.items()]
    return b"".join([word("HEADER_START"), *parts, *(word(name) + raw for name, raw in pairs), word("HEADER_END")])


def table(frequencies):
    channels = [("fchannel", struct.pack("<d", f)) for f in frequencies]
    return [("FREQUENCY_START", b""), *channels, ("FREQUENCY_END", b"")]


def test_a_header_survives_a_round_trip(tmp_path):
    known = build_header(replace(GBT, nfpc=50))
    parsed = parse_header(known + b"samples", tmp_path)
    assert parsed.data_start == len(known)
    assert parsed.keywords == pytest.approx(keywords_of(replace(GBT, nfpc=50)), abs=1e-9)
    assert not parsed.remarks


@pytest.mark.parametrize(("packed", "angle"), [
    (171224.9, 17 + 12 / 60 + 24.9 / 3600), (-120349.68, -(12 + 3 / 60 + 49.68 / 3600)), (-3000.0, -0.5), (0.0, 0.0)])
def test_angles_are_digits_of_degrees_minutes_seconds(packed, angle):
    assert unpack_angle(packed) == pytest.approx(angle, abs=1e-12)
    assert pack_angle(angle) == pytest.approx(packed, abs=1e-6)


@given(st.floats(-90, 90))
def test_packed_angles_never_hold_sixty_seconds(angle):
    packed = abs(pack_angle(angle))
    assert packed % 100 < 60
    assert packed // 100 % 100 < 60
    assert unpack_angle(pack_angle(angle)) == pytest.approx(angle, abs=1e-10)


@pytest.mark.parametrize("known", KNOWN.split())
def test_every_known_keyword_is_read_and_not_remarked_on(tmp_path, known):
    name, kind = known.split(":")
    parsed = parse_header(head((name, value(kind, 3)), ("ecc", value("d", 0.5))) + b"samples", tmp_path)
    if name not in ("npuls", "src_raj", "src_dej"):
        assert parsed.keywords[name] == ("text 3" if kind == "s" else 3)
    assert parsed.keywords["ecc"] == 0.5
    assert not parsed.remarks


@pytest.mark.parametrize("kind", ["i", "d", "s", "b", "q", ""])
@pytest.mark.parametrize("number", [0, 1, 5, 12, 80, -1])
@pytest.mark.parametrize("follows", ["HEADER_END", "nbins", "another_unknown"])
def test_unknown_keywords_are_stepped_over_and_reported(tmp_path, kind, number, follows):
    raw = value(kind, number)
    pairs = [("start_sample", raw)]
    if follows != "HEADER_END":
        pairs.append((follows, value("i", 64)))
    path = tmp_path / "f.fil"
    path.write_bytes(head(*pairs) + in_file_order(power_of(GBT), GBT).tobytes())
    np.testing.assert_array_equal(read_all(path), power_of(GBT))
    with open_filterbank(path) as filterbank:
        assert f"start_sample ({len(raw)} byte{'' if len(raw) == 1 else 's'})" in filterbank.remarks["unknown keywords"]
        assert ("another_unknown (4 bytes)" in filterbank.remarks["unknown keywords"]) is (follows == "another_unknown")


@given(st.text("abcdefghijklmnop qrstuvwxyz0123456789_+-", max_size=60), st.sampled_from(["x", "observer", "MJD_hour"]))
def test_any_text_is_stepped_over(tmp_path_factory, text, name):
    whole = head((name, word(text)))
    parsed = parse_header(whole + b"\x7f" * 8, tmp_path_factory.getbasetemp())
    assert (parsed.unknown, parsed.data_start) == ({name: 4 + len(text)}, len(whole))


def test_an_unknown_mark_does_not_swallow_the_keyword_after_it(tmp_path):
    parsed = parse_header(head(("MARK", b""), ("source_name", word("M31")), ("nbins", value("i", 64))), tmp_path)
    assert (parsed.unknown, parsed.keywords["source_name"], parsed.keywords["nbins"]) == ({"MARK": 0}, "M31", 64)


@pytest.mark.parametrize("kind", ["i", "d", "s", "b"])
def test_many_unknown_keywords_hide_no_label_behind_them(tmp_path, kind):
    pairs = [(f"k{i}", value(kind, i % 100)) for i in range(5000)]
    parsed = parse_header(head(*pairs, ("source_name", word("M31")), ("nbins", value("i", 64))), tmp_path)
    assert (parsed.keywords["source_name"], parsed.keywords["nbins"]) == ("M31", 64)
    assert parsed.unknown == {name: len(raw) for name, raw in pairs}
    assert parsed.remarks["unknown keywords"].endswith("and 4,990 more")


def test_labels_within_a_value_that_is_stepped_over_are_reported(tmp_path):
    inside = b"note: " + word("source_name") + word("M31") + word("no_keyword") + word("telescope_id") + b"\x06\0\0\0"
    whole = head(("COMMENT", word(inside.decode())), ("ecc", value("d", 0.5)), without=("source_name", "telescope_id"))
    parsed = parse_header(whole, tmp_path)
    assert (parsed.unknown, parsed.keywords["ecc"]) == ({"COMMENT": 4 + len(inside)}, 0.5)
    assert parsed.remarks["unknown keywords"].endswith("; with them source_name, telescope_id, which may be lost")


def test_a_misspelt_label_costs_only_the_label(tmp_path):
    """Older versions of blimpy wrote ``telescop_id``."""
    path = tmp_path / "f.fil"
    path.write_bytes(head(("telescop_id", value("i", 0)), without=("telescope_id",)) + bytes(7200))
    with open_filterbank(path) as filterbank:
        assert (filterbank.header.telescope_id, filterbank.header.nsamples) == (0, 18)
        assert "telescop_id" in filterbank.remarks["unknown keywords"]


def test_an_unknown_keyword_that_nothing_follows_is_refused(tmp_path):
    path = tmp_path / "f.fil"
    path.write_bytes(head().removesuffix(word("HEADER_END")) + word("colour") + b"\xff" * 7200)
    refused(path, Reason.BAD_HEADER, "'colour' after rawdatafile")


class TestFrequencyTables:
    @pytest.mark.parametrize("sign", [-1, 1])
    @pytest.mark.parametrize("without", [ABSENT, (*ABSENT, "nchans"), ()])
    def test_an_even_table_takes_the_place_of_fch1_and_foff(self, tmp_path, sign, without):
        like = replace(GBT, fch1_mhz=1500.0, foff_mhz=sign * 0.25)
        table_ = table(like.fch1_mhz + like.foff_mhz * np.arange(100))
        path = tmp_path / "f.fil"
        other = replace(like, fch1_mhz=0.0, foff_mhz=0.0)  # sigproc clears both where there is a table
        path.write_bytes(head(*table_, header=other, without=without) + in_file_order(power_of(like), like).tobytes())
        with open_filterbank(path) as filterbank:
            header = filterbank.header
            assert (header.fch1_mhz, header.foff_mhz, header.nchans) == (1500.0, pytest.approx(sign * 0.25), 100)
            np.testing.assert_array_equal(filterbank.read(0, 18, 0, 100), power_of(like))

    def test_rounded_frequencies_are_even(self, tmp_path):
        table_ = table(np.round(1500 - 0.390625 * np.arange(100), 3))
        parsed = parse_header(head(*table_, without=ABSENT), tmp_path)
        assert parsed.keywords["foff"] == pytest.approx(-0.390625, rel=1e-4)

    @pytest.mark.parametrize("change", [lambda f: f**2 / 1500, lambda f: np.where(np.arange(100) == 7, f + 0.1, f),
                                        lambda f: np.where(f < 1490, f - 30, f), lambda f: 0 * f + 1500,
                                        lambda f: np.where(np.arange(100) == 50, np.nan, f),
                                        lambda f: np.where(np.arange(100) == 99, np.inf, f)])
    def test_an_uneven_table_is_refused(self, tmp_path, change):
        path = tmp_path / "f.fil"
        path.write_bytes(head(*table(change(1500 - 0.25 * np.arange(100.0))), without=ABSENT) + bytes(7200))
        with pytest.raises(SourceError) as caught:
            open_filterbank(path)
        assert caught.value.reason in (Reason.UNSUPPORTED_AXIS, Reason.BAD_AXIS)  # BAD_AXIS: all channels are one

    def test_a_table_of_another_length_is_inconsistent(self, tmp_path):
        path = tmp_path / "f.fil"
        path.write_bytes(head(*table(1500 - 0.25 * np.arange(99)), without=ABSENT) + bytes(7200))
        refused(path, Reason.HEADER_INCONSISTENT, "99 channels, and nchans is 100")

    @pytest.mark.parametrize("kept", [5, 12, 19, 20, 25, 1000])
    def test_a_table_that_is_cut_off(self, tmp_path, kept):
        whole = head(*table(1500 - 0.25 * np.arange(100)), without=ABSENT)
        path = tmp_path / "f.fil"
        path.write_bytes(whole[: whole.index(word("fchannel")) + kept])
        refused(path, Reason.BAD_HEADER, "cut off")

    def test_a_table_may_be_longer_than_other_headers(self, tmp_path):
        nchans = MAX_HEADER_BYTES // 20 + 5
        entries = np.zeros(nchans, [("name", "S12"), ("mhz", "<f8")])
        entries["name"], entries["mhz"] = word("fchannel"), 1500 + 0.5 * np.arange(nchans)
        like = replace(GBT, nchans=nchans, nsamples=1)
        start, end = head(("FREQUENCY_START", b""), header=like, without=ABSENT), word("HEADER_END")
        whole = start.removesuffix(end) + entries.tobytes() + word("FREQUENCY_END") + end
        power = np.random.default_rng(1).random((1, nchans)).astype("<f4")
        (tmp_path / "f.fil").write_bytes(whole + power.tobytes())
        np.testing.assert_array_equal(read_all(tmp_path / "f.fil"), power)
