"""Power read back from pictures of plots: of known arrays, drawn by matplotlib, and the real ones of a notebook."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.encoders import load_encoder
from pipeline.errors import ParameterError, QueryError
from pipeline.evaluate.real import read_real_set
from pipeline.grid.cutouts import cutouts_of_power
from pipeline.model import WindowGrid
from pipeline.plot import colour_maps
from pipeline.plot_reader import PlotReading, read_plot
from pipeline.plot_reader.cells import resampled
from pipeline.search.from_power import cut_array
from tests.filterbank.files import real_file

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

BARS = ((90, 104), (90, 102), (86, 96), (88, 96), (87, 90))
"""Numbers at the lowest and at the highest tick of the colour bars of the real pictures, as they are printed there."""


def signal(spectra: int = 16, channels: int = 256) -> np.ndarray:
    power = np.random.default_rng(4).gamma(102, 1 / 102, (spectra, channels))
    power[:, 40::37] *= 12
    power[: spectra // 3, 100 % channels] *= 60
    return power


def draw(path: Path, power: np.ndarray, *, cmap: str = "viridis", dpi: int = 100, bar: str = "right",
         extend: str = "neither", linear: bool = False, size: tuple[float, float] = (6.4, 4.8), origin: str = "lower",
         paper: str = "white", **saved: Any) -> Path:
    figure = Figure(figsize=size, dpi=dpi, facecolor=paper)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = power if linear else 10 * np.log10(power)
    image = axes.imshow(values, aspect="auto", origin=origin, interpolation="nearest", cmap=cmap,
                        extent=(1532.15, 1532.16, 0, 300))
    if bar:
        figure.colorbar(image, location=bar, extend=extend)
    axes.set(xlabel="Frequency [MHz]", ylabel="Time [s]", title="HIP77257")
    figure.savefig(path, **saved)
    return path


def agreement(reading: PlotReading, power: np.ndarray) -> float:
    known = np.isfinite(reading.power)
    assert known.mean() > 0.99
    return float(np.corrcoef(np.log(reading.power[known]), np.log(power[known]))[0, 1])


@pytest.mark.parametrize("how", [
    {}, {"dpi": 90}, {"dpi": 200}, {"dpi": 137, "size": (9, 3)}, {"bar": "bottom"}, {"bar": "left"},
    {"cmap": "jet"}, {"cmap": "gray"}, {"cmap": "gray_r"}, {"cmap": "inferno"}, {"cmap": "Blues"}, {"cmap": "RdBu_r"},
    {"extend": "both"}, {"extend": "max"}, {"paper": "0.9"}, {"bar": "", "cmap": "plasma"}, {"bar": ""},
], ids=str)
def test_the_power_of_a_plot_is_read_back(tmp_path: Path, how: dict[str, Any]) -> None:
    power = signal()
    reading = read_plot(draw(tmp_path / "plot.png", power, **how))
    np.testing.assert_array_equal(reading.colours.colours, colour_maps()[how.get("cmap", "viridis")])
    assert reading.colours.is_sure == (how.get("bar") != "")
    assert reading.power.shape == power.shape
    assert reading.counted == (True, True)
    assert agreement(reading, power) > 0.999


def test_a_jpeg_is_read_too(tmp_path: Path) -> None:
    power = signal()
    reading = read_plot(draw(tmp_path / "plot.jpg", power, dpi=200))
    assert reading.colours.name == "viridis"
    assert reading.counted[0]
    assert reading.power.shape[0] == 16
    assert agreement(PlotReading(**{**fields(reading), "power": resampled(reading.power, power.shape)}), power) > 0.95


def fields(reading: PlotReading) -> dict[str, Any]:
    return {name: getattr(reading, name) for name in PlotReading.__dataclass_fields__}


@pytest.mark.parametrize("bar", ["right", "bottom"])
@pytest.mark.parametrize("linear", [False, True])
def test_the_numbers_at_the_ticks_of_the_bar_give_the_values(tmp_path: Path, bar: str, linear: bool) -> None:
    power = signal()
    values = power if linear else 10 * np.log10(power)
    path = draw(tmp_path / "plot.png", power, bar=bar, linear=linear)
    step = 10.0 if linear else 2.5
    ticks = step * np.ceil(values.min() / step), step * np.floor(values.max() / step)
    reading = read_plot(path, bar=ticks, scale="linear" if linear else "db")
    read = reading.power if linear else 10 * np.log10(reading.power)
    assert np.nanmax(np.abs(read - values)) < 0.01 * np.ptp(values)


def test_linear_power_needs_the_numbers_of_the_bar(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="scale linear needs bar"):
        read_plot(draw(tmp_path / "plot.png", signal(), linear=True), scale="linear")


def test_time_and_frequency_may_run_either_way(tmp_path: Path) -> None:
    power = signal()
    down = read_plot(draw(tmp_path / "down.png", power, origin="upper"), time_runs="down")
    assert agreement(down, power) > 0.999
    left = read_plot(draw(tmp_path / "left.png", power[:, ::-1]), frequency_descends=True)
    assert agreement(left, power) > 0.999
    right = read_plot(draw(tmp_path / "right.png", power.T, dpi=200), time_runs="right")
    assert right.power.shape == power.shape
    assert agreement(right, power) > 0.999


def test_a_crop_says_where_the_waterfall_is(tmp_path: Path) -> None:
    power = signal()
    found = read_plot(draw(tmp_path / "plot.png", power, dpi=200))
    axes = found.frame.axes
    cropped = read_plot(tmp_path / "plot.png", colormap="viridis", crop=(
        axes.left - 1, axes.top - 1, axes.right + 1, axes.bottom + 1))
    assert cropped.power.shape == power.shape
    assert agreement(cropped, power) > 0.999
    with pytest.raises(ParameterError, match="crop 0,0,9000,10 is no part of the picture, which has 1280 × 960"):
        read_plot(tmp_path / "plot.png", crop=(0, 0, 9000, 10))


def test_what_is_drawn_over_the_plot_is_masked(tmp_path: Path) -> None:
    picture = Image.open(draw(tmp_path / "plot.png", signal())).convert("RGB")
    picture.paste((255, 0, 255), (200, 100, 260, 200))
    picture.save(tmp_path / "over.png")
    reading = read_plot(tmp_path / "over.png")
    assert 0.02 < np.isnan(reading.power).mean() < 0.1


@pytest.mark.parametrize(("channels", "dpi"), [(3000, 100), (256, 72)])
def test_channels_as_small_as_pixels_are_not_counted(tmp_path: Path, channels: int, dpi: int) -> None:
    reading = read_plot(draw(tmp_path / "plot.png", signal(16, channels), dpi=dpi))
    assert reading.counted == (True, False)
    assert "channels (lines of pixels)" in str(reading)


def test_an_unknown_map_is_named(tmp_path: Path) -> None:
    path = draw(tmp_path / "plot.png", signal(), cmap="tab10", bar="")
    with pytest.raises(ParameterError, match="name the map with colormap"):
        read_plot(path)
    with pytest.raises(ParameterError, match="'tab10' is no continuous colour map"):
        read_plot(path, colormap="tab10")


def test_a_picture_without_a_plot_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "white").save(tmp_path / "blank.png")
    with pytest.raises(ParameterError, match="no waterfall plot is found"):
        read_plot(tmp_path / "blank.png")


# --- hostile files -------------------------------------------------------------------------------------------------


def png_of_size(width: int, height: int) -> bytes:
    """Return the begin of a PNG that claims a size."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


@pytest.mark.parametrize(("side", "words"), [(7_000, "has 7,000 × 7,000 pixels, more than 40,000,000"),
                                             (100_000, "has more than 40,000,000 pixels")])
def test_a_picture_of_too_many_pixels_is_refused_unread(tmp_path: Path, side: int, words: str) -> None:
    (tmp_path / "bomb.png").write_bytes(png_of_size(side, side))
    with pytest.raises(QueryError, match=f"bomb.png: {words}"):
        read_plot(tmp_path / "bomb.png")


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff", "webp"])
def test_a_picture_that_is_cut_off_is_refused(tmp_path: Path, kind: str) -> None:
    written = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(written, kind)
    for share in (0.02, 0.5):
        (tmp_path / "cut").write_bytes(written.getvalue()[: int(len(written.getvalue()) * share)])
        with pytest.raises(QueryError, match=r"cut: (the picture is damaged|no picture of the formats)"):
            read_plot(tmp_path / "cut")


@pytest.mark.parametrize("content", [b"", b"no picture", b"%PDF-1.4\n", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(QueryError, match=r"odd.png: "):
        read_plot(tmp_path / "odd.png")
    with pytest.raises(QueryError, match=r"none.png: cannot be read \(No such file"):
        read_plot(tmp_path / "none.png")


# --- resampling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 256), (7, 100), (16, 1000), (1, 1), (33, 64)])
def test_resampling_keeps_the_mean_and_the_place(shape: tuple[int, int]) -> None:
    power = signal()
    made = resampled(power, shape)
    assert made.shape == shape
    assert made.mean() == pytest.approx(power.mean())
    if shape == (16, 1000):
        np.testing.assert_allclose(made[:, 0], power[:, 0])
    if shape == (33, 64):
        np.testing.assert_allclose(resampled(power, (16, 64)), power.reshape(16, 64, 4).mean(axis=2))
    power[3] = np.nan
    assert np.isnan(resampled(power, (16, 64))[3]).all()
    assert np.isfinite(resampled(power, (8, 64))).all()


# --- the pictures of the notebook ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def readings() -> list[PlotReading]:
    return [read_plot(real_file(f"hip77257_lband_{i + 1}.png"), bar=bar) for i, bar in enumerate(BARS)]


def test_the_axes_of_real_plots_are_right_to_a_channel_and_a_row(readings: list[PlotReading]) -> None:
    """The picture's own lines give the truth: black frames at columns 66 and 462, and rows 32 and 402."""
    for reading in readings:
        assert reading.frame.edges == pytest.approx((66.5, 32.5, 462.5, 402.5), abs=1)
        assert reading.power.shape[0] == 16
        assert reading.power.shape[1] in (252, 253)  # the axes are 396.8 pixels wide, and edges 1.57 apart
        assert reading.colours.name == "viridis"
        assert reading.counted == (True, True)


def test_the_power_of_real_plots_is_that_which_was_recovered_before(readings: list[PlotReading]) -> None:
    """The older recovery took 256 points from column 68.75 to 460.25 of each picture, between neighbouring columns."""
    recovered = np.load(real_file("hip77257_lband_recovered.npy")).astype(np.float64)
    for reading, old in zip(readings, recovered, strict=True):
        left, top, right, bottom = reading.frame.edges
        points = 68.75 + (np.arange(256) + 0.5) * (460.25 - 68.75) / 256 - 0.5
        rows = [int(top + (i + 0.5) * (bottom - top) / 16) for i in range(16)][::-1]
        values = reading.colours.values(reading.picture[rows])
        low, high = reading.values
        decibels = low + values * (high - low)
        first = np.floor(points).astype(int)
        mixed = decibels[:, first] * (1 - (points - first)) + decibels[:, first + 1] * (points - first)
        power = 10 ** (mixed / 10)
        assert np.corrcoef(power.ravel(), old.ravel())[0, 1] >= 0.99
        ranks, old_ranks = (np.argsort(np.argsort(one.ravel())) for one in (power, old))
        assert np.corrcoef(ranks, old_ranks)[0, 1] >= 0.99
        # the cells have the values of the picture's own pixels
        inside = [int(left + (i + 0.5) * (right - left) / reading.power.shape[1]) for i in range(20, 230)]
        cells = 10 * np.log10(reading.power)[:, 20:230]
        assert (np.abs(cells - decibels[:, inside]) < 0.1).mean() > 0.9


def test_real_plots_find_one_another_before_noise_and_other_signals(readings: list[PlotReading]) -> None:
    others = read_real_set(real_file("voyager1_2020_crop.h5").parent)
    assert (len(others.noise), len(others.unrelated)) == (2000, 500)
    windows = np.concatenate([cut_array(reading.power, WindowGrid()) for reading in readings[:4]])
    encode = load_encoder("spectral").encode
    vectors = encode(cutouts_of_power(windows))
    distractors = np.concatenate([encode(others.noise), encode(others.unrelated)])
    assert len(vectors) == 4
    for i in range(4):
        kin = np.delete(vectors, i, axis=0) @ vectors[i]
        assert kin.min() > (distractors @ vectors[i]).max()
