"""Load a worker's encoder before its first task: ``dask worker … --preload pipeline.execute.preload_encoder``.

The encoder is ``spectral``, or the one that Dask's setting ``lookalike.encoder`` names
(``DASK_LOOKALIKE__ENCODER=resnet50``). A worker without the weights does not start, because all its embed tasks would
fail.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.config import EncoderConfig, ScanConfig
from pipeline.encoders import load_encoder
from pipeline.errors import PipelineError


def dask_setup(worker: Any) -> None:
    """Load the encoder, and encode one batch, so that its code is compiled before the first task.

    Raises
    ------
    SystemExit
        The encoder cannot be loaded. Dask would only log any other exception, and start the worker.
    """
    from dask import config

    grid = ScanConfig().grid
    try:
        encoder = load_encoder(config.get("lookalike.encoder", EncoderConfig().name), grid=grid)
    except PipelineError as error:
        raise SystemExit(str(error)) from error
    encoder.encode(np.zeros((1, grid.integrations, grid.channels), np.uint8))
