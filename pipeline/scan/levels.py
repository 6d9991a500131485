"""Relative levels of the channels of a file, which flattening divides by. They come from one of two measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.filterbank import Filterbank
from pipeline.grid.tiling import Tiling
from pipeline.scan.band_template import templates_of
from pipeline.scan.channel_levels import levels_of_narrow_band


@dataclass(frozen=True, slots=True)
class ChannelLevels:
    """Relative levels of the channels of some coarse channels of a file, for all of its views."""

    of_coarse: Mapping[int, NDArray[np.float32]]
    """Coarse channel → (channels,) from low frequency to high."""

    def of(self, i: int, channels: int) -> NDArray[np.float32] | None:
        """Return the levels of coarse channel ``i`` in a view in which it has this number of ``channels``.

        Those of a view with fewer channels are means of those of the file. None if the levels are not known.
        """
        levels = self.of_coarse.get(i)
        if levels is None:
            return None
        factor = 1
        while len(levels) // factor > channels:  # not a division: the last averaged pixel may have been left out
            factor *= 4
        return levels if factor == 1 else levels[: channels * factor].reshape(channels, factor).mean(axis=1)


def levels_of_channels(
    filterbank: Filterbank, tiling: Tiling, coarse: Iterable[int], config: ScanConfig
) -> ChannelLevels | None:
    """Measure the relative levels of the channels of some coarse channels, if the settings ask for it and it suits.

    The levels of a channel do not depend on which other ones are asked for.

    Parameters
    ----------
    filterbank : Filterbank
        The open file. All of its spectra are read, or many of them.
    tiling : Tiling
        Where the windows of its plain view are.
    coarse : iterable of int
        Coarse channels.
    config : ScanConfig
        ``channel_levels`` and ``band_template`` say which levels are wanted.

    Returns
    -------
    ChannelLevels or None
        None if no levels are known.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    narrow = levels_of_narrow_band(filterbank, tiling.coarse, config)
    if narrow is not None:
        return ChannelLevels({i: narrow[slice(*tiling.coarse_span(i))] for i in coarse})
    templates = templates_of(filterbank, tiling, coarse) if config.band_template else {}
    return ChannelLevels(templates) if templates else None
