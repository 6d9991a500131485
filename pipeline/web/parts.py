"""What a server consists of. Routes get it with each request."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from pipeline.search import Corpus, OpenCorpus
from pipeline.web.access import Access, Person, own_key
from pipeline.web.archive import Archive
from pipeline.web.decoded import DecodedChannels
from pipeline.web.metrics import Metrics
from pipeline.web.pool import Pool
from pipeline.web.results import KeptResult, Results
from pipeline.web.settings import ServeSettings
from pipeline.web.uploads import LastSent, SentHitTable, SentPicture, Uploads

DRAWING_WORKERS, DRAWING_QUEUED, DRAWING_DEADLINE_S = 2, 64, 30.0
"""Pictures and tiles from files that are made at once, that may wait, and the longest time for one, in seconds."""
EXPORT_WORKERS, EXPORT_QUEUED, EXPORT_DEADLINE_S = 1, 32, 180.0
"""The same for results as files. A picture of many hits takes long on a busy machine, and somebody waits for it."""


@dataclass
class Parts:
    """What a server consists of."""

    settings: ServeSettings
    archive: Archive
    access: Access
    pool: Pool
    drawing: Pool
    """Decodes tiles from files, and draws pictures."""
    exporting: Pool
    """Writes results as files."""
    uploads: Uploads = field(default_factory=Uploads)
    tables: LastSent[SentHitTable] = field(default_factory=lambda: LastSent("hit table"))
    pictures: LastSent[SentPicture] = field(default_factory=lambda: LastSent("picture"))
    results: Results = field(default_factory=Results)
    decoded: DecodedChannels = field(default_factory=DecodedChannels)
    metrics: Metrics = field(default_factory=Metrics)
    port: int = 0
    """Port that the server listens at. It is known once it listens."""

    @property
    def cookie(self) -> str:
        """Name of the cookie. Browsers do not tell ports apart, so the port is in the name."""
        return f"lookalike_{self.port}"

    def forget_upload(self, dropped: KeptResult) -> None:
        """Delete the array that a dropped result was of, unless another result is of it, too."""
        upload_id = dropped.asked.get("upload")
        if upload_id and not self.results.uses(upload_id):
            self.uploads.forget(upload_id)

    def close(self) -> None:
        """Forget the work that waits."""
        self.pool.close()
        self.drawing.close()
        self.exporting.close()

    def forget_old(self) -> None:
        """Delete what people sent more than an hour ago and nobody uses."""
        for kept in (self.uploads, self.tables, self.pictures):
            kept.forget_old()


def parts_of(settings: ServeSettings, key: bytes | None = None,
             corpus_of: Callable[[OpenCorpus], Corpus] = Corpus) -> Parts:
    """Open the corpus, and make the parts of a server.

    Parameters
    ----------
    settings : ServeSettings
    key : bytes, optional
        Secret that seals cookies. Default: the user's own (:func:`pipeline.web.access.own_key`).
    corpus_of : callable
        Makes of an opened generation what is searched, here or on a cluster.

    Raises
    ------
    CorpusNotFound, CorpusDamaged, CorpusMismatch
        The corpus cannot be read.
    ConfigError
        The key or the file of tokens cannot be used.
    """
    archive = Archive(settings.corpus, settings.data_roots, corpus_of)
    access = Access(own_key() if key is None else key, os.path.abspath(settings.corpus), owner(), settings.tokens)
    parts = Parts(
        settings, archive, access, Pool("search", settings.search_workers, settings.max_queued, settings.deadline_s),
        Pool("picture", DRAWING_WORKERS, DRAWING_QUEUED, DRAWING_DEADLINE_S),
        Pool("export", EXPORT_WORKERS, EXPORT_QUEUED, EXPORT_DEADLINE_S), port=settings.port)
    parts.results = Results(parts.forget_upload)
    parts.uploads = Uploads(parts.results.uses)
    watched: dict[str, tuple[str, Callable[[], float]]] = {
        "searches_running": ("Searches that run.", lambda: parts.pool.running),
        "searches_waiting": ("Searches that wait.", lambda: parts.pool.waiting),
        "results_kept": ("Results that are kept.", lambda: len(parts.results)),
        "generation": ("Generation that is shown.", lambda: parts.archive.pinned.generation),
        "generation_newest": ("Newest generation of the corpus.",
                              lambda: parts.archive.newer() or parts.archive.pinned.generation),
    }
    for name, (meaning, value) in watched.items():
        parts.metrics.watch(name, meaning, value)
    return parts


def owner() -> Person:
    """Return who starts the server. This person may write labels."""
    try:
        return Person(getpass.getuser(), "labeller")
    except (OSError, KeyError):  # a container whose user has no name
        return Person("owner", "labeller")


def _of_request(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


ItsParts = Annotated[Parts, Depends(_of_request)]
"""Type of the parameter by which a route gets the parts of its server."""
