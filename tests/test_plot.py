from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Header, Hit, Window, WindowGrid
from pipeline.plot import Panel, Piece, _gallery, _printable, plot_gallery
from pipeline.search import QueryDescription
from pipeline.significance import Background
from pipeline.views import View

with warnings.catch_warnings():  # blimpy pins a version of pyparsing that imports deprecated modules
    warnings.simplefilter("ignore", DeprecationWarning)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imread

HEADER = Header(fch1_mhz=1532.2, foff_mhz=-2.7939677238464355e-06, nchans=2**16, nifs=1, nbits=32, tsamp_s=18.253611008,
                nsamples=32, tstart_mjd=57_436.5, source_name="HIP77257", telescope_id=6)
TILING = Tiling(HEADER, WindowGrid(), CoarseLayout(2**16, "flag"))


def hit(rank: int, **changes: object) -> Hit:
    file = "/data/GBT_57436_51432_HIP77257_fine.h5"
    made = Hit(rank, 1 - rank / 100, TILING.window("A", 255 + rank), "A", file, "HIP77257", 6, 12.3456)
    return replace(made, **changes)


NAMELESS = QueryDescription(kind="file")
NO_BACKGROUND = Background(0)


@dataclass(frozen=True)
class Result:
    power: np.ndarray
    hits: Sequence[Hit] = ()
    query_window: Window | None = None
    description: QueryDescription = NAMELESS
    background: Background = NO_BACKGROUND
    words_of_verdict: str = ""

    def query_power(self) -> np.ndarray:
        return self.power


def noise(seed: int = 0, count: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).gamma(102, 1 / 102, size=(count, 16, 256))


def drawn(count: int, **changes: object) -> Figure:
    hits = [hit(rank, **changes) for rank in range(1, count + 1)]
    query = QueryDescription(kind="file", file="/data/query.h5", target="HIP1")
    return _gallery(Result(noise()[0], hits, TILING.window("A", 7), query), noise(1, count))


def waterfalls(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.images]


@pytest.mark.parametrize(("hits", "panels"), [(0, 1), (1, 2), (5, 6), (6, 7), (10, 11), (12, 11)])
def test_shows_the_query_and_at_most_ten_hits(hits: int, panels: int) -> None:
    assert len(waterfalls(drawn(hits))) == panels


@pytest.mark.parametrize("hits", [0, 6, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 5, 10, 12))])
def test_writes_a_picture(tmp_path: Path, hits: int) -> None:
    path = plot_gallery(tmp_path / "gallery.png", Result(noise()[0], [hit(i + 1) for i in range(hits)]), noise(1, hits))
    image = imread(path)
    assert image.shape[0] > 250
    assert len(np.unique(image[..., :3].reshape(-1, 3), axis=0)) > 50


def test_axes_are_frequency_about_the_centre_and_seconds() -> None:
    axes = waterfalls(drawn(2))[2]
    window = hit(2).window
    half_hz = 128 * 2.7939677238464355
    expected = [-half_hz, half_hz, window.t_start_s, window.t_stop_s]
    np.testing.assert_allclose(axes.images[0].get_extent(), expected, rtol=1e-6)
    assert window.t_start_s == pytest.approx(16 * 18.253611008)
    centre = 1532.2 - (2**16 - 0.5) * 2.7939677238464355e-06 + (256 + 128) * 2.7939677238464355e-06
    assert axes.get_xlabel() == f"{centre:.6f} MHz + offset [Hz]"
    assert waterfalls(drawn(2))[0].get_ylabel() == "Time [s]"


def test_pixels_are_decibel_over_the_noise_low_frequency_left_early_time_below() -> None:
    power = np.ones((16, 256))
    power[2, 10] = 100
    power[3, 20] = np.nan
    image = waterfalls(_gallery(Result(power), []))[0].images[0]
    values = image.get_array()
    assert values[2, 10] == 20
    assert values[0, 0] == 0
    assert values.mask.sum() == 1
    assert values.mask[3, 20]
    assert image.origin == "lower"
    assert image.get_cmap().name == "viridis"


def test_colours_span_noise_and_signal_but_not_single_pixels() -> None:
    power = noise()[0]
    power[:, 100] = 10
    power[0, 0] = 1e6
    power[1, 0] = 1e-6
    low, high = waterfalls(_gallery(Result(power), []))[0].images[0].get_clim()
    assert -2 < low < -0.5
    assert high == pytest.approx(10, abs=0.1)
    low, high = waterfalls(_gallery(Result(np.ones((16, 256))), []))[0].images[0].get_clim()
    assert high - low == 3


def test_no_channel_is_too_narrow_for_a_pixel(tmp_path: Path) -> None:
    power = np.ones((16, 256))
    power[:, ::2] = 100
    image = imread(plot_gallery(tmp_path / "comb.png", Result(power), []))
    along = image[image.shape[0] // 2, :, 1] > 0.5  # the green channel; viridis has little green at low power
    assert np.count_nonzero(along[1:] & ~along[:-1]) >= 128


def test_an_array_has_channels_and_spectra() -> None:
    axes = waterfalls(_gallery(Result(noise()[0]), []))[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Channel", "Spectrum")


def test_a_wide_window_is_measured_in_khz() -> None:
    tiling = Tiling(replace(HEADER, foff_mhz=-2.86e-3), WindowGrid(), CoarseLayout(2**16, "flag"))
    axes = waterfalls(drawn(1, window=tiling.window("A", 0)))[1]
    assert axes.get_xlabel().endswith("offset [kHz]")
    assert axes.get_xlim()[1] == pytest.approx(128 * 2.86)


def test_titles_say_rank_score_snr_target_and_file() -> None:
    query, axes = waterfalls(drawn(1))
    assert [text.get_text() for text in query.texts] == ["query.h5", "HIP1  MJD 57436.50000"]
    assert query.get_title(loc="left") == "Query"
    assert axes.get_title(loc="left") == "1.  score 0.990   SNR 12.3"
    assert [text.get_text() for text in axes.texts] == [
        "GBT_57436_51432_HIP77257_fine.h5", "HIP77257  MJD 57436.50338"]
    _, axes = waterfalls(drawn(1, snr=135.46))
    assert axes.get_title(loc="left").endswith("SNR 135.5"), "as in the table"


@pytest.mark.parametrize("hits", [1, 10])
def test_the_background_is_drawn_with_the_verdict_and_titles_name_chance(hits: int) -> None:
    counts = tuple(range(100))
    made = [hit(rank, expected=3e-7, extrapolated=True) for rank in range(1, hits + 1)]
    result = Result(noise()[0], made, TILING.window("A", 7), background=Background(9, counts=counts),
                    words_of_verdict="10 convincing, 0 plausible; expected by chance 0.012")
    figure = _gallery(replace(result, background=replace(result.background, unrelated_counts=counts)), noise(1, hits))
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel() == "Score"]
    assert axes.get_title(loc="left").replace("\n", " ") == result.words_of_verdict
    heights = [patch.get_data().values.tolist() for patch in axes.patches]
    assert heights == [list(counts)] * 2
    head = waterfalls(figure)[1]
    assert head.get_title(loc="left") == "1.  score 0.990   by chance ~3e-07"
    assert head.texts[1].get_text().endswith("SNR 12.3")
    FigureCanvasAgg(figure).draw()
    drawn_at = [other.get_tightbbox() for other in figure.axes if other is not axes]
    assert not any(axes.get_tightbbox().overlaps(other) for other in drawn_at)


def test_a_window_of_an_averaged_view_has_its_own_axes_and_names_the_view() -> None:
    view = View(4, 4)
    tiling = Tiling(replace(HEADER, nsamples=128), WindowGrid(), CoarseLayout(2**16, "flag")).seen_through(view)
    window = tiling.window(view.id_of("A"), tiling.windows_per_block + 7)
    axes = waterfalls(drawn(1, window=window))[1]
    assert axes.texts[1].get_text() == "HIP77257  MJD 57436.51352  view f4t4"  # after 16 × 4 spectra
    # four times as wide and as long as the plain window; 7 windows of 1,024 channels above the lowest channel
    assert axes.get_xlim() == pytest.approx((-512 * 2.7939677, 512 * 2.7939677))
    assert axes.get_ylim() == pytest.approx((64 * 18.253611, 128 * 18.253611))
    lowest_mhz = 1532.2 - (2**16 - 0.5) * 2.7939677238464355e-06
    assert float(axes.get_xlabel().split()[0]) == pytest.approx(
        lowest_mhz + 7.5 * 1024 * 2.7939677238464355e-06, abs=1e-6)


def wide(window: Window, *starts: tuple[int, int], seed: int = 0) -> Panel:
    """Return a panel of windows that begin some blocks and windows after another one."""
    return Panel.around([Piece(window.spectrum_start + 16 * block, window.channel_start + 256 * at, power)
                         for (block, at), power in zip(starts, noise(seed, len(starts)), strict=True)])


def test_all_windows_of_a_pattern_are_drawn_where_they_lie() -> None:
    first, found = TILING.window("A", 7), hit(1, window=TILING.window("A", 40))
    panels = wide(first, (0, 0), (0, 3), (1, 3)), wide(found.window, (0, 0), (1, 3))
    result = Result(noise()[0], [found], first, QueryDescription(kind="file", file="/data/query.h5", target="HIP1"))
    query, axes = waterfalls(_gallery(result, panels[1:], panels[0]))
    assert query.get_title(loc="left") == "Query: 3 windows"
    assert axes.get_title(loc="left") == "1.  score 0.990   2 of 3"
    width = 2.7939677238464355  # Hz
    for one, pieces in ((query, 3), (axes, 2)):
        assert one.get_xlim() == pytest.approx((-512 * width, 512 * width))
        assert one.get_ylim() == pytest.approx((0, 32 * 18.253611008))
        assert len(one.images) == pieces
    assert axes.images[1].get_extent() == pytest.approx(
        [256 * width, 512 * width, 16 * 18.253611008, 32 * 18.253611008])
    centre = 1532.2 - (2**16 - 0.5) * 2.7939677238464355e-06 + (40 * 256 + 512) * 2.7939677238464355e-06
    assert axes.get_xlabel() == f"{centre:.6f} MHz + offset [Hz]"
    assert len({image.get_clim() for image in axes.images}) == 1


def test_a_line_in_a_narrow_window_of_a_wide_panel_is_not_lost() -> None:
    power = np.ones((16, 256))
    power[:, 77] = 100
    power[5, 200:] = np.nan
    panel = Panel.around([Piece(0, 0, power)], (0, 16, 0, 256 * 9))
    (axes,) = waterfalls(_gallery(Result(noise()[0]), [], panel))
    values = axes.images[0].get_array()
    assert values.shape[1] <= 257 / 9
    assert (values.max(axis=1) == 20).all()
    assert (values == 20).sum(axis=1).max() == 1
    assert values.mask[5, -1]
    assert not values.mask[4].any()


def test_the_longest_titles_of_wide_patterns_fit() -> None:
    found = hit(10, window=TILING.window("A", 300))
    starts = [(0, at) for at in range(64)]
    panels = [wide(one, *starts) for one in (TILING.window("A", 7), found.window)]
    figure = _gallery(Result(noise()[0], [found], TILING.window("A", 7)), panels[1:], panels[0])
    FigureCanvasAgg(figure).draw()
    _, axes = waterfalls(figure)
    assert axes.get_title(loc="left") == "10.  score 0.900   64 of 64"
    assert axes._left_title.get_window_extent().x1 <= axes.get_window_extent().x1


def test_an_array_has_no_target_and_no_time() -> None:
    assert list(waterfalls(_gallery(Result(noise()[0]), []))[0].texts) == []


def test_what_is_written_covers_nothing_and_stays_in_the_picture() -> None:
    """Check with the widest letters and tick labels."""
    power = noise(1, 2)
    power[:] = 10 ** (power.clip(0.9, 1.1) - 1)  # so small that tick labels have decimals and signs
    hits = [hit(rank, file="/d/" + "W" * 99, target="W" * 99) for rank in (1, 2)]
    query = QueryDescription(kind="file", file="W" * 99, target="W" * 99)
    figure = _gallery(Result(power[0], hits, TILING.window("A", 7), query), power)
    FigureCanvasAgg(figure).draw()
    for axes in waterfalls(figure):
        panel = axes.get_window_extent()
        head, name, observed = (text.get_window_extent() for text in (axes._left_title, *axes.texts))
        assert panel.y1 < name.y0 < name.y1 <= observed.y0 < observed.y1 <= head.y0
        assert name.x1 <= panel.x1
        assert head.y1 < figure.bbox.y1
    bars = [axes for axes in figure.axes if not axes.images]
    label = bars[-1].yaxis.label.get_window_extent()
    ticks = bars[-1].get_yticklabels()
    assert any(text.get_text() == "\N{MINUS SIGN}0.5" for text in ticks)
    assert max(text.get_window_extent().x1 for text in ticks) <= label.x0 < label.x1 < figure.bbox.x1 - 5


def test_names_of_any_kind_are_drawn(tmp_path: Path) -> None:
    odd = hit(1, file="/x/$\\frac{$ 天\n\udcff.h5", target="$x^{")
    query = QueryDescription(kind="file", file="/y/$_{天")
    plot_gallery(tmp_path / "odd.png", Result(noise()[0], [odd], description=query), noise())


def test_long_names_are_shortened_in_the_middle() -> None:
    name = "spliced_blc0001020304050607_guppi_57907_34727_HIP87579_0032.gpuspec.0000.h5"
    assert _printable(name, 36) == "spliced_blc00010...32.gpuspec.0000.h5"[:16] + "..." + name[-17:]
    assert len(_printable(name, 36)) == 36
    assert _printable("short.h5", 36) == "short.h5"


@pytest.mark.parametrize(("name", "message"), [
    ("picture.xyz", r"picture\.xyz: cannot draw a \.xyz; use one of .*png"),
    ("picture", "file without suffix"),
    ("no/such/folder/picture.png", "cannot be written"),
])
def test_where_it_cannot_be_written_it_says_so(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plot_gallery(tmp_path / name, Result(noise()[0]), [])


@pytest.mark.parametrize("suffix", ["pdf", "svg", "PNG"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    assert plot_gallery(tmp_path / f"g.{suffix}", Result(noise()[0], [hit(1)]), noise(1)).stat().st_size > 1000


def test_leaves_pyplot_and_its_settings_alone(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\nfrom types import SimpleNamespace\n"
        "from pipeline import plot\nassert 'matplotlib' not in sys.modules\n"
        "class Result:\n    description = SimpleNamespace(file='', target=''); hits = (); query_window = None\n"
        "    query_power = lambda self: np.ones((16, 256))\n"
        f"plot.plot_gallery({str(tmp_path / 'g.png')!r}, Result(), [])\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
