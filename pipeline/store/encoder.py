"""Encoders of a corpus. An encoder that needs a projection gets the one that was fitted once for this corpus."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import EncoderConfig
from pipeline.model import EncoderSpec, WindowGrid
from pipeline.store.corpus import CorpusStore
from pipeline.store.digests import Digests
from pipeline.store.layout import PROJECTION_COPY, pasted, projection_file
from pipeline.support.durable import make_folder, publish_folder

if TYPE_CHECKING:
    from pipeline.encoders import Encoder

# Encoders load scipy, and some load TensorFlow. They are imported where one is made, so that a search for a stored
# window does without them.


def is_fitted(root: Path, name: str) -> bool:
    """Return True if the encoder ``name`` can make vectors: the corpus has its projection, or it needs none."""
    from pipeline.encoders import needs_projection

    return not needs_projection(name) or projection_file(root, name).exists()


def encoder_config(spec: EncoderSpec, weights: str) -> EncoderConfig:
    """Return the settings of an encoder whose vectors are stored, with the path of its weights."""
    return EncoderConfig(spec.name, weights, spec.precision, spec.version)


def corpus_encoder(root: Path, config: EncoderConfig, grid: WindowGrid) -> Encoder:
    """Load an encoder with the projection of the corpus. Without a fitted projection, the encoder returns bare
    features.

    Raises
    ------
    ConfigError, EncoderError
        See :func:`pipeline.encoders.load_encoder`.
    """
    from pipeline.encoders import load_encoder, needs_projection

    has_one = needs_projection(config.name) and is_fitted(root, config.name)
    projection = projection_file(root, config.name) if has_one else ""
    return load_encoder(
        config.name, grid=grid, weights=config.weights, projection=projection, precision=config.precision,
        version=config.version)


def embedding(root: Path, config: EncoderConfig) -> str:
    """Return the command that makes vectors of an encoder, ready to be pasted.

    If the encoder comes without weights and none are named, the command that makes some is given first.
    """
    from pipeline.encoders import has_weights

    train, weights = "", config.weights
    if not weights and not has_weights(config.name):
        weights = f"{config.name}.npz"
        train = f"lookalike train {config.name} --out {weights}, and then "
    named = f" --weights {shlex.quote(weights)}" if weights else ""
    return train + pasted(f"lookalike embed --encoder {config.name}{named}", root)


def freeze_projection(root: Path, name: str, staged: Path) -> None:
    """Publish the file ``staged`` as the projection of the encoder ``name``, with a copy beside it.

    The copy guards against damage: the projection cannot be fitted again, because the corpus grows. Call this function
    under the lock of the corpus.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    name : str
        Name of the encoder.
    staged : Path
        File of the projection, alone in its folder.

    Raises
    ------
    FileExistsError
        The corpus has a projection for this encoder already.
    """
    final = projection_file(root, name)
    make_folder(final.parent.parent)
    shutil.copyfile(staged, staged.with_name(PROJECTION_COPY))
    Digests.of(staged.parent).write()
    publish_folder(staged.parent, final.parent)


def forget_unused(store: CorpusStore, name: str) -> None:
    """Take encoders of a name that have no vectors out of a corpus, and the projection if none of them is left.

    Call this function under the lock of the corpus.
    """
    manifest = store.manifest()
    used = {key for entry in manifest.sources.values() for key in entry.vectors}
    unused = {key for key, spec in manifest.encoders.items() if spec.name == name and key not in used}
    if not unused:
        return
    folder = projection_file(store.root, name).parent
    if folder.exists() and not any(spec.name == name for key, spec in manifest.encoders.items() if key in used):
        store.discard(folder)  # first: a projection without an encoder would be used with other weights
    store.publish(lambda manifest: replace(
        manifest,
        encoders={key: spec for key, spec in manifest.encoders.items() if key not in unused},
        weights={key: path for key, path in manifest.weights.items() if key not in unused},
    ))
