from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Header, Hit, OnOff, Window, WindowGrid
from pipeline.plot import MAX_HITS, Panel, Piece, draw_gallery, png_of_hits
from pipeline.plot.gallery import gallery
from pipeline.plot.panel import even_ticks
from pipeline.plot.tile import printable
from pipeline.search import QueryDescription
from pipeline.significance import Background
from pipeline.views import View

with warnings.catch_warnings():  # blimpy pins a version of pyparsing that imports deprecated modules
    warnings.simplefilter("ignore", DeprecationWarning)
    from matplotlib.figure import Figure
    from matplotlib.image import imread
    from matplotlib.text import Text

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
    return gallery(Result(noise()[0], hits, TILING.window("A", 7), query), noise(1, count))


def waterfalls(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.images]


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (1, 1), (5, 1), (6, 2), (10, 2), (50, 10)])
def test_each_row_begins_with_the_query_and_all_hits_are_drawn(hits: int, rows: int) -> None:
    panels = waterfalls(drawn(hits))
    assert len(panels) == hits + rows
    left = min(axes.get_position().x0 for axes in panels)
    queries = [axes for axes in panels if axes.get_title(loc="left") == "Query"]
    assert len(queries) == rows
    assert {axes.get_position().x0 for axes in queries} == {left}


def test_more_hits_than_a_picture_can_have_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.plot.gallery.MAX_HITS", 3)
    figure = drawn(5)
    assert len(waterfalls(figure)) == 4
    assert figure.texts[0].get_text().endswith("The best 3 of 5 hits are drawn.")
    assert MAX_HITS >= 50


def image_of(result: Result, powers: np.ndarray | list) -> np.ndarray:
    return imread(BytesIO(draw_gallery(result, powers)))


@pytest.mark.parametrize("hits", [0, 6, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 5, 10, 12))])
def test_makes_a_picture(hits: int) -> None:
    image = image_of(Result(noise()[0], [hit(i + 1) for i in range(hits)]), noise(1, hits))
    assert image.shape[0] > 250
    assert len(np.unique(image[..., :3].reshape(-1, 3), axis=0)) > 50


def test_axes_are_true_frequency_and_seconds() -> None:
    axes = waterfalls(drawn(2))[2]
    window = hit(2).window
    expected = [window.f_start_mhz, window.f_stop_mhz, window.t_start_s, window.t_stop_s]
    np.testing.assert_allclose(axes.images[0].get_extent(), expected, rtol=1e-12)
    assert window.t_start_s == pytest.approx(16 * 18.253611008)
    assert axes.get_xlabel() == "Frequency [MHz], 715 Hz across"
    assert waterfalls(drawn(2))[0].get_ylabel() == "Time [s]"
    places = {float(label.get_text()): at for label, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
    assert len(places) >= 2
    for said, at in places.items():
        assert at == pytest.approx(said, abs=1e-9)
        assert window.f_start_mhz <= at <= window.f_stop_mhz


def test_pixels_are_decibel_over_the_noise_low_frequency_left_early_time_below() -> None:
    power = np.ones((16, 256))
    power[2, 10] = 100
    power[3, 20] = np.nan
    image = waterfalls(gallery(Result(power), []))[0].images[0]
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
    low, high = waterfalls(gallery(Result(power), []))[0].images[0].get_clim()
    assert -2 < low < -0.5
    assert high == pytest.approx(10, abs=0.1)
    low, high = waterfalls(gallery(Result(np.ones((16, 256))), []))[0].images[0].get_clim()
    assert high - low == 3


def test_no_channel_is_too_narrow_for_a_pixel() -> None:
    power = np.ones((16, 256))
    power[:, ::2] = 100
    image = image_of(Result(power), [])
    along = image[image.shape[0] // 2, :, 1] > 0.5  # the green channel; viridis has little green at low power
    assert np.count_nonzero(along[1:] & ~along[:-1]) >= 128


def test_an_array_has_channels_and_spectra() -> None:
    axes = waterfalls(gallery(Result(noise()[0]), []))[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Channel", "Spectrum")


def test_the_legend_of_scores_is_never_over_middling_scores() -> None:
    counts = (0,) * 25 + (50,) * 50 + (0,) * 25
    scored = Background(9, counts=counts, unrelated_counts=tuple(range(60, 160)))  # fill that corner
    figure = gallery(Result(noise()[0], [hit(1)], background=scored), noise(1))
    axes, = (one for one in figure.axes if one.get_legend())
    figure.canvas.draw()
    x, y = axes.transAxes.inverted().transform(axes.get_legend().get_window_extent().min)
    assert x > 0.5
    assert y > 0.5


def test_hits_beside_an_array_have_a_label_of_their_own_for_time() -> None:
    panels = waterfalls(gallery(Result(noise()[0], [hit(1), hit(2)]), noise(1, 2)))

    assert [axes.get_ylabel() for axes in panels] == ["Spectrum", "Time [s]", ""]


def test_a_wide_window_is_measured_in_khz() -> None:
    tiling = Tiling(replace(HEADER, foff_mhz=-2.86e-3), WindowGrid(), CoarseLayout(2**16, "flag"))
    axes = waterfalls(drawn(1, window=tiling.window("A", 0)))[1]
    assert axes.get_xlabel() == "Frequency [MHz], 732 kHz across"
    assert axes.get_xlim()[1] - axes.get_xlim()[0] == pytest.approx(256 * 2.86e-3)


def test_short_windows_have_a_date_that_tells_them_apart_and_time_from_it() -> None:
    fast = replace(HEADER, tsamp_s=64e-6, nsamples=4_000_000, foff_mhz=-0.5, nchans=1024)
    tiling = Tiling(fast, WindowGrid(), CoarseLayout(1024, "whole-band"))
    first = 250_000 // 16 * tiling.windows_per_block
    hits = [hit(1, window=tiling.window("A", first)), hit(2, window=tiling.window("A", first + 4))]
    query, one, another = waterfalls(gallery(Result(noise()[0], hits, tiling.window("A", 0)), noise(1, 2)))
    dates = [axes.texts[1].get_text().split()[2] for axes in (one, another)]
    assert float(dates[1]) - float(dates[0]) == pytest.approx(16 * 64e-6 / 86_400, rel=0.01)
    assert one.get_ylim() == pytest.approx((0, 1024))
    assert query.get_ylabel() == "Time from MJD [µs]"


def test_the_state_of_on_off_is_on_the_tile() -> None:
    axes = waterfalls(drawn(1, on_off=OnOff("in OFF", ("B", "C"), ("B/1", "C/2"))))[1]
    assert axes.texts[2].get_text() == "in OFF (2 windows)"
    assert waterfalls(drawn(1, on_off=OnOff("ON only")))[1].texts[2].get_text() == "ON only"
    assert len(waterfalls(drawn(1))[1].texts) == 2


def test_a_colour_bar_that_clips_says_so() -> None:
    flat = np.ones((16, 256))
    figure = gallery(Result(flat), [])
    assert figure.texts[0].get_text() == ""
    assert pointed(figure) == ["neither"]
    bright = flat.copy()
    bright[:, 100] = 10
    bright[0, 0] = 1e6
    figure = gallery(Result(bright), [])
    assert "Pointed end" in figure.texts[0].get_text()
    assert pointed(figure) == ["max"]
    bright[1, 0] = 1e-6
    assert pointed(gallery(Result(bright), [])) == ["both"]


def pointed(figure: Figure) -> list[str]:
    return [axes._colorbar.extend for axes in figure.axes if getattr(axes, "_colorbar", None)]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (8419.5647, 8419.5654), (-3e-7, 5e6), (59000.0, 59000.0000001)])
def test_ticks_are_even_round_and_inside(low: float, high: float) -> None:
    at, digits = even_ticks(low, high, lambda step, digits: step * 10 >= high - low)
    assert 4 <= len(at) <= 11
    np.testing.assert_allclose(np.diff(at), at[1] - at[0], rtol=1e-3)
    assert low - (high - low) * 1e-3 <= at[0] < at[-1] <= high + (high - low) * 1e-3
    assert all(abs(float(f"{one:.{digits}f}") - one) < (high - low) * 1e-3 for one in at)


def test_where_no_two_labels_fit_there_is_one_tick() -> None:
    at, digits = even_ticks(1532.1, 1532.2, lambda step, digits: False)
    assert (at, digits) == ([1532.15], 3)


def test_each_hit_may_have_its_own_window_of_the_query_beside_it() -> None:
    hits = [hit(rank) for rank in range(1, 5)]
    asked = [(power, TILING.window("A", 60 + i)) for i, power in enumerate(noise(3, 4))]
    figure = gallery(Result(noise()[0], hits, TILING.window("A", 7)), noise(1, 4), None, asked)
    panels = waterfalls(figure)
    assert len(panels) == 8
    for i in range(4):
        query, found = panels[2 * i : 2 * i + 2]
        assert query.get_position().y0 == found.get_position().y0
        assert query.get_position().x0 < found.get_position().x0
        assert query.get_xlim()[0] == pytest.approx(TILING.window("A", 60 + i).f_start_mhz)
        assert found.get_title(loc="left").startswith(f"{i + 1}. ")


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
    figure = gallery(replace(result, background=replace(result.background, unrelated_counts=counts)), noise(1, hits))
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel() == "Score"]
    assert axes.get_title(loc="left").replace("\n", " ") == result.words_of_verdict
    heights = [patch.get_data().values.tolist() for patch in axes.patches]
    assert heights == [list(counts)] * 2
    head = waterfalls(figure)[1]
    assert head.get_title(loc="left") == "1.  score 0.990   by chance <1e-06"
    assert head.texts[1].get_text().endswith("SNR 12.3")
    figure.canvas.draw()
    drawn_at = [other.get_tightbbox() for other in figure.axes if other is not axes]
    assert not any(axes.get_tightbbox().overlaps(other) for other in drawn_at)


def test_scores_are_drawn_where_no_window_of_the_corpus_can_be_compared_with() -> None:
    scored = Background(9, counts=(0,) * 100, unrelated_counts=tuple(range(100)))
    figure = gallery(Result(noise()[0], [hit(1)], TILING.window("A", 7), background=scored), noise(1))
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel() == "Score"]
    [drawn_counts] = [patch.get_data().values.tolist() for patch in axes.patches]
    assert drawn_counts == list(range(100))
    figure.canvas.draw()


def test_a_window_of_an_averaged_view_has_its_own_axes_and_names_the_view() -> None:
    view = View(4, 4)
    tiling = Tiling(replace(HEADER, nsamples=128), WindowGrid(), CoarseLayout(2**16, "flag")).seen_through(view)
    window = tiling.window(view.id_of("A"), tiling.windows_per_block + 7)
    axes = waterfalls(drawn(1, window=window))[1]
    assert axes.texts[1].get_text() == "HIP77257  MJD 57436.51352  view f4t4"  # after 16 × 4 spectra
    # four times as wide and as long as the plain window; 7 windows of 1,024 channels above the lowest channel
    lowest_mhz = 1532.2 - (2**16 - 0.5) * 2.7939677238464355e-06
    expected = (lowest_mhz + one * 1024 * 2.7939677238464355e-06 for one in (7, 8))
    assert axes.get_xlim() == pytest.approx(tuple(expected), abs=1e-9)
    assert axes.get_ylim() == pytest.approx((64 * 18.253611, 128 * 18.253611))


def wide(window: Window, *starts: tuple[int, int], seed: int = 0) -> Panel:
    """Return a panel of windows that begin some blocks and windows after another one."""
    return Panel.around([Piece(window.spectrum_start + 16 * block, window.channel_start + 256 * at, power)
                         for (block, at), power in zip(starts, noise(seed, len(starts)), strict=True)])


def test_all_windows_of_a_pattern_are_drawn_where_they_lie() -> None:
    first, found = TILING.window("A", 7), hit(1, window=TILING.window("A", 40))
    panels = wide(first, (0, 0), (0, 3), (1, 3)), wide(found.window, (0, 0), (1, 3))
    result = Result(noise()[0], [found], first, QueryDescription(kind="file", file="/data/query.h5", target="HIP1"))
    query, axes = waterfalls(gallery(result, panels[1:], panels[0]))
    assert query.get_title(loc="left") == "Query: 3 windows"
    assert axes.get_title(loc="left") == "1.  score 0.990   2 of 3"
    width = 2.7939677238464355e-6  # MHz
    lowest = 1532.2 - (2**16 - 0.5) * width
    for one, pieces, at in ((query, 3, 7), (axes, 2, 40)):
        assert one.get_xlim() == pytest.approx((lowest + at * 256 * width, lowest + (at + 4) * 256 * width), abs=1e-9)
        assert one.get_ylim() == pytest.approx((0, 32 * 18.253611008))
        assert len(one.images) == pieces
    assert axes.images[1].get_extent() == pytest.approx(
        [lowest + 43 * 256 * width, lowest + 44 * 256 * width, 16 * 18.253611008, 32 * 18.253611008], abs=1e-9)
    assert axes.get_xlabel() == "Frequency [MHz], 2.86 kHz across"
    assert len({image.get_clim() for image in axes.images}) == 1


def test_a_line_in_a_narrow_window_of_a_wide_panel_is_not_lost() -> None:
    power = np.ones((16, 256))
    power[:, 77] = 100
    power[5, 200:] = np.nan
    panel = Panel.around([Piece(0, 0, power)], (0, 16, 0, 256 * 9))
    (axes,) = waterfalls(gallery(Result(noise()[0]), [], panel))
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
    figure = gallery(Result(noise()[0], [found], TILING.window("A", 7)), panels[1:], panels[0])
    figure.canvas.draw()
    _, axes = waterfalls(figure)
    assert axes.get_title(loc="left") == "10.  score 0.900   64 of 64"
    assert axes._left_title.get_window_extent().x1 <= axes.get_window_extent().x1


def test_an_array_has_no_target_and_no_time() -> None:
    assert list(waterfalls(gallery(Result(noise()[0]), []))[0].texts) == []


WIDE_NAME = "W" * 99
PRODUCTS = {
    "fine": HEADER,
    "fine, second block": replace(HEADER, nsamples=640, fch1_mhz=11_532.2),
    "fast": replace(HEADER, tsamp_s=64e-6, nsamples=4_000_000, foff_mhz=-0.5, nchans=1024),
    "Hz": replace(HEADER, foff_mhz=-1e-9, tsamp_s=1e4),
    "GHz": replace(HEADER, foff_mhz=8.0, nchans=512, tsamp_s=1e-3, fch1_mhz=40_000.0),
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("count", [1, 7])
def test_what_is_written_covers_nothing_and_stays_in_the_picture(product: str, count: int) -> None:
    """Check with the widest letters and tick labels."""
    header = PRODUCTS[product]
    tiling = Tiling(header, WindowGrid(), CoarseLayout(header.nchans, "flag"))
    power = noise(1, count + 1)
    power[:] = 10 ** (power.clip(0.9, 1.1) - 1)  # so small that tick labels have decimals and signs
    hits = [hit(rank, file="/d/" + WIDE_NAME, target=WIDE_NAME, expected=1.1e-7, extrapolated=True,
                window=tiling.window("A+f64t16", max(0, tiling.n_windows - rank)),
                on_off=OnOff("in OFF", seen=("A/1",) * 100))
            for rank in range(1, count + 1)]
    query = QueryDescription(kind="file", file=WIDE_NAME, target=WIDE_NAME)
    scored = Background(9, counts=tuple(range(100)), unrelated_counts=tuple(range(100)))
    figure = gallery(Result(power[0], hits, tiling.window("A", 1), query, scored, "10 convincing"), power[1:])
    assert_all_texts_are_apart_and_inside(figure)
    assert len(drawn_texts(figure)) > 15 * count


@pytest.mark.parametrize("product", ["fine", "fast"])
@pytest.mark.parametrize(("tiles", "columns"), [(1, None), (2, None), (2, 1), (5, None)])
def test_remarks_and_titles_stay_in_pictures_of_few_tiles(
        tiles: int, columns: int | None, product: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Figure] = []
    monkeypatch.setattr("pipeline.plot.gallery.bytes_of_figure", lambda figure, *_: made.append(figure))
    tiling = Tiling(PRODUCTS[product], WindowGrid(), CoarseLayout(PRODUCTS[product].nchans, "flag"))
    bright = noise(1, tiles)
    bright[:, :, 100], bright[:, 0, 0] = 10, 1e6  # so that colour bars clip
    hits = [hit(rank, file=f"/d/{WIDE_NAME}", target=WIDE_NAME, window=tiling.window("A", rank - 1), expected=1.1e-7,
                extrapolated=True, on_off=OnOff("in OFF", seen=("A/1",) * 100)) for rank in range(1, tiles + 1)]
    png_of_hits(hits, bright, columns)
    made.append(gallery(Result(bright[0], hits[1:], tiling.window("A", 0)), bright[1:]))
    monkeypatch.setattr("pipeline.plot.gallery.MAX_HITS", tiles - 1)
    made.append(gallery(Result(bright[0], hits, tiling.window("A", 0)), bright))
    for figure in made:
        assert "Pointed end" in figure.texts[0].get_text()
        assert_all_texts_are_apart_and_inside(figure)
    assert made[2].texts[0].get_text().replace("\n", " ").endswith(f"best {tiles - 1} of {tiles} hits are drawn.")


def assert_all_texts_are_apart_and_inside(figure: Figure) -> None:
    figure.canvas.draw()
    boxes = {text: text.get_window_extent() for text in drawn_texts(figure)}
    assert boxes
    for text, box in boxes.items():
        assert -1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1, text
        assert -1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1, text
    for (one, box), (other, more) in itertools.combinations(boxes.items(), 2):
        assert not box.padded(-0.5).overlaps(more.padded(-0.5)), (one, other)
    for axes in waterfalls(figure):
        panel = axes.get_window_extent()
        assert not any(box.padded(-0.5).overlaps(panel) for box in boxes.values())
        assert len(axes.get_xticks()) >= 1


def drawn_texts(figure: Figure) -> list[Text]:
    """Return all texts but labels of ticks beyond the ends of their axis, which are not drawn."""
    of_ticks = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
                for tick in (*axis.majorTicks, *axis.minorTicks) for label in (tick.label1, tick.label2)}
    shown = {tick.label1 for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()
             if tick.label1.get_visible()}
    texts = shown | {text for text in figure.findobj(Text) if text not in of_ticks and text.get_visible()}
    return [text for text in texts if text.get_text()]


def test_names_of_any_kind_are_drawn() -> None:
    odd = hit(1, file="/x/$\\frac{$ 天\n\udcff.h5", target="$x^{")
    query = QueryDescription(kind="file", file="/y/$_{天")
    assert draw_gallery(Result(noise()[0], [odd], description=query), noise())


def test_long_names_are_shortened_in_the_middle() -> None:
    name = "spliced_blc0001020304050607_guppi_57907_34727_HIP87579_0032.gpuspec.0000.h5"
    assert printable(name, 36) == "spliced_blc00010...32.gpuspec.0000.h5"[:16] + "..." + name[-17:]
    assert len(printable(name, 36)) == 36
    assert printable("short.h5", 36) == "short.h5"


@pytest.mark.parametrize(("kind", "begin"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("jpg", b"\xff\xd8"),
                                             ("webp", b"RIFF"), ("tiff", b"II*"), ("eps", b"%!PS")])
def test_other_formats(kind: str, begin: bytes) -> None:
    assert draw_gallery(Result(noise()[0], [hit(1)]), noise(1), kind=kind).startswith(begin)


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"format 'xyz'; use one of .*png"):
        draw_gallery(Result(noise()[0]), [], kind="xyz")


def test_leaves_pyplot_and_its_settings_alone() -> None:
    code = (
        "import sys, numpy as np\nfrom types import SimpleNamespace\n"
        "from pipeline import plot\nassert 'matplotlib' not in sys.modules\n"
        "class Result:\n    description = SimpleNamespace(file='', target=''); hits = (); query_window = None\n"
        "    query_power = lambda self: np.ones((16, 256))\n"
        "plot.draw_gallery(Result(), [])\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
