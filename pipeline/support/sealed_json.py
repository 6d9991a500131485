"""JSON objects whose last key, ``sha256``, is the digest of the text before it. A reader sees whether one is whole.

Programs that do not know the key ignore it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

_SEAL = re.compile(rb',"sha256":"([0-9a-f]{64})"}')
_SEAL_BYTES = len(',"sha256":""}') + 64


def sealed(pieces: Iterable[str]) -> Iterator[bytes]:
    """Yield the text of a JSON object, given in pieces of ASCII, with its digest as the last key.

    The digest is that of the text without this key. The object must have at least one key.
    """
    digest, before = hashlib.sha256(), b""
    for piece in pieces:
        yield before
        before = piece.encode("ascii")
        digest.update(before)
    yield before[:-1] + b',"sha256":"%s"}' % digest.hexdigest().encode()


def is_whole(content: bytes) -> bool:
    """Return True if the text of a JSON object matches the digest at its end."""
    match = _SEAL.fullmatch(content[-_SEAL_BYTES:])
    return match is not None and hashlib.sha256(content[:-_SEAL_BYTES] + b"}").hexdigest().encode() == match[1]
