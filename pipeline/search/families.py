"""Families of an open corpus: a list of them, one of them with its windows, and the family of a hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, CorpusError, ParameterError, QueryError, parameter
from pipeline.export import COLUMNS, FAMILY_COLUMNS, Table
from pipeline.families import (
    Family,
    FamilyTable,
    Spacing,
    count_not_judged,
    held_sources,
    list_families,
    middles_mhz,
    read_families,
    spacing_of,
)
from pipeline.interference import names_at
from pipeline.model import Hit
from pipeline.search.filter_values import parse_mjd
from pipeline.search.nearest import to_unit_length
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import mending, pasted
from pipeline.support.durable import write_atomic
from pipeline.support.text import counted
from pipeline.views import view_of

MAX_DRAWN, DRAWN_IN_A_ROW = 15, 5
"""Largest number of windows of a family that are drawn, and of those in a row."""
DEFAULT_MEMBERS = 100
"""Number of windows of a family that are listed by default, those most like its exemplar."""


@dataclass(frozen=True)
class Families(Sequence[Family]):
    """Families of a corpus, those with most windows first."""

    families: tuple[Family, ...]
    generation: int
    """Generation of the corpus whose windows were put into families."""
    corpus_generation: int
    not_judged: int
    """Number of windows that were added later, and are in no family yet."""
    without: int
    """Number of windows that were judged and are in no family."""
    encoder: str
    """Key of the encoder whose vectors were compared."""

    def __len__(self) -> int:
        return len(self.families)

    @overload
    def __getitem__(self, index: int) -> Family: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Family, ...]: ...
    def __getitem__(self, index: int | slice) -> Family | tuple[Family, ...]:
        return self.families[index]

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, as ``families --json`` prints it."""
        return {"generation": self.generation, "corpus_generation": self.corpus_generation,
                "not_judged": self.not_judged, "without": self.without, "encoder": self.encoder,
                "families": [family.to_json() for family in self.families]}

    def table(self) -> Table:
        """Return the families as a table, to save it."""
        rows = []
        for one in self.families:
            record, window = one.to_json(), one.exemplar
            record |= {"targets": " | ".join(name for name, _ in one.targets),
                       "exemplar": f"{window.source_id}/{window.number}"}
            rows.append({name: record[name] for name in FAMILY_COLUMNS})
        return Table(name="families", description="Families of windows that look alike", columns=FAMILY_COLUMNS,
                     rows=rows, about={"encoder": self.encoder, "windows not judged yet": str(self.not_judged)})


@dataclass(frozen=True, slots=True)
class FamilyMembers:
    """A family with its windows."""

    family: Family
    members: tuple[Hit, ...]
    """Its windows, those most like the exemplar first: the exemplar itself, then others. The score of each is its
    cosine with the exemplar."""
    spacing: Spacing
    """How the frequencies of all its windows differ within scans."""
    by_target: tuple[dict[str, Any], ...]
    """For each target: ``target``, ``windows``, ``scans``, ``first_seen_mjd``, ``last_seen_mjd``, ``f_start_mhz``,
    ``f_stop_mhz``; the target with most windows first."""
    known: tuple[str, ...]
    """Bands of known interference that the windows touch."""
    windows: tuple[tuple[str, int], ...]
    """Source and number of all its windows."""
    corpus: OpenCorpus

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, as ``families FAMILY --json`` prints it."""
        return {**self.family.to_json(), "known": list(self.known), "spacing": self.spacing.to_json(),
                "by_target": [dict(one) for one in self.by_target],
                "members": [{name: value for name, value in hit.to_json().items() if name in MEMBER_COLUMNS}
                            for hit in self.members]}

    def table(self) -> Table:
        """Return the windows of the family as a table, to save it."""
        name = " · ".join(filter(None, (self.family.id, self.family.name)))
        rows = [{**hit, "known": " | ".join(hit["known"])} for hit in self.to_json()["members"]]
        return Table(name="windows", description=f"Windows of family {name}",
                     columns={name: COLUMNS[name] for name in MEMBER_COLUMNS}, rows=rows)

    def png(self) -> bytes:
        """Draw the exemplar and the windows most like it, with their frequencies and times, and return a PNG."""
        from pipeline.plot import png_of_hits
        from pipeline.search.query import power_of_windows

        drawn = self.members[:MAX_DRAWN]
        return png_of_hits(drawn, power_of_windows(self.corpus, [hit.window for hit in drawn]), columns=DRAWN_IN_A_ROW)

    def plot(self, path: str | Path) -> Path:
        """Draw :meth:`png` into a file, whose suffix must be ``.png``.

        Raises
        ------
        ParameterError
            The suffix is another one.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise ParameterError(f"{path}: pictures of families are PNG files; give a name that ends in .png")
        write_atomic(path, self.png())
        return path


MEMBER_COLUMNS = ("rank", "score", "source", "file", "target", "window", "view", "f_start_mhz", "f_stop_mhz",
                  "t_start_s", "t_stop_s", "mjd", "snr", "known")
"""Keys of a window of a family in JSON, and columns in CSV."""


def table_of(corpus: OpenCorpus) -> FamilyTable:
    """Return the families of a corpus; raise :class:`QueryError` if none were found yet."""
    table = corpus.keep_object("families", lambda: read_families(corpus.root))
    if table is None:
        raise QueryError(f"{corpus.root}: no families were found yet; find them with: "
                         f"{pasted('lookalike families', corpus.root)}")
    return table


def families_of(corpus: OpenCorpus, new_since: str | int | None = None, min_windows: int = 1) -> Families:
    """List families; parameters and errors are those of :meth:`pipeline.search.corpus.Corpus.families`."""
    table, manifest = table_of(corpus), corpus.manifest
    listed = [family for family in list_families(table, manifest, corpus.config.scan.grid)
              if family.windows >= min_windows]
    if new_since is not None:
        is_new = _is_new(new_since)
        listed = [family for family in listed if is_new(family)]
    without = sum(int((table.sources[one][1] == 0).sum()) for one in held_sources(table, manifest))
    return Families(tuple(listed), table.generation, manifest.generation, count_not_judged(table, manifest), without,
                    table.encoder_key)


def _is_new(since: str | int) -> Any:
    """Return a function that tells whether a family is new since a generation, or first seen since a date."""
    text = str(since).strip()
    if text.isdecimal():
        return lambda family: family.generation >= int(text)
    try:
        mjd = parse_mjd(text)
    except QueryError as error:
        raise ParameterError(f"{parameter('new_since')} must be a generation, such as 12, or a date, such as "
                             f"2026-05-01, got {text!r}") from error
    return lambda family: family.first_seen_mjd >= mjd


def family_members(corpus: OpenCorpus, name: str, k: int | None = DEFAULT_MEMBERS) -> FamilyMembers:
    """Return one family; parameters and errors are those of :meth:`pipeline.search.corpus.Corpus.family`."""
    table, manifest, grid = table_of(corpus), corpus.manifest, corpus.config.scan.grid
    if k is not None and k < 1:
        raise ParameterError(f"{parameter('k')} must be positive, got {k}")
    number = table.entry(name).number
    held = {source_id: numbers[families == number] for source_id in held_sources(table, manifest)
            for numbers, families in [table.sources[source_id]]}
    held = {source_id: numbers for source_id, numbers in held.items() if len(numbers)}
    if not held:
        raise QueryError(f"{table.entry(name).id}: the corpus no longer holds any of its windows")
    only = replace(table, sources={source_id: (numbers, np.full(len(numbers), number, np.int32))
                                   for source_id, numbers in held.items()})
    family = _alone(only, corpus)
    hits = _hits(corpus, table, number, held, k)
    frequencies = {source_id: middles_mhz(manifest, grid, source_id, numbers) for source_id, numbers in held.items()}
    width_mhz = grid.channels * manifest.sources[next(iter(held))].header.channel_width_mhz
    known = {name for source_id, some in frequencies.items() for f_mhz in np.unique(some).tolist()
             for name in names_at(manifest.sources[source_id].header, f_mhz - width_mhz / 2, f_mhz + width_mhz / 2)}
    spacing = spacing_of(list(frequencies.values()),
                         [middles_mhz(manifest, grid, source_id, table.sources[source_id][0]) for source_id in held],
                         width_mhz)
    return FamilyMembers(family, hits, spacing, _by_target(only, corpus), tuple(sorted(known)),
                         tuple((source_id, one) for source_id, numbers in held.items() for one in numbers.tolist()),
                         corpus)


def _alone(table: FamilyTable, corpus: OpenCorpus) -> Family:
    """Return the only family of a table whose sources hold nothing else."""
    entries = {one: replace(entry, windows_kept=len(table.sources[one][0]))
               for one, entry in corpus.manifest.sources.items() if one in table.sources}
    (family,) = list_families(table, replace(corpus.manifest, sources=entries), corpus.config.scan.grid)
    return family


def _by_target(table: FamilyTable, corpus: OpenCorpus) -> tuple[dict[str, Any], ...]:
    """Sum up the windows of a family for each target."""
    targets: dict[str, list[str]] = {}
    for source_id in table.sources:
        targets.setdefault(corpus.manifest.sources[source_id].header.source_name, []).append(source_id)
    out = []
    for target, source_ids in targets.items():
        one = _alone(replace(table, sources={source_id: table.sources[source_id] for source_id in source_ids}), corpus)
        record = one.to_json()
        out.append({"target": target, **{name: record[name] for name in (
            "windows", "scans", "first_seen_mjd", "last_seen_mjd", "f_start_mhz", "f_stop_mhz")}})
    return tuple(sorted(out, key=lambda one: (-one["windows"], one["target"])))


def _hits(
    corpus: OpenCorpus, table: FamilyTable, number: int, held: dict[str, NDArray[np.int64]], k: int | None
) -> tuple[Hit, ...]:
    """Return the ``k`` windows of a family that are most like its exemplar, or all."""
    source_id, exemplar = table.entries[number].exemplar
    if exemplar not in held.get(source_id, ()):
        source_id, exemplar = next((one, int(numbers[0])) for one, numbers in held.items())
    seed = _vectors(corpus, table, source_id, np.array([exemplar]))[0]
    found = [(float(score), one, int(window)) for one, numbers in held.items()
             for score, window in zip(_vectors(corpus, table, one, numbers) @ seed, numbers, strict=True)]
    found.sort(key=lambda item: ((item[1], item[2]) != (source_id, exemplar), -item[0], item[1], item[2]))
    return tuple(_hit(corpus, rank, *item) for rank, item in enumerate(found[:k], start=1))


def _vectors(
    corpus: OpenCorpus, table: FamilyTable, source_id: str, numbers: NDArray[np.int64]
) -> NDArray[np.float32]:
    rows = corpus.rows(source_id, numbers)
    if (rows < 0).any():
        raise CorpusDamaged(f"{corpus.root}: its families name windows of {source_id} that are not stored; "
                            f"{mending(corpus.root)}")
    return to_unit_length(corpus.vectors_of(source_id, table.encoder_key, rows), source_id)


def _hit(corpus: OpenCorpus, rank: int, score: float, source_id: str, number: int) -> Hit:
    entry, window = corpus.manifest.sources[source_id], corpus.window(source_id, number)
    snr = corpus.column(source_id, "snr", corpus.rows(source_id, np.array([number])))
    return Hit(rank, score, window, source_id, entry.path, entry.header.source_name, entry.header.telescope_id,
               float(snr[0]), view=view_of(source_id), also_at=entry.also_at,
               known=names_at(entry.header, window.f_start_mhz, window.f_stop_mhz))


def family_of(corpus: OpenCorpus, source_id: str, number: int) -> tuple[str, str]:
    """Return id and name of the family of a window; empty texts if it is in none, or if there are no families."""
    table, _ = _held(corpus)
    found = table.entries.get(table.family_of(source_id, number)) if table else None
    return (found.id, found.name) if found else ("", "")


def note_on_families(corpus: OpenCorpus, source_ids: Sequence[str]) -> str:
    """Return a note if windows of some sources are in no family because they are newer, or if families are damaged."""
    table, fault = _held(corpus)
    if table is None:
        return fault
    held = set(held_sources(table, corpus.manifest))
    newer = {source_id for source_id in source_ids if source_id not in held}
    if not newer:
        return ""
    return (f"families are those of generation {table.generation}: hits in {counted(len(newer), 'newer source')} are "
            f"in none yet; update them with {pasted('lookalike families', corpus.root)}")


def _held(corpus: OpenCorpus) -> tuple[FamilyTable | None, str]:
    """Return the families of a corpus, if there are any, and why they cannot be used. A search goes on without them."""
    def read() -> tuple[FamilyTable | None, str]:
        try:
            return read_families(corpus.root), ""
        except (CorpusError, OSError) as error:
            return None, f"families are not shown: {error}"

    return corpus.keep_object("families of hits", read)
