import math
import os
import struct
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import Buffer, open_filterbank, write_filterbank
from pipeline.filterbank.sigproc_header import build_header, keywords_of

from .files import GBT, blimpy_power, blimpy_waterfall, in_file_order, power_of, read_all, real_file, refused


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


def packed(values, nbits):
    """Samples (spectra, products, channels) as bytes, the first sample of a byte in its lowest bits; by single bits."""
    bits = (values.reshape(-1, 1) >> np.arange(nbits)) & 1
    return np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def write_packed(path, nbits, nchans=96, nifs=1, spectra=18, **changes):
    """Write random samples. Return them: (spectra, products, ascending channels)."""
    header = replace(GBT, nbits=nbits, nchans=nchans, nifs=nifs, nsamples=spectra, **changes)
    values = np.random.default_rng(nbits).integers(0, 1 << nbits, (spectra, nifs, nchans))
    path.write_bytes(build_header(header) + packed(values, nbits))
    return values if header.foff_mhz > 0 else values[..., ::-1]


class TestPackedSamples:
    @pytest.mark.parametrize("nbits", [1, 2, 4])
    def test_the_first_sample_is_in_the_lowest_bits(self, tmp_path, nbits):
        path = tmp_path / "f.fil"
        path.write_bytes(build_header(replace(GBT, nbits=nbits, nchans=8, nsamples=1, foff_mhz=1e-6))
                         + bytes([0b11_01_10_00, 0b1110_0100, 0xF0, 0x0F])[:nbits])
        known = {1: [0, 0, 0, 1, 1, 0, 1, 1], 2: [0, 2, 1, 3, 0, 1, 2, 3], 4: [8, 13, 4, 14, 0, 15, 15, 0]}
        assert read_all(path).tolist() == [known[nbits]]

    @pytest.mark.parametrize("nbits", [1, 2, 4])
    @pytest.mark.parametrize("sign", [-1, 1])
    @pytest.mark.parametrize(("nchans", "nifs"), [(96, 1), (12, 2), (7, 8)])
    def test_any_range_of_any_product(self, tmp_path, nbits, sign, nchans, nifs):
        path = tmp_path / "f.fil"
        values = write_packed(path, nbits, nchans, nifs, foff_mhz=sign * 1e-6)
        for product in range(nifs):
            with open_filterbank(path, polarisation=product) as filterbank:
                assert (filterbank.header.nbits, filterbank.header.nsamples) == (nbits, 18)
                assert filterbank.read(0, 18, 0, nchans).dtype == np.float32
                for start in range(nchans):
                    for stop in {start, start + 1, start + 2, nchans - start, nchans}:
                        if start <= stop <= nchans:
                            np.testing.assert_array_equal(filterbank.read(3, 6, start, stop),
                                                          values[3:6, product, start:stop])
                fetched = filterbank.fetch(2, 17, 1, nchans, Buffer())
                np.testing.assert_array_equal(fetched.read(4, 9, 2, nchans - 1), values[4:9, product, 2 : nchans - 1])

    @pytest.mark.parametrize(("nchans", "nifs", "nbits"), [(100, 1, 1), (7, 2, 2), (33, 1, 4)])
    def test_a_spectrum_that_ends_within_a_byte_is_refused(self, tmp_path, nchans, nifs, nbits):
        write_packed(tmp_path / "f.fil", nbits, nchans, nifs)
        refused(tmp_path / "f.fil", Reason.UNSUPPORTED_NBITS, "no whole number of bytes")

    @pytest.mark.parametrize("nbits", [1, 2, 4])
    def test_a_cut_shows(self, tmp_path, nbits):
        write_packed(tmp_path / "f.fil", nbits)
        raw = (tmp_path / "f.fil").read_bytes()
        (tmp_path / "f.fil").write_bytes(raw[:-1])
        refused(tmp_path / "f.fil", Reason.TRUNCATED, "spectrum 17, 1 bytes short")

    @pytest.mark.parametrize(("name", "nbits"), [("sigpyproc_parkes_1bit.fil", 1), ("sigpyproc_parkes_4bit.fil", 4)])
    def test_real_files(self, name, nbits):
        path = real_file(name)
        raw = np.frombuffer(path.read_bytes()[-4096 * 832 * nbits // 8 :], np.uint8)
        bits = np.unpackbits(raw, bitorder="little").reshape(4096, 832, nbits)
        np.testing.assert_array_equal(read_all(path)[:, ::-1], bits @ (1 << np.arange(nbits)))


class TestSignedBytes:
    """The keyword ``signed`` means opposite things to different programs, so the samples decide."""

    def write(self, path, values, signed):
        head = build_header(replace(GBT, nbits=8, nsamples=len(values), nchans=values.shape[1], foff_mhz=1e-6))
        end = struct.pack("<i", 10) + b"HEADER_END"
        keyword = struct.pack("<i", 6) + b"signed" + struct.pack("<b", signed)
        path.write_bytes(head.replace(end, keyword + end) + values.tobytes())

    @pytest.mark.parametrize("signed", [-1, 0, 1])
    @pytest.mark.parametrize(("mean", "spread"), [(128, 30), (128, 70), (96, 24), (20, 8), (200, 20), (3, 1)])
    def test_unsigned_samples(self, tmp_path, signed, mean, spread):
        values = np.random.default_rng(1).normal(mean, spread, (20, 300)).clip(0, 255).astype("u1")
        values[:, 5], values[:, 6] = 255, 0
        self.write(tmp_path / "f.fil", values, signed)
        np.testing.assert_array_equal(read_all(tmp_path / "f.fil"), values)

    @pytest.mark.parametrize("signed", [-1, 1])
    @pytest.mark.parametrize(("mean", "spread"), [(-20, 30), (0, 30), (0, 4), (40, 30), (0, 60)])
    def test_signed_samples(self, tmp_path, signed, mean, spread):
        values = np.random.default_rng(1).normal(mean, spread, (20, 300)).clip(-128, 127).astype("i1")
        values[:, 5], values[:, 6] = 127, 0
        assert (values < 0).any()
        self.write(tmp_path / "f.fil", values, signed)
        np.testing.assert_array_equal(read_all(tmp_path / "f.fil"), values)

    def test_saturated_signals_stay_positive(self, tmp_path):
        values = np.random.default_rng(1).normal(20, 4, (20, 300)).clip(0, 255).astype("u1")
        values[:, 7:40] = 255
        self.write(tmp_path / "f.fil", values, 1)
        np.testing.assert_array_equal(read_all(tmp_path / "f.fil"), values)


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

    @pytest.mark.parametrize("name", ["fch1", "foff", "nchans", "nbits", "tsamp", "tstart"])
    def test_missing_keyword(self, path, name):
        self.write(path, data=bytes(7200), **{name: None})
        refused(path, Reason.BAD_HEADER, rf"\b{name}\b")

    def test_without_nifs_there_is_one_product(self, path):
        self.write(path, data=bytes(7200), nifs=None)
        with open_filterbank(path) as filterbank:
            assert (filterbank.header.nifs, filterbank.header.nsamples) == (1, 18)
            assert not filterbank.remarks

    @pytest.mark.parametrize(("name", "value"), [("foff", 0.0), ("foff", math.nan), ("tsamp", 0.0), ("tsamp", -1.0)])
    def test_bad_axis(self, path, name, value):
        self.write(path, data=bytes(7200), **{name: value})
        refused(path, Reason.BAD_AXIS, name)

    @pytest.mark.parametrize("nbits", [0, 3, 12, 64, -8])
    def test_unsupported_bits(self, path, nbits):
        self.write(path, data=bytes(7200), nbits=nbits)
        refused(path, Reason.UNSUPPORTED_NBITS, f"{nbits} bits")

    def test_cut_while_it_is_read(self, good):
        with open_filterbank(good) as filterbank:
            os.truncate(good, 3000)
            with pytest.raises(SourceError, match=r"ends at byte 3000") as caught:
                filterbank.read(0, 18, 0, 100)
        assert caught.value.reason is Reason.TRUNCATED
