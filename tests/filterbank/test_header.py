import math
import os
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import require_spectra
from pipeline.filterbank.header import REQUIRED, header_from_keywords

from .files import GBT, attributes


def test_text_that_is_no_utf8_stays_printable(tmp_path):
    for name in (b"HIP\xff1", os.fsdecode(b"HIP\xff1")):
        assert header_from_keywords(attributes(source_name=name), 16, tmp_path).source_name == r"HIP\xff1"


def test_numbers_come_as_any_scalar_and_text_as_bytes_or_str(tmp_path):
    keywords = attributes(source_name=b"VOYAGER 1\0", nchans=np.int64(100), fch1=np.array([GBT.fch1_mhz]), nbits=32.0,
                          rawdatafile=np.str_("guppi_0002.raw"))
    assert header_from_keywords(keywords, GBT.nsamples, tmp_path) == GBT


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_keyword_is_named(tmp_path, name):
    with pytest.raises(SourceError, match=rf"\b{name}\b") as caught:
        header_from_keywords(attributes(**{name: None}), 16, tmp_path)
    assert caught.value.reason is Reason.BAD_HEADER


@pytest.mark.parametrize(("name", "value"), [
    ("fch1", "8421 MHz"), ("foff", np.array([1.0, 2.0])), ("nchans", 100.5), ("src_raj", math.nan), ("source_name", 7),
])
def test_a_keyword_of_the_wrong_type_is_named(tmp_path, name, value):
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
