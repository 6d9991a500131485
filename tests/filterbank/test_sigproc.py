import math
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.filterbank.sigproc import build_header, keywords_of, pack_angle, parse_header, unpack_angle

from .files import GBT, blimpy_power, blimpy_waterfall, in_file_order, power_of, read_all, real_file, refused


def test_a_header_survives_a_round_trip(tmp_path):
    head = build_header(GBT)
    keywords, data_start = parse_header(head + b"samples", tmp_path)
    assert data_start == len(head)
    assert keywords == pytest.approx(keywords_of(GBT), abs=1e-9)


def test_header_and_values_are_those_of_blimpy_on_real_data():
    path = real_file("gbt_noise_6664MHz.fil")
    theirs, power = blimpy_waterfall(path).header, blimpy_power(path)
    with open_filterbank(path) as filterbank:
        header = filterbank.header
        np.testing.assert_array_equal(filterbank.read(0, 32, 0, 1024), power)
    assert (header.nsamples, header.nchans, header.nbits, header.nifs) == (32, 1024, 32, 1)
    assert (header.fch1_mhz, header.foff_mhz, header.tsamp_s, header.tstart_mjd) == (
        theirs["fch1"], theirs["foff"], theirs["tsamp"], theirs["tstart"])
    assert header.source_name == theirs["source_name"] == "DIAG_SGR_B2"
    assert header.ra_hours == pytest.approx(theirs["src_raj"].hour, abs=1e-12)
    assert header.dec_deg == pytest.approx(theirs["src_dej"].deg, abs=1e-12)


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


@pytest.mark.parametrize("foff_sign", [-1, 1])
@pytest.mark.parametrize("polarisation", [0, 1])
def test_several_products_are_told_apart(tmp_path, foff_sign, polarisation):
    header = replace(GBT, nifs=2, foff_mhz=foff_sign * abs(GBT.foff_mhz))
    both = [power_of(header, seed) for seed in (1, 2)]
    path = tmp_path / "two.fil"
    stored = np.concatenate([in_file_order(power, header) for power in both], axis=1)
    path.write_bytes(build_header(header) + stored.tobytes())
    np.testing.assert_array_equal(read_all(path, polarisation=polarisation), both[polarisation])
    np.testing.assert_array_equal(read_all(path, polarisation=polarisation), blimpy_power(path, polarisation))


class TestBadInput:
    @pytest.fixture
    def good(self, tmp_path):
        return write_filterbank(tmp_path / "good.fil", power_of(GBT), GBT)

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "bad.fil"

    def write(self, path, header=GBT, data=b"", **changes):
        """Write a header with some keywords changed, or left out, then ``data``."""
        parts = [struct.pack("<i", 12), b"HEADER_START"]
        for keyword, value in {**keywords_of(header), "nsamples": None, **changes}.items():
            if value is not None:
                encoded = (struct.pack("<i", len(value)) + value.encode() if isinstance(value, str) else
                           struct.pack("<i" if isinstance(value, int) else "<d", value))
                parts += [struct.pack("<i", len(keyword)), keyword.encode(), encoded]
        path.write_bytes(b"".join([*parts, struct.pack("<i", 10), b"HEADER_END", data]))

    def test_zero_bytes(self, path):
        path.touch()
        refused(path, Reason.EMPTY)

    def test_header_only(self, path):
        path.write_bytes(build_header(GBT))
        refused(path, Reason.NO_DATA)

    def test_text(self, path):
        path.write_text("These are not the samples you are looking for.\n" * 9)
        refused(path, Reason.NOT_FILTERBANK)

    @pytest.mark.parametrize("nchans", [2**31 - 1, 10**6])
    def test_more_channels_than_there_are_bytes(self, path, nchans):
        path.write_bytes(build_header(replace(GBT, nchans=nchans)) + bytes(7200))
        refused(path, Reason.HEADER_INCONSISTENT, str(nchans))

    def test_nchans_below_one(self, path):
        path.write_bytes(build_header(replace(GBT, nchans=-100)) + bytes(7200))
        refused(path, Reason.HEADER_INCONSISTENT, "nchans is -100")

    def test_cut_within_a_spectrum(self, good, path):
        path.write_bytes(good.read_bytes()[:-10])
        refused(path, Reason.TRUNCATED, "spectrum 17, 10 bytes short")

    def test_cut_between_spectra_shows_by_the_keyword(self, good, path):
        path.write_bytes(good.read_bytes()[:-400 * 5])
        refused(path, Reason.TRUNCATED, "13 of the 18")

    def test_without_the_keyword_the_size_decides(self, path):
        self.write(path, data=bytes(400 * 5))
        with open_filterbank(path) as filterbank:
            assert filterbank.header.nsamples == 5

    @pytest.mark.parametrize("size", [3, 10, 16, 18, 30, 100, 250])
    def test_header_cut(self, good, path, size):
        path.write_bytes(good.read_bytes()[:size])
        refused(path, Reason.BAD_HEADER, "cut")

    def test_header_that_never_ends(self, good, path):
        path.write_bytes(good.read_bytes().replace(b"HEADER_END", b"HEADER_FND"))
        refused(path, Reason.BAD_HEADER, "HEADER_FND")

    @pytest.mark.parametrize("name", ["fch1", "foff", "nchans", "nifs", "nbits", "tsamp", "tstart"])
    def test_missing_keyword(self, path, name):
        self.write(path, data=bytes(7200), **{name: None})
        refused(path, Reason.BAD_HEADER, rf"\b{name}\b")

    def test_unknown_keyword(self, path):
        self.write(path, data=bytes(7200), colour=3)
        refused(path, Reason.BAD_HEADER, "'colour'")

    @pytest.mark.parametrize(("name", "value"), [("foff", 0.0), ("foff", math.nan), ("tsamp", 0.0), ("tsamp", -1.0)])
    def test_bad_axis(self, path, name, value):
        self.write(path, data=bytes(7200), **{name: value})
        refused(path, Reason.BAD_AXIS, name)

    @pytest.mark.parametrize("nbits", [1, 4, 12, 64, -8])
    def test_unsupported_bits(self, path, nbits):
        self.write(path, data=bytes(7200), nbits=nbits)
        refused(path, Reason.UNSUPPORTED_NBITS, f"{nbits} bits")

    def test_cut_while_it_is_read(self, good):
        with open_filterbank(good) as filterbank:
            os.truncate(good, 3000)
            with pytest.raises(SourceError, match=r"ends at byte 3000") as caught:
                filterbank.read(0, 18, 0, 100)
        assert caught.value.reason is Reason.TRUNCATED
