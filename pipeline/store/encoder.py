"""Encoders as a corpus has them: one that needs a projection has that of the corpus, fitted once and never again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import EncoderConfig
from pipeline.model import WindowGrid
from pipeline.store.digests import Seal
from pipeline.store.layout import PROJECTION_COPY, projection_file
from pipeline.support.durable import make_folder, publish_folder

if TYPE_CHECKING:
    from pipeline.encoders import Encoder

# encoders load scipy, some TensorFlow: imported where one is made, so that a stored window is found without them


def is_fitted(root: Path, name: str) -> bool:
    """Tell whether the encoder ``name`` can make vectors for the corpus: it has its projection, or needs none."""
    from pipeline.encoders import needs_projection

    return not needs_projection(name) or projection_file(root, name).exists()


def corpus_encoder(root: Path, config: EncoderConfig, grid: WindowGrid) -> Encoder:
    """Load an encoder with the corpus' projection; one whose projection is yet to be fitted gives bare features.

    Raises
    ------
    ConfigError, EncoderError
        As :func:`pipeline.encoders.load_encoder` does.
    """
    from pipeline.encoders import load_encoder, needs_projection

    has_one = needs_projection(config.name) and is_fitted(root, config.name)
    projection = projection_file(root, config.name) if has_one else ""
    return load_encoder(
        config.name, grid=grid, weights=config.weights, projection=projection, precision=config.precision)


def freeze_projection(root: Path, name: str, staged: Path) -> None:
    """Make the file ``staged``, alone in its folder, the projection of the encoder ``name`` for good; and a copy of it.

    It is there twice because it could not be made anew: the corpus it was fitted to has grown since.

    Call it under the corpus' lock.

    Raises
    ------
    FileExistsError
        There is one already.
    """
    final = projection_file(root, name)
    make_folder(final.parent.parent)
    shutil.copyfile(staged, staged.with_name(PROJECTION_COPY))
    Seal.of(staged.parent).write()
    publish_folder(staged.parent, final.parent)
