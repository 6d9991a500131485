"""Index: builds segments of vectors that no segment holds yet, and joins small segments to larger ones.

A search asks every segment, so there must be few. Where there would be many, all become one routed segment, of which a
search asks some cells (:mod:`pipeline.run.routed`). :mod:`pipeline.run.segment_plan` says which segments to build.

Each step builds one segment that nobody knows yet, and then publishes one generation. The generation names the segment,
and takes its sources out of their former segments. A run that is killed at any point leaves a corpus in which every
vector is found, and the next run plans what is left.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import tasks
from pipeline.catalogue import Manifest, SegmentEntry
from pipeline.config import Config, IndexConfig
from pipeline.errors import CorpusDamaged, CorpusError, PipelineError, RunError, SegmentDamaged
from pipeline.execute.cluster import engine_for, runs_on_this_machine
from pipeline.execute.engine import Call, Engine, OnError
from pipeline.index import PARTIAL_SUFFIX, must_compile
from pipeline.run.failures import disk_errors, is_unwritable, unwritable
from pipeline.run.preconditions import writing
from pipeline.run.progress import COMPILING, ProgressChoice, Tracker, showing
from pipeline.run.routed import build_routed
from pipeline.run.segment_plan import plan_flat_segments, plan_segments
from pipeline.store import CorpusStore, mending
from pipeline.support.interrupts import note_saved

logger = logging.getLogger(__name__)


def index(
    corpus: str | Path = "corpus", client: Any = None, *, config: Config | None = None, progress: ProgressChoice = None
) -> tuple[SegmentEntry, ...]:
    """Build index segments of vectors that no segment holds yet, and join small segments to larger ones.

    Parameters
    ----------
    corpus : path
        Folder of the corpus.
    client : distributed.Client, optional
        Cluster on which segments are built. By default the one that ``config.run`` names; if it names none, they are
        built in this process.
    config : Config, optional
        Default: the corpus' own ``corpus.toml`` and the user's settings.
    progress : bool or callable, optional
        True shows progress on standard error, False does not. By default it is shown in a notebook only. A callable is
        called with :class:`pipeline.run.Progress` snapshots.

    Returns
    -------
    tuple of SegmentEntry
        The new segments, joined ones among them. Fewer than ``config.index.exact_below`` vectors become a flat
        segment, which has no graph: a search compares all of them.

    Raises
    ------
    CorpusNotFound
        There is no corpus in this folder.
    ConfigError
        The configuration is wrong, or the cluster cannot be used.
    CorpusDamaged
        Stored windows or vectors are missing or altered.
    CorpusLocked
        Another run writes to the corpus.
    RunError
        A segment cannot be built, or the corpus' disk or the cluster failed. Run again to go on.
    """
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    config = config or Config.load(root)
    # without a time limit: the graph of a million vectors takes longer than other tasks may
    run = replace(config.run, task_timeout_s=0.0, serial=runs_on_this_machine(config.run, client))
    with (showing(progress) as listener, disk_errors(root), engine_for(run, client) as engine,
          writing(store, engine)):
        return index_corpus(engine, store, config.index, Tracker(listener), builds_here=run.serial)


def index_corpus(
    engine: Engine, store: CorpusStore, config: IndexConfig, tracker: Tracker | None = None, *,
    builds_here: bool = False,
) -> tuple[SegmentEntry, ...]:
    """Build the segments that :func:`plan_segments` plans; publish each when it is finished.

    With ``builds_here``, segments are built on this machine, and ``tracker`` says so if code is compiled first.
    """
    tracker = tracker or Tracker(None)
    planned = list(plan_segments(store.manifest(), config))
    routed = [entry for entry in planned if entry.cells]
    store.clean_segments([*(entry.id for entry in planned), *(f"{entry.id}{PARTIAL_SUFFIX}" for entry in routed)])
    built = []
    note_saved("segment")
    on_error = _on_error(store.root)
    if planned:
        compiles = builds_here and any(must_compile(entry.count) for entry in planned)
        tracker.enter("index", len(planned), note=COMPILING if compiles else "")

    def publish(entry: SegmentEntry) -> None:
        store.publish(lambda manifest: manifest.with_segment(entry))
        note_saved("segment", 1)
        built.append(entry)
        tracker.files_done += 1
        tracker.tell(force=True)

    plain = {entry.id: entry for entry in planned if not entry.cells}
    calls = deque(Call((name, 0), tasks.index_sources, (store.root, entry)) for name, entry in plain.items())
    for (name, _), _ in engine.run_all(calls, on_error):
        publish(plain[name])
    for entry in routed:
        def run_all(steps: Sequence[tuple[Any, ...]], name: str = entry.id) -> list[Any]:
            return engine.results_of(
                [Call((name, i), task, tuple(arguments)) for i, (task, *arguments) in enumerate(steps)], on_error)

        publish(build_routed(store.root, entry, config.segment_vectors, run_all))
    return tuple(built)


def gather(store: CorpusStore, config: IndexConfig) -> None:
    """Put the vectors of sources in no segment into flat segments, if there are many. Graphs are left to :func:`index`.

    A search opens a few segments sooner than thousands of small sources. Half a millisecond for each source is spent
    in this process. Damaged vectors are no error, as searches name them; they stay outside.
    """
    for entry in plan_flat_segments(store.manifest(), config):
        try:
            tasks.index_sources(store.root, entry)
        except CorpusError as error:
            logger.warning("vectors of %d sources are not gathered in a segment: %s", len(entry.source_ids), error)
        else:
            store.publish(partial(Manifest.with_segment, entry=entry))


def _on_error(root: Path) -> OnError:
    """Return what is done about a task that failed; its ticket is (segment id, number of the task)."""

    def on_error(ticket: Any, error: BaseException) -> None:
        if isinstance(error, SegmentDamaged):
            raise CorpusDamaged(f"{error}; {mending(root)}") from error
        if isinstance(error, PipelineError):
            raise error
        if is_unwritable(error):
            raise unwritable(root, error) from error
        raise RunError(f"segment {ticket[0]} cannot be built: {error}; correct the cause and run again") from error

    return on_error
