"""An overview by plain numpy loops, one cell after another."""

from __future__ import annotations

import numpy as np

Images = list[tuple[np.ndarray, np.ndarray]]
"""Maximum and mean of each level, (rows, columns); NaN where no pixel is valid."""


def naive_overview(values: np.ndarray) -> Images:
    """Return all levels, of normalised power (spectra, channels) with NaN for masked pixels."""
    spectra, channels = values.shape
    per_row = 1
    while -(-spectra // per_row) > 64:
        per_row += 1
    images, width = [], 256
    while True:
        shape = len(range(0, spectra, per_row)), len(range(0, channels, width))
        largest, mean = np.full(shape, np.nan), np.full(shape, np.nan)
        for row in range(shape[0]):
            for column in range(shape[1]):
                cell = values[row * per_row : (row + 1) * per_row, column * width : (column + 1) * width]
                if np.isfinite(cell).any():
                    largest[row, column], mean[row, column] = np.nanmax(cell), np.nanmean(cell, dtype=float)
        images.append((largest, mean))
        if shape[1] <= 64:
            return images
        width *= 4


def assert_codes_are(codes: np.ndarray, images: Images) -> None:
    """Compare codes (columns, 2, rows) with a naive overview: the same cells are masked, others differ by rounding."""
    # from the formula of the code, in steps
    expected = np.concatenate([np.stack([image.T for image in level], axis=1) for level in images])
    assert codes.shape == expected.shape
    assert ((codes == 0) == np.isnan(expected)).all()
    steps = np.clip(61 + 11 * np.arcsinh(16 * expected), 1, 255)
    assert np.nanmax(np.abs(codes - steps)) < 0.56  # half a step, and the digits that the code drops
