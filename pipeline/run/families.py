"""Find families: groups all windows of a corpus at first, and assigns new windows to these groups from then on.

Windows of one resolution are compared with each other. Families lie beside the corpus, so the corpus is only read. An
update leaves all windows that were judged before in their families. New windows join the family of their nearest
neighbours. Those that join none are grouped with the old ones that are in none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.families import (
    MAX_TEXT_LENGTH,
    NONE,
    VOTERS,
    Entry,
    FamilyTable,
    assign,
    family_id,
    group,
    held_sources,
    matched,
    read_families,
    write_families,
    writing_families,
)
from pipeline.search import OpenCorpus, Selection, encoder_key, nearest_of_each, to_unit_length
from pipeline.store import pasted
from pipeline.support.clock import now_s
from pipeline.support.text import shown

MAX_WINDOWS = 5_000_000
"""Largest number of windows of one resolution that are grouped at once. A million needs 4 GB of memory."""

Parts = Mapping[str, tuple[NDArray[np.int64], NDArray[np.int32]]]
"""Source → numbers of its windows, in the order of their rows, and the family of each."""


@dataclass(frozen=True, slots=True)
class FamiliesFound:
    """What a search for families has changed."""

    table: FamilyTable
    new: tuple[str, ...] = ()
    """Ids of families that did not exist before, the largest first."""
    grown: Mapping[str, int] = field(default_factory=dict)
    """Id of a family that existed before → number of windows that were added to it."""
    judged: int = 0
    """Number of windows that were put into a family or left out of all, for the first time or again."""
    elapsed_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return a plain record."""
        return {"new": list(self.new), "grown": dict(self.grown), "judged": self.judged,
                "elapsed_s": round(self.elapsed_s, 3)}


def find_families(
    corpus: str | Path = "corpus", *, again: bool = False, encoder: str | None = None
) -> FamiliesFound:
    """Put the windows of a corpus that were not judged yet into families, and write these beside the corpus.

    Parameters
    ----------
    corpus : path
        Folder of the corpus.
    again : bool
        Group all windows again. A group gets the id of the family with which it shares most windows.
    encoder : str, optional
        Name or key of the encoder whose vectors are compared. Default: that of the families that exist; for the first
        ones, that of ``corpus.toml``. With another encoder, all windows are grouped again.

    Raises
    ------
    CorpusNotFound
        There is no corpus in this folder.
    QueryError
        The corpus has no vectors of the encoder, or more windows than can be grouped at once.
    CorpusDamaged
        Something in the corpus, or the families that exist, are missing or altered.
    CorpusLocked
        Another process is finding families of this corpus.
    """
    began = time.perf_counter()
    encoder_key(OpenCorpus(Path(corpus)), encoder)  # a corpus that cannot be used gets no folder of families
    with ExitStack() as stack:
        stack.enter_context(writing_families(Path(corpus)))
        # opened under the lock: an older generation lacks the sources that another process has just judged
        opened = OpenCorpus(Path(corpus))
        stack.enter_context(opened.outlived())
        key = encoder_key(opened, encoder)
        old = read_families(opened.root) or FamilyTable()
        if encoder is None and old.encoder_key in opened.manifest.encoders:
            key = old.encoder_key
        regroups = again or old.encoder_key != key
        update = _Update(opened, key, replace(old, encoder_key=key))
        for resolution, source_ids in _by_resolution(opened, key).items():
            update.judge(resolution, source_ids, regroups)
        found = update.result(time.perf_counter() - began)
        write_families(opened.root, found.table)
    return found


def name_family(
    corpus: str | Path, family: str, *, name: str | None = None, label: str | None = None
) -> Entry:
    """Set the user's name or label of a family; an empty text takes it away.

    Raises
    ------
    QueryError
        There is no such family, the text is too long, or another family has the name.
    """
    opened = OpenCorpus(Path(corpus))
    with writing_families(opened.root):
        table = read_families(opened.root)
        if table is None:
            raise QueryError(f"{opened.root}: no families were found yet; find them with: "
                             f"{pasted('lookalike families', opened.root)}")
        entry = table.entry(family)
        for text in (name, label):
            if text is not None and (len(text) > MAX_TEXT_LENGTH or not text.isprintable()):
                raise QueryError(f"{shown(text[:MAX_TEXT_LENGTH])}: a name or label has at most {MAX_TEXT_LENGTH} "
                                 "printable characters")
        if name and any(name in (one.name, one.id) for one in table.entries.values() if one.number != entry.number):
            raise QueryError(f"{shown(name)}: another family has this name; choose another one")
        table = table.with_text(entry.number, name, label)
        write_families(opened.root, table)
    return table.entries[entry.number]


def _by_resolution(corpus: OpenCorpus, key: str) -> dict[str, list[str]]:
    """Return resolution class → ids of its sources with vectors of an encoder."""
    out: dict[str, list[str]] = {}
    for source_id, entry in sorted(corpus.manifest.sources.items()):
        if entry.vectors.get(key):
            out.setdefault(entry.resolution, []).append(source_id)
    return out


class _Update:
    """A search for families under way: what was judged before, and what has been judged since."""

    def __init__(self, corpus: OpenCorpus, key: str, old: FamilyTable) -> None:
        self._corpus, self._key, self._old = corpus, key, old
        self._known = set(held_sources(old, corpus.manifest))
        self._entries = dict(old.entries)
        self._parts: dict[str, tuple[NDArray[np.int64], NDArray[np.int32]]] = {}
        self._judged = 0

    def judge(self, resolution: str, source_ids: Sequence[str], regroups: bool) -> None:
        """Judge the windows of some sources of one resolution."""
        known = [source_id for source_id in source_ids if source_id in self._known]
        new = [source_id for source_id in source_ids if source_id not in self._known]
        if regroups or not known:
            self._keep(self._grouped(resolution, source_ids))
            return
        before: Parts = {source_id: self._before(source_id) for source_id in known}
        if new:
            before = self._left_over(resolution, {**before, **self._assigned(before, new)}, new)
        self._keep(before)

    def result(self, elapsed_s: float) -> FamiliesFound:
        """Return the new table, and what has changed."""
        manifest = self._corpus.manifest
        sources = {}
        for source_id, (numbers, families) in self._parts.items():
            order = np.argsort(numbers)
            sources[source_id] = numbers[order], families[order]
        table = FamilyTable(self._key, manifest.generation, now_s(), self._entries, sources)
        before = replace(self._old, sources={one: self._old.sources[one] for one in self._known}).counts()
        counts = table.counts()
        old = np.zeros(len(counts), np.int64)
        old[: len(before)] = before
        new = [number for number in self._entries if number not in self._old.entries]
        return FamiliesFound(
            table, tuple(family_id(number) for number in sorted(new, key=lambda number: -counts[number])),
            {family_id(number): int(counts[number] - old[number]) for number in self._old.entries
             if counts[number] > old[number]}, self._judged, elapsed_s)

    def _before(self, source_id: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the windows of a source in the order of their rows, and the family of each."""
        numbers = self._corpus.numbers(source_id)
        stored, families = self._old.sources.get(source_id, (numbers[:0], np.empty(0, np.int32)))
        at = np.minimum(np.searchsorted(stored, numbers), max(0, len(stored) - 1))
        if not len(stored):
            return numbers, np.full(len(numbers), NONE, np.int32)
        return numbers, np.where(stored[at] == numbers, families[at], NONE).astype(np.int32)

    def _grouped(self, resolution: str, source_ids: Sequence[str]) -> Parts:
        """Group all windows of some sources."""
        count = sum(self._corpus.manifest.sources[source_id].vectors[self._key] for source_id in source_ids)
        if count > MAX_WINDOWS:
            raise QueryError(f"{self._corpus.root}: has {count:,} windows of resolution {resolution}, and at most "
                             f"{MAX_WINDOWS:,} can be grouped at once")
        parts = {source_id: self._before(source_id) for source_id in source_ids}
        before = np.concatenate([families for _, families in parts.values()])
        vectors = np.concatenate([self._vectors(source_id) for source_id in source_ids])
        groups = matched(group(vectors), before, max(self._entries, default=0) + 1)
        self._note(parts, groups, vectors)
        self._judged += len(groups)
        return _divided(parts, groups)

    def _assigned(self, before: Parts, new: Sequence[str]) -> Parts:
        """Assign the windows of new sources to families by their nearest neighbours among the windows ``before``."""
        selection = Selection.of_sources(self._corpus, self._key, list(before))
        family_of = {source_id: _sorted(part) for source_id, part in before.items()}
        out = {}
        for source_id in new:
            source, number, cosine = nearest_of_each(selection, self._vectors(source_id), VOTERS)
            families = np.full(source.shape, NONE, np.int32)
            for position in np.unique(source[source >= 0]).tolist():
                here = source == position
                numbers, values = family_of[selection.source_ids[position]]
                families[here] = values[np.searchsorted(numbers, number[here])]
            numbers = self._corpus.numbers(source_id)
            out[source_id] = numbers, assign(families, cosine)
            self._judged += len(numbers)
        return out

    def _left_over(self, resolution: str, parts: Parts, new: Sequence[str]) -> Parts:
        """Group the windows that are in no family. A group is a new family if a window of a new source is in it."""
        rows = {source_id: np.flatnonzero(families == NONE) for source_id, (_, families) in parts.items()}
        left = {source_id: (parts[source_id][0][some], np.full(len(some), NONE, np.int32))
                for source_id, some in rows.items() if len(some)}
        if sum(len(numbers) for numbers, _ in left.values()) > MAX_WINDOWS:
            raise QueryError(f"{self._corpus.root}: more than {MAX_WINDOWS:,} windows of resolution {resolution} are "
                             "in no family, too many to group at once")
        if not left:
            return parts
        vectors = np.concatenate([self._vectors(source_id)[rows[source_id]] for source_id in left])
        groups = group(vectors)
        is_new = np.concatenate([np.full(len(numbers), source_id in new) for source_id, (numbers, _) in left.items()])
        groups = np.where(np.isin(groups, groups[is_new]), groups, NONE).astype(np.int32)
        families = matched(groups, np.full(len(groups), NONE, np.int32), max(self._entries, default=0) + 1)
        self._note(left, families, vectors)
        out = dict(parts)
        for source_id, (_, some) in _divided(left, families).items():
            changed = parts[source_id][1].copy()
            changed[rows[source_id]] = some
            out[source_id] = parts[source_id][0], changed
        return out

    def _note(self, parts: Parts, families: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Make the entries of new families; choose an exemplar where the one before is no member any more."""
        order = np.argsort(families, kind="stable")
        numbers, starts = np.unique(families[order], return_index=True)
        names = [(source_id, int(number)) for source_id, (stored, _) in parts.items() for number in stored]
        place = {name: row for row, name in enumerate(names)}
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
            old = self._entries.get(number)
            if number == NONE or (old and (row := place.get(old.exemplar)) is not None and families[row] == number):
                continue
            exemplar = names[int(rows[np.argmax(vectors[rows] @ vectors[rows].mean(axis=0))])]
            self._entries[number] = replace(old, exemplar=exemplar) if old else Entry(
                number, exemplar, self._corpus.manifest.generation, now_s())

    def _keep(self, parts: Parts) -> None:
        self._parts.update(parts)

    def _vectors(self, source_id: str) -> NDArray[np.float32]:
        """Return the unit vectors (n, d) of all windows of a source, in the order of their rows."""
        group_of = self._corpus.vectors(source_id, self._key)
        return to_unit_length(group_of.vectors(0, group_of.count), source_id)


def _sorted(part: tuple[NDArray[np.int64], NDArray[np.int32]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    order = np.argsort(part[0])
    return part[0][order], part[1][order]


def _divided(parts: Parts, families: NDArray[np.int32]) -> Parts:
    """Cut the families of all windows into those of each source."""
    ends = np.cumsum([len(numbers) for numbers, _ in parts.values()])[:-1]
    return {source_id: (numbers, some) for (source_id, (numbers, _)), some in
            zip(parts.items(), np.split(families, ends), strict=True)}
