"""What a corpus was made with, written once and compared on every reopening."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.durable import write_atomic
from pipeline.errors import CorpusDamaged, CorpusMismatch, CorpusNotFound
from pipeline.store.layout import IDENTITY

FORMAT = 1


def write_identity(root: Path, identity: Mapping[str, Any]) -> None:
    """Write ``identity``, any JSON mapping without the key ``format``, which is the folder's own."""
    if "format" in identity:
        raise ValueError("the key 'format' of an identity is the store's own")
    record = {"format": FORMAT, **identity}
    write_atomic(root / IDENTITY, json.dumps(record, indent=1, allow_nan=False).encode())


def read_identity(root: Path) -> dict[str, Any]:
    """Read the identity of the corpus in ``root``.

    Raises
    ------
    CorpusNotFound, CorpusDamaged, CorpusMismatch
        There is none; it is not readable; a newer version of the program made it.
    """
    path = root / IDENTITY
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        format_number = record.pop("format")
    except (FileNotFoundError, NotADirectoryError) as error:
        advice = f"make one with: lookalike ingest DATA --corpus {root}"
        raise CorpusNotFound(f"{root}: there is no corpus here; {advice}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusDamaged(f"{path}: no identity of a corpus ({error}); restore it from a copy") from error
    if not isinstance(format_number, int) or format_number > FORMAT:
        raise CorpusMismatch(f"{root}: corpus of format {format_number}, this program reads {FORMAT}: update")
    return record


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
