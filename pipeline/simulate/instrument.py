"""The receiver: radiometer noise, band shape, DC spikes, gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.signals import Axes


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the receiver does to mean-1 noise; the defaults look like the fine product at Green Bank."""

    level: float = 1e9
    """Counts of the noise in mid-channel."""
    edge_width: float = 0.06
    """Share of a coarse channel, at either end, over which the band rolls off."""
    edge_depth: float = 0.6
    """Share of the power lost at the very edge."""
    ripple: float = 0.03
    """Amplitude of the waves across a coarse channel."""
    dc_spike: float = 20.0
    """Excess of each coarse channel's DC bin, in means of the noise; 0 for none."""
    gain_spread: float = 0.01
    """Relative spread of the gain of whole rows, common to the band; 0.08 under strong interference."""
    mantissa_bits: int = 23
    """Bits kept of each sample's 23-bit mantissa. Real files use all; 8 (steps of at most 0.04 σ at 102
    noise_spectra) compress to a third of the size and change nothing that a window could show."""

    def band_shape(self, width: int) -> NDArray[np.float32]:
        """Relative gain across a coarse channel of ``width`` fine channels, ascending; about 1 inside."""
        place = (np.arange(width) + 0.5) / width
        to_edge = np.minimum(place, 1 - place)
        rolled = np.clip(1 - to_edge / self.edge_width, 0, 1) if self.edge_width > 0 else np.zeros(width)
        roll_off = 1 - self.edge_depth * np.sin(0.5 * np.pi * rolled) ** 2
        ripple = 1 + self.ripple * np.cos(2 * np.pi * (3 * place + 0.15))
        return (roll_off * ripple).astype(np.float32)

    def row_gains(self, rng: np.random.Generator, spectra: int) -> NDArray[np.float32]:
        """Gain of each row: 1 with the stated spread, never below a fifth."""
        return np.maximum(1 + self.gain_spread * rng.standard_normal(spectra), 0.2).astype(np.float32)


GREEN_BANK = Instrument()


def noise(rng: np.random.Generator, shape: tuple[int, ...], axes: Axes) -> NDArray[np.float32]:
    """Draw radiometer noise of mean 1: each bin the mean of ``axes.noise_spectra`` exponentials."""
    drawn = rng.standard_gamma(axes.noise_spectra, size=shape, dtype=np.float32)
    drawn *= np.float32(1 / axes.noise_spectra)
    return drawn


def keep_mantissa(power: NDArray[np.float32], bits: int) -> None:
    """Round samples in place to ``bits`` of mantissa (0 to 23): the rest is zeros, which compress well."""
    dropped = 23 - bits
    if dropped == 0:
        return
    raw = power.view(np.uint32)
    raw += np.uint32(1 << (dropped - 1))  # round half up; a carry into the exponent is the right next value
    raw &= np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
