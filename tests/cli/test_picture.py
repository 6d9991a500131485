"""``lookalike search --picture``: the picture of a plot is a query."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.search import open_corpus
from tests.cli.conftest import Lookalike
from tests.plot_reader.test_reading import draw
from tests.search.test_result import PNG


@pytest.fixture
def plot(corpus: Path, kept: str, tmp_path: Path) -> Path:
    """Picture of a stored window, in which each channel has several pixels."""
    power = open_corpus(corpus).power_of(kept)
    return draw(tmp_path / "plot.png", np.nan_to_num(power, nan=1.0), dpi=200)


def test_the_plot_of_a_window_finds_this_window(
    lookalike: Lookalike, corpus: Path, kept: str, plot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = lookalike("search", "--corpus", corpus, "--picture", plot, "--json")
    assert ran.code == 0, ran
    best = ran.json["hits"][0]
    assert f"{best['source']}/{best['window']}" == kept
    assert best["score"] > 0.95
    assert ran.json["query"]["kind"] == "array"
    assert "decibels" not in ran.err, "its noise is that of the corpus"
    assert "colours viridis; dB without numbers; view 1x" in ran.err
    assert "understood: plot-understood.png" in ran.err
    assert Path("plot-understood.png").read_bytes().startswith(PNG)


def test_a_plot_of_known_size_is_given_the_channels_of_the_corpus(
    lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path
) -> None:
    opened = open_corpus(corpus)
    tiling = opened._corpus.tiling(kept.rpartition("/")[0])
    width_hz, duration_s = (256 * tiling.header.channel_width_mhz * 1e6, 16 * tiling.header.tsamp_s)
    fine = np.repeat(np.nan_to_num(opened.power_of(kept), nan=1.0), 2, axis=0)
    fine[::2] *= 1.03  # else two spectra would look like one
    plot = draw(tmp_path / "plot.png", fine, dpi=200)
    ran = lookalike("search", "--corpus", corpus, "--picture", plot, "--hz", f"{width_hz}", "--seconds",
                    f"{duration_s}", "--understood", tmp_path / "seen.png", "--json")
    assert ran.code == 0, ran
    assert "32 spectra" in ran.err
    assert ran.json["query"]["shape"] == [16, 256]
    best = ran.json["hits"][0]
    assert f"{best['source']}/{best['window']}" == kept
    assert os.path.getsize(tmp_path / "seen.png") > 10_000


@pytest.mark.parametrize(("flags", "words"), [
    (["--bar", "9"], ["'9' is not 2 numbers, such as LOW:HIGH"]),
    (["--crop", "1,2,3,4.5"], ["is not 4 numbers"]),
    (["--npy", "a.npy"], ["choose one of --npy and --picture"]),
])
def test_flags_that_cannot_be_used_are_named(
    lookalike: Lookalike, corpus: Path, plot: Path, flags: list[str], words: list[str]
) -> None:
    lookalike("search", "--corpus", corpus, "--picture", plot, *flags).assert_misused(*words)


@pytest.mark.parametrize(("flags", "words"), [
    (["--colormap", "typo"], ["--colormap 'typo' is no continuous colour map"]),
    (["--scale", "linear"], ["--scale linear needs --bar"]),
    (["--crop", "0,0,99999,3"], ["--crop 0,0,99999,3 is no part"]),
    (["--hz", "0.001"], ["correct --hz or --seconds"]),
    (["--window", "A/1"], ["got --window and --npy"]),
    (["--understood", "no/such/folder.png"], ["no/such/folder.png: cannot be written"]),
])
def test_what_cannot_be_read_is_refused_with_the_names_of_flags(
    lookalike: Lookalike, corpus: Path, plot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = lookalike("search", "--corpus", corpus, "--picture", plot, *flags)
    assert ran.code == 2
    assert ran.out == ""
    for word in words:
        assert word in ran.err


def test_a_plot_whose_channels_cannot_be_counted_needs_its_width(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    power = np.random.default_rng(3).gamma(50, 1 / 50, (16, 2000))
    ran = lookalike("search", "--corpus", corpus, "--picture", draw(tmp_path / "plot.png", power))
    ran.assert_refused(2, "plot.png: the channels of the plot cannot be counted", "--hz")


def test_options_of_a_picture_go_with_one(lookalike: Lookalike, corpus: Path, kept: str) -> None:
    lookalike("search", "--corpus", corpus, "--window", kept, "--hz", "700").assert_misused("--hz go with --picture")
