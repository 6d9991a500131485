"""Load a worker's encoder before its first task: ``dask worker … --preload pipeline.execute.preload_encoder``.

It is the default encoder, or what Dask's setting ``lookalike.encoder`` names (``DASK_LOOKALIKE__ENCODER=resnet50``).
Without its weights a worker does not start: its embed tasks would all fail.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.config import EncoderConfig, ScanConfig
from pipeline.encoders import load_encoder
from pipeline.errors import PipelineError


def dask_setup(worker: Any) -> None:
    """Load the encoder as embed tasks will, and compile what it compiles: one batch is encoded.

    Raises
    ------
    SystemExit
        It cannot be loaded. Any other exception Dask would log, and go on.
    """
    from dask import config

    grid = ScanConfig().grid
    try:
        encoder = load_encoder(config.get("lookalike.encoder", EncoderConfig().name), grid=grid)
    except PipelineError as error:
        raise SystemExit(str(error)) from error
    encoder.encode(np.zeros((1, grid.integrations, grid.channels), np.uint8))
