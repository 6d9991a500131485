"""The receiver: radiometer noise, band shape, DC spikes and gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.signals import Axes


@dataclass(frozen=True, slots=True)
class Instrument:
    """Properties of the receiver, applied to mean-1 noise. The defaults resemble the fine product at Green Bank."""

    level: float = 1e9
    """Mean of the noise in the middle of a coarse channel, in counts."""
    edge_width: float = 0.06
    """Share of a coarse channel over which the band rolls off, at each end."""
    edge_depth: float = 0.6
    """Share of the power that is lost at the edge of a coarse channel."""
    ripple: float = 0.03
    """Relative amplitude of the ripple across a coarse channel."""
    dc_spike: float = 20.0
    """Excess of each coarse channel's DC bin, relative to the mean of the noise; 0 for none."""
    gain_spread: float = 0.01
    """Relative spread of the gain from row to row; all channels of a row share its gain. The spread is 0.08 under
    strong interference."""
    mantissa_bits: int = 23
    """Number of bits that each sample keeps of its 23-bit mantissa. Real files use all. Samples that keep 8 bits are
    compressed to a third of the size. Their steps are at most 0.04 σ if ``noise_spectra`` is 102, so windows look the
    same."""

    def band_shape(self, width: int) -> NDArray[np.float32]:
        """Return the relative gain (width,) across a coarse channel, in ascending frequency; about 1 in the middle."""
        place = (np.arange(width) + 0.5) / width
        to_edge = np.minimum(place, 1 - place)
        rolled = np.clip(1 - to_edge / self.edge_width, 0, 1) if self.edge_width > 0 else np.zeros(width)
        roll_off = 1 - self.edge_depth * np.sin(0.5 * np.pi * rolled) ** 2
        ripple = 1 + self.ripple * np.cos(2 * np.pi * (3 * place + 0.15))
        return (roll_off * ripple).astype(np.float32)

    def row_gains(self, rng: np.random.Generator, spectra: int) -> NDArray[np.float32]:
        """Draw the gain (spectra,) of each row: normal around 1 with ``gain_spread``, at least 0.2."""
        return np.maximum(1 + self.gain_spread * rng.standard_normal(spectra), 0.2).astype(np.float32)


GREEN_BANK = Instrument()


def noise(rng: np.random.Generator, shape: tuple[int, ...], axes: Axes) -> NDArray[np.float32]:
    """Draw radiometer noise of mean 1. Each bin is the mean of ``axes.noise_spectra`` exponential variables."""
    drawn = rng.standard_gamma(axes.noise_spectra, size=shape, dtype=np.float32)
    drawn *= np.float32(1 / axes.noise_spectra)
    return drawn


def round_mantissa(power: NDArray[np.float32], bits: int) -> None:
    """Round samples in place to ``bits`` of mantissa (0 to 23). The other bits become zeros, which compress well."""
    dropped = 23 - bits
    if dropped == 0:
        return
    raw = power.view(np.uint32)
    raw += np.uint32(1 << (dropped - 1))  # round half up; a carry into the exponent is correct
    raw &= np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
