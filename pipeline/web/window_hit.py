"""A stored window as a hit of no search, for pictures of it."""

from __future__ import annotations

from pipeline.model import Hit
from pipeline.views import view_of
from pipeline.web.archive import Pinned
from pipeline.web.sources import row_of_window


def hit_of_window(pinned: Pinned, source_id: str, number: int) -> Hit:
    """Return a kept window as a hit of rank 1 and score 1."""
    entry = pinned.opened.manifest.sources[source_id]
    snr = pinned.opened.column(source_id, "snr", row_of_window(pinned, source_id, number))
    return Hit(rank=1, score=1.0, window=pinned.opened.window(source_id, number), source_id=source_id,
               file=entry.path, target=entry.header.source_name, telescope_id=entry.header.telescope_id,
               snr=float(snr[0]), view=view_of(source_id))
