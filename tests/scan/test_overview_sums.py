"""The overview that a scan makes equals one that naive loops make of its flattened power."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ScanConfig
from pipeline.filterbank import Buffer, open_filterbank, write_filterbank
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.overview import OverviewLayout, Pyramid, cells_of_channels
from pipeline.scan import scan, tiling_of
from pipeline.scan.cutting import flattened_stretches
from pipeline.scan.overview_sums import add_power
from tests.overview.naive import assert_codes_are, naive_overview
from tests.run.small import COARSE, header, noisy_power

N = 51.0


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize(("spectra", "channels", "first", "left_out"), [
    (3, 2048, 0, 0), (16, 1000, 77, 3), (1, 31, 250, 0), (2, 768, 128, 256),
])
def test_sums_are_those_of_each_pixel(
    is_mirrored: bool, spectra: int, channels: int, first: int, left_out: int
) -> None:
    rng = np.random.default_rng(channels)
    power = rng.gamma(N, 1 / N, (spectra, channels)).astype(np.float32)
    for value in (0, -1, np.nan, np.inf):
        power[rng.integers(0, spectra, 5), rng.integers(channels // 2, channels, 5)] = value
    gain, band = rng.uniform(0.5, 2, spectra).astype(np.float32), rng.uniform(0.5, 2, channels).astype(np.float32)
    band[channels // 3] = 0
    if spectra > 2:
        gain[1] = 0
    flat = replace(
        FlattenedChannel.from_flat(power, N), row_scale=gain, channel_scale=band, is_mirrored=is_mirrored,
        stored=np.ascontiguousarray(power[:, ::-1]) if is_mirrored else power,
        is_unmasked=(power > 0).all(axis=0) & (power < np.inf).all(axis=0) & (band > 0) & (gain > 0).all())
    used = channels - left_out
    layout = OverviewLayout(first + used, spectra + 2)
    cells = cells_of_channels(layout, first, first + used)
    add_power(cells, layout, flat, used, first, 2)
    pyramid = Pyramid(layout)
    pyramid.add(cells)
    scale = gain[:, None].astype(float) * band
    is_valid = (power > 0) & (power < np.inf) & (scale > 0)
    values = np.full((spectra + 2, first + used), np.nan)
    values[2:, first:] = np.where(is_valid, (np.where(is_valid, power, 1) * scale - 1) * N**0.5, np.nan)[:, :used]
    assert_codes_are(pyramid.codes(), naive_overview(values))


@pytest.mark.parametrize(("channels", "channel", "spectrum"), [(600, 0, 0), (0, 0, 0), (512, 1, 0), (9, 0, 1)])
def test_power_outside_the_cells_is_refused(channels: int, channel: int, spectrum: int) -> None:
    layout = OverviewLayout(512, 4)
    flat = FlattenedChannel.from_flat(np.ones((4, 550), np.float32), N)
    with pytest.raises(IndexError, match="not among the cells"):
        add_power(cells_of_channels(layout, 0, 512), layout, flat, channels, channel, spectrum)


def flattened_file(path: Path, config: ScanConfig) -> np.ndarray:
    """Return what a scan flattens, as standard deviations of the noise; NaN where masked or not scanned."""
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        values = np.full((tiling.header.nsamples, tiling.header.nchans), np.nan)
        for block in range(tiling.n_blocks):
            rows = slice(tiling.spectrum_of(block), tiling.spectrum_of(block) + 16)
            new = slice(16 * block, rows.stop)
            for i in filter(tiling.positions, range(tiling.n_coarse)):
                low, high = tiling.coarse_span(i)
                samples = filterbank.fetch(rows.start, rows.stop, low, high, Buffer())
                for first, stop, flat in flattened_stretches(samples, tiling, i, block, 0, [], 1):
                    image = flat.windows(np.array([0]), stop - first)[0].astype(float)
                    values[new, low + first : low + stop] = np.where(
                        image > 0, (image - 1) * flat.noise_spectra**0.5, np.nan)[new.start - rows.start :]
    return values


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("changes", [
    {}, {"step": 100}, {"cover": True}, {"f_start_mhz": 8419.46, "f_stop_mhz": 8419.49}])
def test_a_scan_makes_the_overview_of_what_it_flattens(tmp_path: Path, sign: int, changes: dict[str, float]) -> None:
    config = replace(ScanConfig(coarse_width=COARSE), **changes)  # type: ignore[arg-type]
    like = header(nchans=2 * COARSE + 5003, nsamples=86)
    like = replace(like, foff_mhz=sign * abs(like.foff_mhz), fch1_mhz=8419.5 if sign < 0 else 8419.46)
    power = noisy_power(3, like)
    power[:, 2000:2300] = 0
    power[3, 9000:9700] = np.nan
    power[16:32, 300] = power[16, 300]
    path = write_filterbank(tmp_path / "scan.fil", power, like)
    layout = OverviewLayout.of(like)
    assert layout.spectra_per_row == 2
    pyramid = Pyramid(layout)
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        plain = list(scan(filterbank, tiling, range(tiling.n_coarse), config))
        seen = []
        for part in (range(1), range(1, tiling.n_coarse)):
            cells = cells_of_channels(layout, tiling.coarse_span(part[0])[0], tiling.coarse_span(part[-1])[1])
            seen += scan(filterbank, tiling, part, config, cells)
            pyramid.add(cells)
    values = flattened_file(path, config)
    assert np.isfinite(values).mean() > (0.4 if "f_start_mhz" in changes else 0.85)
    assert_codes_are(pyramid.codes(), naive_overview(values))
    for one, other in zip(seen, plain, strict=True):  # windows stay as they are
        assert all((one.windows[name] == other.windows[name]).all() for name in one.windows)
