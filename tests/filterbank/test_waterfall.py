import logging
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import QueryError, Reason, SourceError
from pipeline.filterbank import open_filterbank, read_waterfall, write_filterbank
from pipeline.filterbank.sigproc_header import build_header

from .files import GBT, attributes, in_file_order, power_of, real_file, write_h5


@pytest.fixture(params=[(suffix, sign) for suffix in ("fil", "h5") for sign in (-1, 1)], scope="module")
def path(request, tmp_path_factory):
    suffix, sign = request.param
    header = replace(GBT, foff_mhz=sign * abs(GBT.foff_mhz))
    return write_filterbank(tmp_path_factory.mktemp("w") / f"f.{suffix}", power_of(header), header)


def header_of(path):
    with open_filterbank(path) as filterbank:
        return filterbank.header


def ascending(waterfall):
    power = waterfall.data[:, 0]
    return power if waterfall.header["foff"] > 0 else power[:, ::-1]


def test_the_whole_file_by_default(path):
    waterfall = read_waterfall(path)
    assert type(waterfall).__module__ == "blimpy.waterfall"
    np.testing.assert_array_equal(ascending(waterfall), power_of(GBT))


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 1), (99, 100), (13, 14), (13, 77), (None, 40), (40, None)])
@pytest.mark.parametrize("shift", [0.0, 0.3, -0.3])
def test_a_range_holds_exactly_its_channels(path, start, stop, shift):
    header = header_of(path)
    edges = [None if channel is None else header.channel_edge_mhz(channel if channel in (0, 100) else channel + shift)
             for channel in (start, stop)]
    np.testing.assert_array_equal(ascending(read_waterfall(path, *edges)), power_of(GBT)[:, start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-10, 50), (50, 110), (200, 300), (-20, -10), (50, 50), (60, 50)])
def test_a_range_outside_the_band_is_an_error_that_names_the_band(path, start, stop):
    header = header_of(path)
    with pytest.raises(QueryError, match=f"{header.f_min_mhz:.6f}–{header.f_max_mhz:.6f} MHz"):
        read_waterfall(path, header.channel_edge_mhz(start), header.channel_edge_mhz(stop))


def test_what_blimpy_exits_on_is_an_error(tmp_path):
    header = replace(GBT, nsamples=2)  # blimpy probes the third spectrum
    path = write_filterbank(tmp_path / "short.h5", power_of(header), header)
    with pytest.raises(SourceError, match=r"short\.h5: its 2 spectra are too few for blimpy \(.*corruption") as caught:
        read_waterfall(path)
    assert caught.value.reason is Reason.TOO_FEW_SAMPLES


class TestFilesThatBlimpyCannotRead:
    @pytest.fixture(params=[-1, 1])
    def header(self, request):
        return replace(GBT, nchans=104, foff_mhz=request.param * abs(GBT.foff_mhz))

    def check(self, path, values, header):
        """``values`` are (spectra, products, channels) in file order."""
        whole = read_waterfall(path)
        assert type(whole).__module__ == "blimpy.waterfall"
        np.testing.assert_array_equal(whole.data, values)
        assert whole.header["src_raj"].hour == pytest.approx(GBT.ra_hours)
        edges = header.channel_edge_mhz(13), header.channel_edge_mhz(77)
        part = read_waterfall(path, *edges)
        first = 13 if header.foff_mhz > 0 else 104 - 77
        np.testing.assert_array_equal(part.data, values[..., first : first + 64])
        centres = header.fch1_mhz + header.foff_mhz * np.arange(first, first + 64)
        np.testing.assert_allclose(part.get_freqs(), centres, rtol=1e-15)

    @pytest.mark.parametrize("nifs", [1, 2])
    def test_packed_samples(self, tmp_path, header, nifs):
        bits = np.random.default_rng(1).integers(0, 2, (18, nifs, 104)).astype(np.uint8)
        path = tmp_path / "f.fil"
        packed = np.packbits(bits, bitorder="little").tobytes()
        path.write_bytes(build_header(replace(header, nbits=1, nifs=nifs)) + packed)
        self.check(path, bits, header)

    def test_unknown_keywords(self, tmp_path, header):
        path = tmp_path / "f.fil"
        end, stored = struct.pack("<i", 10) + b"HEADER_END", in_file_order(power_of(header), header)
        more = struct.pack("<i", 6) + b"colour" + struct.pack("<i", 7)
        path.write_bytes(build_header(header).replace(end, more + end) + stored.tobytes())
        self.check(path, stored, header)

    @pytest.mark.parametrize(("changes", "root"), [({"nbits": None}, None), ({}, {}), ({}, {"CLASS": "FILTERBANK"})])
    def test_missing_attributes(self, tmp_path, header, changes, root):
        stored = in_file_order(power_of(header), header)
        path = write_h5(tmp_path / "f.h5", stored, attributes(header, **changes), root=root)
        self.check(path, stored, header)


def test_a_bad_file_is_told_before_blimpy_sees_it(tmp_path):
    (tmp_path / "text.h5").write_text("text" * 99)
    with pytest.raises(SourceError) as caught:
        read_waterfall(tmp_path / "text.h5")
    assert caught.value.reason is Reason.NOT_FILTERBANK


def test_a_range_too_large_for_memory_is_an_error(path, monkeypatch):
    read_waterfall(path)
    import blimpy.io.base_reader as base_reader
    monkeypatch.setattr(base_reader.Reader, "isheavy", lambda _reader: True)
    monkeypatch.setattr(base_reader.Reader, "warn_memory", lambda *_: None)
    with pytest.raises(QueryError, match="does not fit into memory"):
        read_waterfall(path, f_stop_mhz=header_of(path).channel_edge_mhz(50))


def test_blimpy_leaves_logging_and_the_terminal_alone(tmp_path):
    path = write_filterbank(tmp_path / "f.h5", power_of(GBT), GBT)
    code = ("import logging, sys, pipeline.filterbank as f; f.read_waterfall(sys.argv[1]);"
            "root = logging.getLogger(); assert root.handlers == [] and root.level == logging.WARNING, root.handlers")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_package_does_not_import_blimpy():
    code = "import sys, pipeline.filterbank; assert not {'blimpy', 'matplotlib', 'astropy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_real_file(caplog):
    path = real_file("voyager1_2020_crop.h5")
    with caplog.at_level(logging.INFO):
        waterfall = read_waterfall(path, 8419.5425, 8419.5430)
    with open_filterbank(path) as filterbank:
        first, end = (round(filterbank.header.channel_at(f_mhz)) for f_mhz in (8419.5425, 8419.5430))
        np.testing.assert_array_equal(ascending(waterfall), filterbank.read(0, 16, first, end))
