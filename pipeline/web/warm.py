"""Loads what the first requests need while nobody waits for it: compiled code, the encoder, the sample of scores."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from pipeline.errors import PipelineError
from pipeline.search import SearchRequest
from pipeline.web.archive import Pinned
from pipeline.web.decoded import DecodedChannels

log = logging.getLogger(__name__)


def warm_up(pinned: Pinned, decoded: DecodedChannels) -> threading.Thread:
    """Search for a window that the corpus holds, and decode a tile, in a thread of its own; return the thread."""
    thread = threading.Thread(target=_load, args=(pinned, decoded), name="warm-up", daemon=True)
    thread.start()
    return thread


def _load(pinned: Pinned, decoded: DecodedChannels) -> None:
    with suppress(PipelineError):  # the first real request says what is wrong
        _search(pinned)
    with suppress(PipelineError):
        readable = next((scan_id for scan_id in pinned.scans if decoded.can_read(pinned, scan_id)), None)
        if readable is not None:
            decoded.cells(pinned, readable, 0, 1, 1, "max", range(1))
    log.info("ready")


def _search(pinned: Pinned) -> None:
    for source_id, entry in pinned.opened.manifest.sources.items():
        if entry.windows_kept and entry.vectors:
            number = int(pinned.opened.numbers(source_id)[0])
            pinned.corpus.answer(SearchRequest(window=f"{source_id}/{number}", k=1))
            return
