from dataclasses import replace

import h5py
import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.filterbank import FilterbankWriter, open_filterbank, write_filterbank

from .files import GBT, blimpy_power, blimpy_waterfall, power_of


@pytest.mark.parametrize("suffix", ["fil", "h5"])
@pytest.mark.parametrize("foff_sign", [-1, 1])
class TestBothFormats:
    @pytest.fixture
    def header(self, foff_sign):
        return replace(GBT, foff_mhz=foff_sign * abs(GBT.foff_mhz))

    @pytest.fixture
    def path(self, tmp_path, suffix):
        return tmp_path / f"f.{suffix}"

    @pytest.mark.parametrize("nbits", [8, 16, 32])
    def test_blimpy_reads_the_same_values(self, path, header, nbits):
        header = replace(header, nbits=nbits)
        assert write_filterbank(path, power_of(header), header) == path
        np.testing.assert_array_equal(blimpy_power(path), power_of(header))

    def test_blimpy_reads_the_same_header(self, path, header):
        write_filterbank(path, power_of(header), header)
        theirs = blimpy_waterfall(path).header
        assert (theirs["fch1"], theirs["foff"], theirs["nchans"], theirs["nifs"], theirs["nbits"]) == (
            header.fch1_mhz, header.foff_mhz, 100, 1, 32)
        assert (theirs["tsamp"], theirs["tstart"], theirs["source_name"], theirs["rawdatafile"]) == (
            header.tsamp_s, header.tstart_mjd, "VOYAGER 1", "guppi_0002.raw")
        assert (theirs["telescope_id"], theirs["machine_id"]) == (6, 20)
        assert theirs["src_raj"].hour == pytest.approx(header.ra_hours, abs=1e-10)
        assert theirs["src_dej"].deg == pytest.approx(header.dec_deg, abs=1e-10)

    def test_its_own_reader_gives_the_header_back(self, path, header):
        write_filterbank(path, power_of(header), header)
        with open_filterbank(path) as filterbank:
            ours = filterbank.header
        assert ours.ra_hours == pytest.approx(header.ra_hours, abs=1e-10)
        assert ours.dec_deg == pytest.approx(header.dec_deg, abs=1e-10)
        assert replace(ours, ra_hours=header.ra_hours, dec_deg=header.dec_deg) == header

    def test_pieces_in_any_order_make_the_same_file(self, path, header):
        power = power_of(header)
        with FilterbankWriter(path, header, chunk=(4, 30)) as writer:
            for spectrum in (7, 0):
                for channel in (60, 0, 30):
                    rows = slice(spectrum, spectrum + 7 if spectrum == 0 else None)
                    columns = slice(channel, channel + 30 if channel < 60 else None)
                    writer.write(spectrum, channel, power[rows, columns])
            assert not path.exists()
        np.testing.assert_array_equal(blimpy_power(path), power)

    def test_integers_are_rounded_and_clipped(self, path, header):
        header = replace(header, nbits=8, nchans=6, nsamples=3)
        power = np.tile(np.array([-5, 0.4, 0.6, 254.6, 300, np.inf]), (3, 1))
        write_filterbank(path, power, header)
        np.testing.assert_array_equal(blimpy_power(path)[0], [0, 0, 1, 255, 255, 255])
        with pytest.raises(ConfigError, match="NaN"):
            write_filterbank(path, power * np.nan, header)

    def test_nan_and_infinity_are_kept_in_floats(self, path, header):
        power = power_of(header)
        power[0, :3] = np.nan, np.inf, -np.inf
        write_filterbank(path, power, header)
        np.testing.assert_array_equal(blimpy_power(path), power)

    def test_an_error_leaves_nothing_behind(self, path, header):
        with pytest.raises(ValueError, match="unpack"), FilterbankWriter(path, header) as writer:
            writer.write(0, 0, power_of(header)[0])
        assert list(path.parent.iterdir()) == []

    def test_an_unfinished_file_is_refused(self, path, header):
        with pytest.raises(ConfigError, match="100 of its samples"), FilterbankWriter(path, header) as writer:
            writer.write(0, 0, power_of(header)[:17])
        assert list(path.parent.iterdir()) == []

    @pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (1, 0), (0, 1)])
    def test_a_piece_outside_the_file_is_refused(self, path, header, corner):
        with pytest.raises(ConfigError, match="outside 18 × 100"), FilterbankWriter(path, header) as writer:
            writer.write(*corner, power_of(header))


@pytest.mark.parametrize("changes", [{"nbits": 64}, {"nifs": 2}, {"nsamples": 0}, {"nchans": 0}])
def test_what_cannot_be_written_is_refused_at_once(tmp_path, changes):
    with pytest.raises(ConfigError, match="cannot write"):
        FilterbankWriter(tmp_path / "f.h5", replace(GBT, **changes))
    assert list(tmp_path.iterdir()) == []


def test_hdf5_files_look_like_those_of_the_archive(tmp_path):
    path = write_filterbank(tmp_path / "f.h5", power_of(GBT), GBT)
    with h5py.File(path) as file:
        data = file["data"]
        assert (file.attrs["CLASS"], file.attrs["VERSION"]) == ("FILTERBANK", "1.0")
        assert [dimension.label for dimension in data.dims] == ["time", "feed_id", "frequency"]
        assert data.chunks == (1, 1, 100)
        number, _, settings, _ = data.id.get_create_plist().get_filter(0)
        assert (number, settings[2:]) == (32008, (4, 0, 2))


def test_chunks_are_a_million_channels_by_default(tmp_path):
    header = replace(GBT, nchans=(1 << 20) + 8, nsamples=1)
    path = write_filterbank(tmp_path / "f.h5", np.zeros((1, header.nchans)), header)
    with h5py.File(path) as file:
        assert file["data"].chunks == (1, 1, 1 << 20)
