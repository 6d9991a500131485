"""Gives a corpus more averaged views, or overviews: the files of its scans are read again, and only these are kept."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import tasks
from pipeline.catalogue import Manifest, scans_among
from pipeline.config import CONFIG_FILE, Config
from pipeline.errors import ConfigError
from pipeline.execute.engine import Engine
from pipeline.model import EncoderSpec, SourceReport
from pipeline.run.driver import Driver
from pipeline.run.embed import embeds_on_gpu
from pipeline.run.file_selection import Selected
from pipeline.run.preconditions import as_made, for_new_corpus
from pipeline.run.progress import Tracker
from pipeline.run.task_sizes import parts_of
from pipeline.store import CorpusStore, fingerprint
from pipeline.support.durable import write_atomic
from pipeline.support.text import counted
from pipeline.views import AUTO, views_of

logger = logging.getLogger(__name__)

@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run gives to scans that the corpus has already."""

    views: bool = False
    overview: bool = False

    def __bool__(self) -> bool:
        """Tell whether anything is wanted."""
        return self.views or self.overview


@dataclass(frozen=True, slots=True)
class Lack:
    """What a scan lacks, although its corpus has it for other scans."""

    views: tuple[str, ...] = ()
    """Names of averaged views."""
    overview: bool = False
    """True if it lacks an overview."""

    def __str__(self) -> str:
        """Name what is lacking."""
        views = [f"views {', '.join(self.views)}"] if self.views else []
        return " and ".join([*views, *(["an overview"] if self.overview else [])])


Lacking = dict[str, Lack]
"""Id of a scan → what it lacks."""


def settled_scan(root: Path, config: Config, wanted: Wanted, *, is_new: bool) -> Config:
    """Return the configuration of a run with the views and overviews that its corpus has or gets.

    Errors are those of :func:`with_its_views` and :func:`with_its_overviews`.
    """
    if is_new:
        config = for_new_corpus(config)
    else:
        config = with_its_views(root, as_made(CorpusStore.open(root), config), add=wanted.views)
    return with_its_overviews(root, config, add=wanted.overview, is_new=is_new)


def with_its_overviews(root: Path, config: Config, *, add: bool, is_new: bool) -> Config:
    """Return the configuration of a run that makes overviews if the corpus has them, or if it gets them (``add``).

    A corpus that is new has them if ``config`` says so.

    Raises
    ------
    ConfigError
        ``config`` asks for overviews, the corpus has none, and ``add`` is False.
    """
    has_some = (config if is_new else Config.of_corpus(root)).scan.overview
    if config.scan.overview and not (has_some or add):
        raise ConfigError(f"{root}: has no overviews, this run asks for them; add them with --add-overview")
    return replace(config, scan=replace(config.scan, overview=has_some or add))


def with_its_views(root: Path, config: Config, *, add: bool) -> Config:
    """Return the configuration of a run with the views that the corpus has, and those that it gets.

    Parameters
    ----------
    add : bool
        True if the corpus gets the views that ``config`` names; the automatic ones if neither ``config`` nor the corpus
        names any.

    Raises
    ------
    ConfigError
        The corpus has other views, and ``add`` is False; or it has automatic ones, and ``config`` names others.
    """
    own, asked = Config.of_corpus(root).scan.views or (), config.scan.views
    if asked is None:
        asked = own or ((AUTO,) if add else ())
    if asked == own:
        return replace(config, scan=replace(config.scan, views=own))
    if not add:
        raise ConfigError(f"{root}: its views are {', '.join(own) or 'none'}, this run asks for "
                          f"{', '.join(asked) or 'none'}; ingest without --views, or add views with --add-views")
    if own == (AUTO,):
        raise ConfigError(f"{root}: its views are {AUTO}; name all views that it is to have, in [scan] of "
                          f"{root / CONFIG_FILE}, and run --add-views again")
    views = asked if asked == (AUTO,) else tuple(dict.fromkeys((*own, *asked)))
    return replace(config, scan=replace(config.scan, views=views))


def note_views(root: Path, config: Config) -> None:
    """Write views and overviews of a run into ``corpus.toml``, so that later runs make them of new files, too."""
    own = Config.of_corpus(root)
    changed = replace(own, scan=replace(own.scan, views=config.scan.views, overview=config.scan.overview))
    if changed != own:
        write_atomic(root / CONFIG_FILE, changed.to_toml().encode())


def lacking_views(manifest: Manifest, selected: Selected, config: Config, wanted: Wanted) -> Lacking:
    """Find the scans whose unchanged files were selected and that lack what is wanted and the corpus has.

    A scan that has all of it is not read again, so an interrupted run goes on where it stopped.
    """
    lacking = {}
    for scan_id in scans_among(manifest.sources):
        entry = manifest.sources[scan_id]
        if selected.stats.get(entry.path) != (entry.size_bytes, entry.mtime_ns):
            continue
        views = views_of(config.scan.views, entry.header, entry.coarse, config.scan.grid) if wanted.views else ()
        names = tuple(view.name for view in views if view.id_of(scan_id) not in manifest.sources)
        overview = wanted.overview and config.scan.overview and not entry.overview
        if names or overview:
            lacking[scan_id] = Lack(names, overview)
    return lacking


def preview_of_views(manifest: Manifest, selected: Selected, config: Config, wanted: Wanted) -> list[SourceReport]:
    """Report which files would be read again, and say how many bytes they have."""
    lacking = lacking_views(manifest, selected, config, wanted)
    _say_what_is_read(manifest, lacking)
    return [SourceReport(manifest.sources[scan_id].path, "skipped", scan_id, message=f"would get {lack}")
            for scan_id, lack in lacking.items()]


def add_wanted(
    engine: Engine, store: CorpusStore, spec: EncoderSpec | None, selected: Selected, config: Config,
    wanted: Wanted, tracker: Tracker,
) -> Sequence[SourceReport]:
    """Read the files of scans that lack something again, and add it: views with their vectors if there is a ``spec``.

    Returns
    -------
    list of SourceReport
        One for each file that was read.
    """
    manifest = store.manifest()
    lacking = lacking_views(manifest, selected, config, wanted)
    _say_what_is_read(manifest, lacking)
    if not lacking:
        return []
    roots = {str(file.path): file.root for file in selected.files}
    staging = store.new_staging()
    works: deque[tasks.Work] = deque()
    for scan_id, lack in lacking.items():
        entry = manifest.sources[scan_id]
        works.append(tasks.Work(
            corpus=store.root,
            staging=staging,
            source=entry.source(scan_id),
            also_at=entry.also_at,
            root=roots[entry.path],
            scan=replace(config.scan, views=lack.views, overview=lack.overview),
            encoder=config.encoder,
            identity=fingerprint(store.identity),
            parts=tuple((part.start, part.stop) for part in parts_of(entry.tiling(config.scan.grid))),
            only_views=True,
        ))
    tracker.enter("scan", len(works))
    return list(Driver(engine, store, spec, embeds_on_gpu(engine, config), tracker).run(works))


def instead_of(known: Sequence[SourceReport], viewed: Collection[SourceReport]) -> list[SourceReport]:
    """Return the reports of known files, without those of files that were read again for views."""
    again = {report.path for report in viewed}
    return [report for report in known if report.path not in again]


def _say_what_is_read(manifest: Manifest, lacking: Lacking) -> None:
    if not lacking:
        return
    size_bytes = sum(manifest.sources[scan_id].size_bytes for scan_id in lacking)
    what = ["more views"] if any(lack.views for lack in lacking.values()) else []
    what += ["overviews"] if any(lack.overview for lack in lacking.values()) else []
    logger.warning("%s to read again for %s, %s bytes", counted(len(lacking), "file"), " and ".join(what),
                   f"{size_bytes:,}")
