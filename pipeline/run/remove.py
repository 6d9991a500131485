"""Remove: takes sources out of a corpus, so that no search finds them and no ingest adds them again; or undoes that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.catalogue import Manifest, source_named, sources_named, stem_of, with_views
from pipeline.config import require_no_run
from pipeline.errors import QueryError
from pipeline.run.failures import disk_errors
from pipeline.run.preconditions import put_in_order
from pipeline.store import CorpusStore, undoing
from pipeline.views import is_plain


@dataclass(frozen=True, slots=True)
class Removal:
    """One source that was removed or taken back."""

    source_id: str
    path: str
    """The file that it was read from."""
    windows: int
    """Number of its windows that a search could find until now, or can find again."""
    vectors: Mapping[str, int]
    """Encoder key → number of vectors of these windows."""
    is_held: bool
    """False for a source that was taken back but is no longer on disk: ingest its file again."""
    replaces: tuple[str, ...] = ()
    """Ids of sources whose place it took again when it was taken back, because they are its beginning."""

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``remove --json`` prints."""
        return {"source": self.source_id, "path": self.path, "windows": self.windows, "vectors": dict(self.vectors),
                "held": self.is_held, "replaces": list(self.replaces)}


def remove(
    names: Sequence[str], corpus: str | Path = "corpus", *, undo: bool = False, dry_run: bool = False
) -> tuple[Removal, ...]:
    """Remove sources from a corpus: searches that start afterwards do not find them. Removes all of them, or none.

    Their folders stay for at least a day, as a search that is under way may still read them. The second run that finds
    a day to be over deletes them (:mod:`pipeline.store.retirement`). An ingest that finds their files reports them as
    ``REMOVED``.

    Parameters
    ----------
    names : sequence of str
        Sources, each by its id, the beginning of its id, or the name of a file that holds it.
    corpus : path
        Folder of the corpus.
    undo : bool
        Take removed sources back: at once if their folders are still there, else when their files are ingested the
        next time.
    dry_run : bool
        Find the sources only; write nothing.

    Returns
    -------
    tuple of Removal
        One for each source, in the order of names.

    Raises
    ------
    QueryError
        A name fits no source, several sources, or a source that was removed before. With ``undo``, a name fits no
        removed source, several of them, or a source that is in the corpus.
    CorpusNotFound
        There is no corpus in this folder.
    CorpusLocked
        Another run writes to the corpus.
    RunError
        The corpus' disk cannot be written. Nothing was changed.
    """
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    require_no_run(root)
    if dry_run:
        manifest = store.manifest()
        return _removals(manifest, _chosen(names, manifest, root, undo))
    with disk_errors(root), store.lock():
        put_in_order(store)
        before = store.manifest()
        chosen = _chosen(names, before, root, undo)
        if undo:
            store.publish(lambda manifest: manifest.with_taken_back(chosen))
            put_in_order(store)  # adopts what is still there
            after = store.manifest()
            dropped = sorted(filter(is_plain, before.sources.keys() - after.sources.keys()))
            return tuple(replace(one, replaces=tuple(
                gone for gone in dropped if stem_of(gone) == stem_of(one.source_id)))
                for one in _removals(after, chosen))
        store.publish(lambda manifest: manifest.with_removed(chosen))
        return _removals(before, chosen)


def _chosen(names: Sequence[str], manifest: Manifest, root: Path, undo: bool) -> dict[str, str]:
    """Find the sources that names fit: id → file."""
    held = {source_id: (entry.path, *entry.also_at) for source_id, entry in manifest.sources.items()
            if is_plain(source_id)}
    paths, others = (manifest.removed, held) if undo else (held, manifest.removed)
    what = f"source removed from {root}" if undo else f"source of {root}"
    for name in names:
        _check_not_done(name, paths, others, root, undo)
    return {source_id: paths[source_id][0] for source_id in (source_named(name, paths, what) for name in names)}


def _check_not_done(
    name: str, paths: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]], root: Path, undo: bool
) -> None:
    """Raise :class:`QueryError` if the source was removed, or taken back, before."""
    done = sources_named(name, others)
    if len(done) == 1 and not sources_named(name, paths):
        (source_id,) = done
        raise QueryError(f"{name}: {source_id} is in the corpus, there is nothing to take back" if undo else
                         f"{name}: was removed before; to take it in again: {undoing(root)(source_id)}")


def _removals(manifest: Manifest, chosen: Mapping[str, str]) -> tuple[Removal, ...]:
    """Return what a generation holds of scans, with all of their views."""
    removals = []
    for source_id, path in chosen.items():
        entries = [manifest.sources[one] for one in with_views([source_id], manifest.sources)]
        vectors = {key: sum(entry.vectors.get(key, 0) for entry in entries)
                   for entry in entries for key in sorted(entry.vectors)}
        removals.append(Removal(source_id, path, sum(entry.windows_kept for entry in entries), vectors,
                                is_held=bool(entries)))
    return tuple(removals)
