"""The identity of a corpus: what decides its content. It is written once, and every run compares it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import CorpusDamaged, CorpusMismatch, CorpusNotFound
from pipeline.store.layout import IDENTITY, mending
from pipeline.support.durable import write_atomic

FORMAT = 2
_DIGEST = "sha256"


def write_identity(root: Path, identity: Mapping[str, Any]) -> None:
    """Write an identity. Values must be JSON; the keys ``format`` and ``sha256`` are not allowed."""
    if own := {"format", _DIGEST} & set(identity):
        raise ValueError(f"an identity cannot have the key {min(own)!r}: the store uses it")
    write_atomic(root / IDENTITY, identity_bytes(identity))


def identity_bytes(identity: Mapping[str, Any]) -> bytes:
    """Return the content of the file of an identity."""
    return json.dumps({"format": FORMAT, **identity, _DIGEST: _digest(identity)}, indent=1, allow_nan=False).encode()


def is_identity_in_current_format(root: Path) -> bool:
    """Return True if this version would write the identity byte for byte as it is on disk."""
    return (root / IDENTITY).read_bytes() == identity_bytes(read_identity(root))


def read_identity(root: Path) -> dict[str, Any]:
    """Read the identity of the corpus in ``root``.

    Raises
    ------
    CorpusNotFound
        There is no identity, so ``root`` is no corpus.
    CorpusDamaged
        The file is altered.
    CorpusMismatch
        Another version of the program made the corpus, in a format that this version does not read.
    """
    path = root / IDENTITY
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        format_number = record.pop("format")
        digest = record.pop(_DIGEST, None)
    except (FileNotFoundError, NotADirectoryError) as error:
        make = f"make one with: lookalike ingest DATA --corpus {root}"
        raise CorpusNotFound(f"{root}: there is no corpus here; {make}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusDamaged(f"{path}: no identity of a corpus ({error}); {mending(root)}") from error
    if format_number != FORMAT:
        remedy = "ingest the files into a new corpus" if format_number == 1 else "update the program"
        raise CorpusMismatch(f"{root}: corpus of format {format_number}, this program reads {FORMAT}; {remedy}")
    if digest != _digest(record):
        raise CorpusDamaged(f"{path}: does not match its digest; {mending(root)}")
    return record


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def compare_identity(root: Path, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise :class:`CorpusMismatch`, which lists every key that differs, unless both identities are equal."""
    differences = list(_differences(stored, json.loads(json.dumps(asked))))
    if differences:
        raise CorpusMismatch(f"{root}: this corpus has other settings: {'; '.join(differences)}; use its settings "
                             "in flags and corpus.toml, or name another folder")


def _differences(stored: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*stored, *asked}):
        old, new = stored.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}: corpus has {json.dumps(old)}, this run asks {json.dumps(new)}"
