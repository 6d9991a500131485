"""What a corpus was made with, written once and compared on every reopening."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.durable import write_atomic
from pipeline.errors import CorpusDamaged, CorpusMismatch, CorpusNotFound
from pipeline.store.layout import IDENTITY, mending

FORMAT = 2
"""2 added the digest."""
_DIGEST = "sha256"


def write_identity(root: Path, identity: Mapping[str, Any]) -> None:
    """Write ``identity``, any JSON mapping without the keys ``format`` and ``sha256``, which are the folder's own."""
    if own := {"format", _DIGEST} & set(identity):
        raise ValueError(f"the key {min(own)!r} of an identity is the store's own")
    write_atomic(root / IDENTITY, identity_bytes(identity))


def identity_bytes(identity: Mapping[str, Any], format_number: int = FORMAT) -> bytes:
    """Return what is written of an identity, byte for byte; the first format had no digest."""
    digest = {_DIGEST: _digest(identity)} if format_number > 1 else {}
    return json.dumps({"format": format_number, **identity, **digest}, indent=1, allow_nan=False).encode()


def is_identity_in_current_format(root: Path) -> bool:
    """Tell whether this version would write the identity byte for byte as it is on disk."""
    return (root / IDENTITY).read_bytes() == identity_bytes(read_identity(root))


def read_identity(root: Path) -> dict[str, Any]:
    """Read the identity of the corpus in ``root``.

    Raises
    ------
    CorpusNotFound, CorpusDamaged, CorpusMismatch
        There is none; it is not what was written; a newer version of the program made it.
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
    if not isinstance(format_number, int) or format_number > FORMAT:
        raise CorpusMismatch(f"{root}: corpus of format {format_number}, this program reads {FORMAT}: update")
    if digest != _digest(record) and (format_number, digest) != (1, None):
        raise CorpusDamaged(f"{path}: does not match its digest; {mending(root)}")
    return record


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def compare_identity(root: Path, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise :class:`CorpusMismatch` that lists every key in which the two differ."""
    differences = list(_differences(stored, json.loads(json.dumps(asked))))
    if differences:
        raise CorpusMismatch(f"{root}: this corpus was made otherwise: {'; '.join(differences)}; ask the same by flags "
                             "and corpus.toml, or name another folder")


def _differences(stored: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*stored, *asked}):
        old, new = stored.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}: corpus has {json.dumps(old)}, this run asks {json.dumps(new)}"
