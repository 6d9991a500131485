import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.filterbank.identity import scan_id

from .files import GBT, attributes, in_file_order, power_of, write_h5

WIDE = replace(GBT, nchans=300)


def id_of(path):
    with open_filterbank(path) as filterbank:
        return filterbank.source_id()


def id_for(header=WIDE, power=None):
    power = power_of(header) if power is None else power
    return scan_id(header, lambda a, b, c, d: power[a:b, c:d])


def mirrored(header):
    return replace(header, fch1_mhz=header.fch1_mhz + (header.nchans - 1) * header.foff_mhz, foff_mhz=-header.foff_mhz)


def test_the_id_tells_telescope_day_second_and_target():
    assert re.fullmatch(r"GBT_57650_67573_VOYAGER-1_[0-9a-f]{10}", id_for())


@pytest.mark.parametrize(("changes", "prefix"), [
    ({"telescope_id": 4}, "PKS_57650_67573_VOYAGER-1_"), ({"telescope_id": 9}, "ATA_"), ({"telescope_id": 64}, "T64_"),
    ({"source_name": "../etc/ü b*"}, "GBT_57650_67573_etc-b_"), ({"source_name": ""}, "GBT_57650_67573_unknown_"),
    ({"tstart_mjd": 57436 + 51432 / 86400}, "GBT_57436_51432_"), ({"tstart_mjd": 57436.9999999}, "GBT_57437_0_"),
])
def test_each_part_of_the_name(changes, prefix):
    assert id_for(replace(WIDE, **changes)).startswith(prefix)


@given(day=st.integers(40_000, 80_000), second=st.integers(0, 86_399))
def test_a_whole_second_is_never_taken_for_the_one_before(day, second):
    assert id_for(replace(WIDE, tstart_mjd=day + second / 86_400)).startswith(f"GBT_{day}_{second}_")


def test_copies_and_formats_and_the_mirrored_file_are_one_scan(tmp_path):
    power = power_of(WIDE)
    original = write_filterbank(tmp_path / "a.h5", power, WIDE)
    ids = {id_of(original), id_of(shutil.copy(original, tmp_path / "copy.h5"))}
    for header in (WIDE, mirrored(WIDE)):
        for name in ("b.fil", "b.h5"):
            ids.add(id_of(write_filterbank(tmp_path / name, power, header)))
    ids.add(id_of(write_h5(tmp_path / "c.h5", in_file_order(power, WIDE), attributes(WIDE, source_name=b"VOYAGER 1"))))
    assert len(ids) == 1


def test_sample_types_do_not_matter(tmp_path):
    header = replace(WIDE, nbits=8)
    ids = {id_of(write_filterbank(tmp_path / f"{nbits}.{suffix}", power_of(header), replace(WIDE, nbits=nbits)))
           for nbits in (8, 16, 32) for suffix in ("fil", "h5")}
    assert len(ids) == 1


@given(edge=st.integers(2_000_000_000, 20_000_000_000), coarse=st.integers(1, 9))
def test_band_edges_on_half_hertz_are_rounded_alike_in_the_mirror(edge, coarse):
    width = 2.9296875 / 1024
    header = replace(WIDE, nchans=1024 * coarse, foff_mhz=-width, fch1_mhz=edge / 2e6 + width * (1024 * coarse - 0.5))
    samples = np.ones((header.nsamples, header.nchans), np.float32)
    other = mirrored(header)
    for fch1_mhz in (other.fch1_mhz, np.nextafter(other.fch1_mhz, 0), np.nextafter(other.fch1_mhz, 1e9)):
        assert id_for(header, samples) == id_for(replace(other, fch1_mhz=float(fch1_mhz)), samples)


@pytest.mark.parametrize("changes", [
    {"telescope_id": 4}, {"tstart_mjd": WIDE.tstart_mjd + 1 / 86400}, {"source_name": "VOYAGER-1"},
    {"fch1_mhz": WIDE.fch1_mhz + 1e-5}, {"foff_mhz": WIDE.foff_mhz * 1.001}, {"tsamp_s": WIDE.tsamp_s * 1.001},
])
def test_another_header_is_another_scan(changes):
    assert id_for(replace(WIDE, **changes), power_of(WIDE)) != id_for()


@pytest.mark.parametrize("spectrum", [0, -1])
@pytest.mark.parametrize("channel", [0, 150, -1])
def test_other_samples_are_another_scan(spectrum, channel):
    power = power_of(WIDE)
    power[spectrum, channel] += 1
    assert id_for(power=power) != id_for()


def test_fewer_channels_than_are_probed():
    assert id_for(replace(WIDE, nchans=3)) != id_for(replace(WIDE, nchans=2))
