"""Verify: compares every object of a corpus with its digest, names what is damaged, and repairs it if asked."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import Config, RunConfig, require_no_run
from pipeline.errors import ConfigError, CorpusNotFound
from pipeline.integrity.repair import repair_corpus
from pipeline.integrity.survey import Verification, survey_corpus
from pipeline.run import ProgressChoice, Tracker, showing
from pipeline.store.layout import CURRENT, IDENTITY, MANIFESTS
from pipeline.support.clock import now_s


def verify(
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    sample: float = 1.0,
    day: int | None = None,
    repair: bool = False,
    run: RunConfig | None = None,
    serial: bool = False,
    progress: ProgressChoice = None,
) -> Verification:
    """Read a corpus and compare every object with its digest; rebuild what is damaged if asked.

    Parameters
    ----------
    corpus : path
        Folder of the corpus.
    client : distributed.Client, optional
        Client of the cluster that rebuilds objects. It may be without TLS. By default ``run`` says where.
    sample : float
        Share of the objects to read, above 0 and up to 1. Another share is read each day, so that every object has its
        turn within ``1 / sample`` days.
    day : int, optional
        Number of the day, which selects the share. Default: today's.
    repair : bool
        Rebuild what is damaged, under the corpus' lock. What cannot be rebuilt stays as it is and is named.
    run : RunConfig, optional
        Where objects are rebuilt. Default: the user's settings.
    serial : bool
        Rebuild in this process: sets ``run.serial``.
    progress : bool or callable, optional
        True shows progress on standard error, False does not. By default it is shown in a notebook only. A callable is
        called with :class:`Progress` snapshots.

    Returns
    -------
    Verification

    Raises
    ------
    ConfigError
        ``sample`` is no share, the configuration is wrong, or the cluster cannot be used.
    CorpusNotFound
        There is no corpus in this folder.
    CorpusLocked
        With ``repair``: another run writes to the corpus.
    RunError
        With ``repair``: the corpus' disk or the cluster failed. Nothing is lost; run again to go on.
    """
    if not 0 < sample <= 1:
        raise ConfigError(f"sample must be a share of the objects, over 0 and up to 1, got {sample}")
    root = Path(corpus).absolute()
    if not any((root / name).exists() for name in (IDENTITY, CURRENT, MANIFESTS)):
        raise CorpusNotFound(f"{root}: there is no corpus here; make one with: lookalike ingest DATA --corpus {root}")
    require_no_run(root)
    day = datetime.date.fromtimestamp(now_s()).toordinal() if day is None else day
    with showing(progress) as listener:
        tracker = Tracker(listener)
        if not repair:
            return survey_corpus(root, sample, day, tracker)
        run = run or Config.of_user().run
        return repair_corpus(root, client, sample, day, replace(run, serial=True) if serial else run, tracker)
