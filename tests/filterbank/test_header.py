import math
import os
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import require_spectra
from pipeline.filterbank.header import REQUIRED, header_from_keywords

from .files import GBT, attributes


def read(tmp_path, **changes):
    """The header that keywords give, and the remarks on it."""
    return header_from_keywords(attributes(**changes), GBT.nsamples, tmp_path)


def test_text_that_is_no_utf8_stays_printable(tmp_path):
    for name in (b"HIP\xff1", os.fsdecode(b"HIP\xff1")):
        assert read(tmp_path, source_name=name)[0].source_name == r"HIP\xff1"


def test_numbers_come_as_any_scalar_and_text_as_bytes_or_str(tmp_path):
    keywords = attributes(source_name=b"VOYAGER 1\0", nchans=np.int64(100), fch1=np.array([GBT.fch1_mhz]), nbits=32.0,
                          rawdatafile=np.str_("guppi_0002.raw"))
    assert header_from_keywords(keywords, GBT.nsamples, tmp_path) == (GBT, {})


@pytest.mark.parametrize(("value", "text"), [
    (np.array([b"3C295"]), "3C295"), (np.array(["HIP 1", "HIP 2"], object), "HIP 1 HIP 2"),
    (np.array(list("VOYAGER"), "S1"), "VOYAGER"), (1937, "1937"), (np.float64(19.5), "19.5"), (np.array(b"M31"), "M31"),
])
def test_a_target_may_be_an_array_or_a_number(tmp_path, value, text):
    header, remarks = read(tmp_path, source_name=value)
    assert header.source_name == text
    assert not remarks


@pytest.mark.parametrize(("name", "value", "hours_or_degrees"), [
    ("src_raj", "17:10:24.5", 17 + 10 / 60 + 24.5 / 3600), ("src_dej", b"-12:03:49.68", -(12 + 3 / 60 + 49.68 / 3600)),
    ("src_raj", "17h10m24.5s", 17 + 10 / 60 + 24.5 / 3600), ("src_dej", "-00d30m00s", -0.5), ("src_dej", -12, -12.0),
    ("src_dej", np.array([b"+40 44 01"]), 40 + 44 / 60 + 1 / 3600),
])
def test_coordinates_may_be_text(tmp_path, name, value, hours_or_degrees):
    header, remarks = read(tmp_path, **{name: value})
    assert (header.ra_hours if name == "src_raj" else header.dec_deg) == pytest.approx(hours_or_degrees, abs=1e-12)
    assert not remarks


@pytest.mark.parametrize(("name", "value", "field", "default"), [
    ("src_raj", math.nan, "ra_hours", 0.0), ("src_dej", "north", "dec_deg", 0.0),
    ("src_dej", np.zeros(2), "dec_deg", 0.0),
    ("source_name", np.arange(3), "source_name", ""), ("source_name", 1j, "source_name", ""),
    ("telescope_id", 6.5, "telescope_id", 0), ("telescope_id", 1e300, "telescope_id", 0),
    ("machine_id", "GUPPI", "machine_id", 0), ("nfpc", math.inf, "nfpc", 0),
    ("rawdatafile", np.arange(2), "rawdatafile", ""),
])
def test_a_label_that_cannot_be_used_is_left_out_and_remarked_on(tmp_path, name, value, field, default):
    header, remarks = read(tmp_path, **{name: value})
    assert getattr(header, field) == default
    assert header == replace(GBT, **({"rawdatafile": ""} | {field: default}))
    assert list(remarks) == [name]
    assert name in remarks[name]


def test_a_label_is_shown_as_one_short_line(tmp_path):
    _, remarks = read(tmp_path, src_raj="\n\x1b[31m" * 1000)
    assert remarks["src_raj"].isprintable()
    assert len(remarks["src_raj"]) < 200


@pytest.mark.parametrize(("fch1", "foff", "is_doubted"), [
    (1.5e9, -2.79, True), (1e7, 1.0, True), (8421.4, -2.79e-6, False), (9.5e5, -0.1, False)])
def test_hertz_taken_for_megahertz_are_doubted(tmp_path, fch1, foff, is_doubted):
    header, remarks = read(tmp_path, fch1=fch1, foff=foff)
    assert header.fch1_mhz == fch1
    assert ("fch1" in remarks) is is_doubted
    if is_doubted:
        assert f"{fch1:.9g} MHz" in remarks["fch1"]
        assert "divide both by 1,000,000" in remarks["fch1"]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_keyword_is_named(tmp_path, name):
    with pytest.raises(SourceError, match=rf"\b{name}\b") as caught:
        header_from_keywords(attributes(**{name: None}), 16, tmp_path)
    assert caught.value.reason is Reason.BAD_HEADER


@pytest.mark.parametrize(("name", "value"), [
    ("fch1", "8421 MHz"), ("foff", np.array([1.0, 2.0])), ("nchans", 100.5), ("nifs", 1j), ("tsamp", b"18"),
])
def test_a_required_keyword_of_the_wrong_type_is_named(tmp_path, name, value):
    with pytest.raises(SourceError, match=name) as caught:
        header_from_keywords(attributes(**{name: value}), 16, tmp_path)
    assert caught.value.reason is Reason.BAD_HEADER


@pytest.mark.parametrize(("name", "value"), [
    ("foff", 0.0), ("foff", math.nan), ("foff", math.inf), ("fch1", math.nan), ("tsamp", 0.0), ("tsamp", -1.0),
    ("tsamp", math.nan), ("tstart", math.nan), ("tstart", 1e300), ("tstart", -1.0),
    # finite, but nothing computed from them is
    ("fch1", -1e308), ("foff", -2e307), ("foff", 1e11), ("foff", 5e-324), ("tsamp", 1e300), ("tsamp", 1e-310),
])
def test_an_axis_that_runs_nowhere_is_refused(tmp_path, name, value):
    with pytest.raises(SourceError, match=name) as caught:
        header_from_keywords(attributes(**{name: value}), 16, tmp_path)
    assert caught.value.reason is Reason.BAD_AXIS


@pytest.mark.parametrize(("name", "value"), [("nchans", 0), ("nchans", -5), ("nifs", 0)])
def test_impossible_counts_are_inconsistent(tmp_path, name, value):
    with pytest.raises(SourceError, match=name) as caught:
        header_from_keywords(attributes(**{name: value}), 16, tmp_path)
    assert caught.value.reason is Reason.HEADER_INCONSISTENT


def test_fewer_spectra_than_a_window_are_refused(tmp_path):
    require_spectra(replace(GBT, nsamples=16), 16, tmp_path)
    with pytest.raises(SourceError, match="15 spectra") as caught:
        require_spectra(replace(GBT, nsamples=15), 16, tmp_path)
    assert caught.value.reason is Reason.TOO_FEW_SAMPLES
