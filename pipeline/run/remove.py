"""Remove: sources that no search is to find any more, and that no ingest is to take in again; or back with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import require_no_run
from pipeline.errors import QueryError
from pipeline.run.corpus import put_in_order
from pipeline.run.ingest import disk_errors
from pipeline.store import CorpusStore, Manifest, source_named
from pipeline.store.layout import pasted
from pipeline.store.names import sources_named


@dataclass(frozen=True, slots=True)
class Removal:
    """What became, or would become, of one source."""

    source_id: str
    path: str
    """The file it was read from."""
    windows: int
    """Windows of it that a search could find until now, or can again."""
    vectors: Mapping[str, int]
    """Encoder key → vectors of these."""
    is_held: bool
    """False for one taken back of which nothing is left: its file is to be ingested again."""

    def to_json(self) -> dict[str, Any]:
        """Record for ``remove --json``."""
        return {"source": self.source_id, "path": self.path, "windows": self.windows, "vectors": dict(self.vectors),
                "held": self.is_held}


def remove(
    names: Sequence[str], corpus: str | Path = "corpus", *, undo: bool = False, dry_run: bool = False
) -> tuple[Removal, ...]:
    """Remove sources from a corpus: from the next generation on no search finds them. All of them, or none.

    Their folders are deleted by the first run a day later, for a search that is under way may still read them
    (:mod:`pipeline.store.retired`). An ingest that meets their files reports them as ``REMOVED``.

    Parameters
    ----------
    names : sequence of str
        Sources, each by its id, the beginning of it, or the name of a file of it.
    corpus : path
    undo : bool
        Take removed sources back: those whose folders are still there at once, the others when their files are
        ingested the next time.
    dry_run : bool
        Find them only; write nothing.

    Returns
    -------
    tuple of Removal
        One a source, in the order of names.

    Raises
    ------
    QueryError
        A name is that of no source (to take one back: of none that was removed), of one that was removed before,
        or of several.
    CorpusNotFound, CorpusLocked, RunError
        Nothing was changed.
    """
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    require_no_run(root)
    if dry_run:
        manifest = store.manifest()
        return _told(manifest, _chosen(names, manifest, root, undo))
    with disk_errors(root), store.lock():
        put_in_order(store)
        before = store.manifest()
        chosen = _chosen(names, before, root, undo)
        if undo:
            store.publish(lambda manifest: manifest.with_taken_back(chosen))
            put_in_order(store)  # adopts what is still there
            return _told(store.manifest(), chosen)
        store.publish(lambda manifest: manifest.with_removed(chosen))
        return _told(before, chosen)


def _chosen(names: Sequence[str], manifest: Manifest, root: Path, undo: bool) -> dict[str, str]:
    """Find the sources that are meant: id → file."""
    held = {source_id: (entry.path, *entry.also_at) for source_id, entry in manifest.sources.items()}
    paths, others = (manifest.removed, held) if undo else (held, manifest.removed)
    what = f"source removed from {root}" if undo else f"source of {root}"
    for name in names:
        _check_not_done(name, paths, others, root, undo)
    return {source_id: paths[source_id][0] for source_id in (source_named(name, paths, what) for name in names)}


def _check_not_done(
    name: str, paths: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]], root: Path, undo: bool
) -> None:
    """Raise an error that says so where what is asked for has been done before."""
    done = sources_named(name, others)
    if len(done) == 1 and not sources_named(name, paths):
        (source_id,) = done
        raise QueryError(f"{name}: {source_id} is in the corpus, there is nothing to take back" if undo else
                         f"{name}: was removed before; to take it in again: "
                         + pasted(f"lookalike remove --undo {source_id}", root))


def _told(manifest: Manifest, chosen: Mapping[str, str]) -> tuple[Removal, ...]:
    """Say of sources what a generation holds of them."""
    entries = ((source_id, path, manifest.sources.get(source_id)) for source_id, path in chosen.items())
    return tuple(Removal(source_id, path, entry.windows_kept, entry.vectors, is_held=True) if entry
                 else Removal(source_id, path, 0, {}, is_held=False) for source_id, path, entry in entries)
