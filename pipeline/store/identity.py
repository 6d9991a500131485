"""The identity of a corpus: what decides its content. It is written once, and every run compares it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pipeline.errors import CorpusDamaged, CorpusError, CorpusMismatch, CorpusNotFound
from pipeline.store.layout import IDENTITY, mending
from pipeline.support.durable import write_atomic
from pipeline.support.records import Bounds, json_of, value_of
from pipeline.support.regular_files import read_file

FORMAT = 2
MAX_IDENTITY_BYTES = 1 << 20
_DIGEST = "sha256"
_SINGLE: Any = bool | int | Annotated[float, Bounds(-1e300, 1e300)] | str | None
_VALUES: Any = dict[str, _SINGLE | list[_SINGLE] | dict[str, _SINGLE]]
"""Type of an identity: single values, lists of them, and tables of them."""


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
        record: dict[str, Any] = value_of(_VALUES, json_of(read_file(path, MAX_IDENTITY_BYTES)))
        format_number = value_of(int, record.pop("format"))
        digest = record.pop(_DIGEST, None)
    except (FileNotFoundError, NotADirectoryError) as error:
        make = f"make one with: lookalike ingest DATA --corpus {root}"
        raise CorpusNotFound(f"{root}: there is no corpus here; {make}") from error
    except PermissionError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}); ask its owner for permission") from error
    except OSError as error:
        raise CorpusDamaged(f"{path}: cannot be read ({error.strerror}); {mending(root)}") from error
    except (ValueError, KeyError) as error:
        raise CorpusDamaged(f"{path}: no identity of a corpus ({error}); {mending(root)}") from error
    if format_number != FORMAT:
        remedy = "ingest the files into a new corpus" if format_number == 1 else "update the program"
        raise CorpusMismatch(f"{root}: corpus of format {format_number}, this program reads {FORMAT}; {remedy}")
    if digest != _digest(record):
        raise CorpusDamaged(f"{path}: does not match its digest; {mending(root)}")
    return record


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Return a short digest of an identity. The order of keys does not matter."""
    return _digest(identity)[:16]


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def compare_identity(root: Path, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise :class:`CorpusMismatch`, which lists every key that differs, unless both identities are equal."""
    plain = json.loads(json.dumps(asked))
    if strange := [name for name, old, new in _pairs(stored, plain) if not _is_alike(old, new)]:
        raise CorpusDamaged(f"{root / IDENTITY}: {strange[0]} has a value of another type than this setting can have; "
                            f"{mending(root)}")
    differences = [f"{name}: corpus has {json.dumps(old)}, this run asks {json.dumps(new)}"
                   for name, old, new in _pairs(stored, plain) if old != new]
    if differences:
        raise CorpusMismatch(f"{root}: this corpus has other settings: {'; '.join(differences)}; use its settings "
                             "in flags and corpus.toml, or name another folder")


def _pairs(stored: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield name, stored value and asked value of each setting; None for a value that one of them lacks."""
    for key in sorted({*stored, *asked}):
        old, new = stored.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _pairs(old, new, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", old, new


def _is_alike(old: Any, new: Any) -> bool:
    """Return True if both can be values of one setting. None may stand for any value."""
    return old is None or new is None or _kind(old) == _kind(new)


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)
