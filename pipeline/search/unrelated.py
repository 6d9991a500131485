"""The unrelated signals that a query is compared with: their vectors by any encoder, and their cutouts.

The package has the vectors of the default encoder and of the versions before it. Everything else is made when it is
first needed, which takes some seconds, and kept in the user's cache, in a folder that only this user can read.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, EncoderError
from pipeline.search.query import embed
from pipeline.search.snapshot import OpenCorpus
from pipeline.significance import digest_of_unrelated, unrelated_vectors
from pipeline.support.array_headers import evaluated
from pipeline.support.durable import write_atomic
from pipeline.support.private_paths import make_private_folder, user_cache
from pipeline.support.regular_files import read_file

CUTOUT_SHAPE = (16, 256)
"""Spectra and channels of a cutout of an unrelated signal."""
MAX_BYTES = 1 << 26
"""Largest size of a file in the cache."""
_DIGEST_BYTES = hashlib.sha256().digest_size
_news: list[str] = []


@dataclass(frozen=True, slots=True)
class Unrelated:
    """Vectors of unrelated signals, or why there are none."""

    vectors: NDArray[np.float32] | None = None
    """(n, d) of length 1."""
    reason: str = ""
    """Why there are none; empty if there are."""


def unrelated_of(corpus: OpenCorpus, encoder_key: str) -> Unrelated:
    """Return the vectors of unrelated signals by an encoder of a corpus. They are kept while the corpus is open."""
    vectors = unrelated_vectors(encoder_key)
    if vectors is not None:
        return Unrelated(vectors)
    return corpus.keep_object(("unrelated", encoder_key), lambda: _encoded(corpus, encoder_key))


def _encoded(corpus: OpenCorpus, encoder_key: str) -> Unrelated:
    """Encode the unrelated signals, or read what was encoded before."""
    none = f"there are no simulated signals to compare with for the encoder {encoder_key}"

    def encoded() -> NDArray[np.float16]:
        from pipeline.encoders import needs_projection  # loads scipy

        if needs_projection(corpus.manifest.encoders[encoder_key].name):
            raise EncoderError("it would take minutes to encode them")
        return embed(corpus, encoder_key, unrelated_cutouts())[0].astype(np.float16)

    try:
        vectors = _kept(encoder_key, encoded, (corpus.manifest.encoders[encoder_key].dimension,), np.float16)
    except (ConfigError, EncoderError) as error:
        return Unrelated(reason=f"{none}: {error}")
    wide = vectors.astype(np.float32)
    return Unrelated(wide / np.linalg.norm(wide, axis=1, keepdims=True))


@lru_cache(maxsize=1)
def unrelated_cutouts() -> NDArray[np.uint8]:
    """Return the cutouts (n, T, F) of the unrelated signals, in the order of their vectors."""
    def simulated() -> NDArray[np.uint8]:
        from pipeline.simulate import every_unrelated_cutout  # loads more than most searches need

        return every_unrelated_cutout()

    return _kept("cutouts", simulated, CUTOUT_SHAPE, np.uint8)


def take_news() -> str:
    """Say what was made for the first time since the last call; an empty text for nothing."""
    words = "; ".join(_news)
    _news.clear()
    return words


def _kept(name: str, make: Callable[[], NDArray[Any]], shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
    """Return an array that is kept in the user's cache. If it is not there, damaged, or not of this kind, make it.

    Each of its rows has ``shape``, and its values are of ``kind``.

    The name of its file has the digest of the vectors in the package: these are made again when the simulation changes.
    Where others can change the cache, or it cannot be written, nothing is kept.
    """
    path = user_cache() / "unrelated" / f"{re.sub('[^A-Za-z0-9.-]', '_', name)}-{digest_of_unrelated()}.npy"
    try:
        make_private_folder(path.parent)
        refused = ""
    except ConfigError as error:
        refused = str(error)
    if not refused and (found := _read(path)) is not None and len(found) and (
            found.shape[1:], found.dtype) == (shape, np.dtype(kind)):
        return found
    began = time.monotonic()
    made = make()
    if not refused:
        try:
            content = io.BytesIO()
            np.save(content, made)
            write_atomic(path, hashlib.sha256(content.getvalue()).digest() + content.getvalue())
        except OSError as error:
            refused = str(error)
    what = f"{len(made):,} unrelated signals were {'simulated' if name == 'cutouts' else f'encoded by {name}'}"
    _news.append(f"{what} in {time.monotonic() - began:.0f} s, and are kept for the next search in {path.parent}"
                 if not refused else f"{what} in {time.monotonic() - began:.0f} s, and are not kept: {refused}")
    return made


def _read(path: Path) -> NDArray[Any] | None:
    """Read an array; None if there is none, or if it does not fit its digest."""
    try:
        content = read_file(path, MAX_BYTES, is_text=False)
    except OSError:
        return None
    digest, array = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(array).digest() != digest:
        return None
    return np.asarray(evaluated(lambda: np.load(io.BytesIO(array), allow_pickle=False)))
