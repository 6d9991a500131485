"""Loads what the first requests need while nobody waits for it: compiled code, the encoder, the sample of scores."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from pipeline.errors import PipelineError
from pipeline.search import SearchRequest
from pipeline.web.archive import Pinned

log = logging.getLogger(__name__)


def warm_up(pinned: Pinned) -> threading.Thread:
    """Search once for a window that the corpus holds, in a thread of its own; return the thread."""
    thread = threading.Thread(target=_search, args=(pinned,), name="warm-up", daemon=True)
    thread.start()
    return thread


def _search(pinned: Pinned) -> None:
    with suppress(PipelineError):  # the first real search says what is wrong
        for source_id, entry in pinned.opened.manifest.sources.items():
            if entry.windows_kept and entry.vectors:
                number = int(pinned.opened.numbers(source_id)[0])
                pinned.corpus.answer(SearchRequest(window=f"{source_id}/{number}", k=1))
                log.info("ready for searches")
                return
