"""Checks that must pass at any time: what a user sees of a corpus is what the model says."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.integrity import verify
from pipeline.integrity.survey import unchanged_file
from pipeline.search import Corpus, OpenCorpus
from pipeline.search.nearest import nearest
from pipeline.search.selection import Selection
from pipeline.store import CURRENT, CorpusStore, VectorGroup, current_generation
from pipeline.store.generations import MAX_GENERATIONS
from tests.machine.model import REMOVED, States
from tests.machine.scans import Pool, Scan, columns_of
from tests.run.damages import files_of

TOLERANCE = 1e-5
"""Tolerance of scores: vectors are stored with 16 bits and multiplied with 32 bits."""
Held = Mapping[int, frozenset[str]]
"""Number of a scan → encoders of its vectors."""


@dataclass
class Reader:
    """A corpus that was opened a while ago."""

    corpus: Corpus
    held: Held
    lowest_s: float
    """Lowest time that the clock has shown since then, relative to the right one."""
    may_be_outlived: bool = False
    """True once a run may have deleted what this reader reads, by the clock."""


def states_of(root: Path, pool: Pool) -> States:
    """Read the states of all scans from the manifest."""
    manifest = CorpusStore.open(root).manifest()
    both = manifest.sources.keys() & manifest.removed.keys()
    assert not both, "a source that was removed is held"
    held = {pool.number_of[source_id]: frozenset(entry.vectors) for source_id, entry in manifest.sources.items()}
    return held | {pool.number_of[source_id]: REMOVED for source_id in manifest.removed}


def check_search(corpus: Corpus, held: Held, pool: Pool, paths: Mapping[int, Iterable[str]], chance: int) -> None:
    """Every window is found by its own vector, and a search for one finds all others, in the order of their scores."""
    by_key = sorted({key for keys in held.values() for key in keys})
    for number, key in enumerate(by_key):
        scans = [pool.scans[scan] for scan, keys in held.items() if key in keys]
        with corpus._corpus.outlived():
            _check_nearest(corpus._corpus, key, scans)
        if number == chance % len(by_key):
            _check_hits(corpus, key, scans, pool, paths, chance)


def _check_nearest(opened: OpenCorpus, key: str, scans: list[Scan]) -> None:
    """A search for all windows finds each of them, with a score of 1, because a window equals itself."""
    selection = Selection.of(opened, key, frozenset(scan.resolution for scan in scans))
    exact = any(segment.cells for segment in opened.manifest.segments)
    windows = [(scan.source_id, number) for scan in scans for number in scan.numbers]
    vectors = np.concatenate([scan.vectors[key] for scan in scans])
    found = nearest(selection, vectors.astype(np.float32), len(windows) + 1, exact=exact)
    names = [(selection.source_ids[i], int(number)) for i, number in zip(found.source, found.number, strict=True)]
    assert len(set(names)) == len(names), f"{key}: a window is found twice"
    assert set(names) == set(windows), f"{key}: not the windows that are stored"
    assert [windows[query] for query in found.query] == names, "what resembles a window most is itself"
    np.testing.assert_allclose(found.score, 1.0, rtol=0, atol=TOLERANCE)


def _check_hits(
    corpus: Corpus, key: str, scans: list[Scan], pool: Pool, paths: Mapping[int, Iterable[str]], chance: int
) -> None:
    scan = scans[chance % len(scans)]
    number = scan.numbers[chance % len(scan.numbers)]
    hits = corpus.search(window=f"{scan.source_id}/{number}", k=1000, encoder=key)
    found = [(hit.source_id, one) for hit in hits for one in (hit.window.number, *hit.merged)]
    expected = {(other.source_id, one) for other in scans if other.resolution == scan.resolution
                for one in other.numbers} - {(scan.source_id, number)}
    assert len(found) == len(expected)
    assert set(found) == expected
    for hit in hits:
        other = pool.scans[pool.number_of[hit.source_id]]
        assert Path(hit.file).name in paths[pool.number_of[hit.source_id]]
        assert hit.target == other.target
        cosine = other.vectors[key][other.numbers.index(hit.window.number)] @ scan.vectors[key][
            scan.numbers.index(number)]
        assert abs(hit.score - cosine) < TOLERANCE


def check_status(corpus: Corpus, held: Held, pool: Pool) -> None:
    """The counts of ``status`` are those of the model."""
    status = corpus.status()
    counts: Counter[str] = Counter()
    for number, keys in held.items():
        counts.update({key: len(pool.scans[number].numbers) for key in keys})
    assert status.sources == len(held)
    assert status.windows_kept == sum(len(pool.scans[number].numbers) for number in held)
    assert +Counter(status.vectors) == counts
    assert status.resolutions == Counter(pool.scans[number].resolution for number in held)
    for key, of_index in status.index.items():
        assert of_index.vectors_indexed + of_index.vectors_unindexed == status.vectors[key]
        assert of_index.vectors_unindexed >= 0


def check_verified(root: Path, foreign: Mapping[Path, bytes]) -> None:
    """``verify`` finds no damage, and names the files of other programs and nothing else."""
    verified = verify(root)
    assert verified.damages == (), verified.damages
    others = [path for path in root.rglob("*") if path.name in {one.name for one in foreign}]
    unnamed = [path for path in others if not {path, *path.parents} & set(verified.foreign)]
    assert not unnamed, "verify does not name the file of another program"
    for path in verified.foreign:
        assert any(path == other or path in other.parents for other in others), f"{path} is taken for foreign"


def check_contents(root: Path, held: Held, pool: Pool) -> None:
    """Windows, statistics and exposure are those of an undisturbed run bit for bit, and so are the vectors."""
    for number, keys in held.items():
        scan = pool.scans[number]
        assert columns_of(root, scan.source_id) == scan.columns
        for key in keys:
            rows = VectorGroup.open(root, key, scan.source_id).vectors().astype(np.float64)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            np.testing.assert_allclose(rows, scan.vectors[key], rtol=0, atol=1e-3)


def check_tidy(root: Path, foreign: Mapping[Path, bytes], *, segments: bool) -> None:
    """A run that was not killed leaves only what the manifest names, and files of other programs."""
    names = {one.name for one in foreign}
    manifest = CorpusStore.open(root).manifest()
    named = {*manifest.retired, *(f"sources/{source_id}" for source_id in manifest.sources),
             *(f"vectors/{key}/{source_id}" for source_id, entry in manifest.sources.items() for key in entry.vectors)}
    assert not set(_occupied(root / "staging", 1, names)), "something is left in staging"
    assert set(_occupied(root / "sources", 1, names)) <= named
    assert set(_occupied(root / "vectors", 2, names)) <= named
    if segments:
        assert set(_occupied(root / "index", 1, names)) <= named | {f"index/{one.id}" for one in manifest.segments}
    assert len([name for name in os.listdir(root / "lock") if name.isdigit()]) == 1
    assert not [name for name in os.listdir(root) if name.endswith(".tmp")]
    generations = [name for name in os.listdir(root / "manifest") if name.partition(".")[0].isdigit()]
    unpublished = 2  # a run that was killed before it moved the pointer leaves a generation and its copy
    assert len(generations) <= MAX_GENERATIONS + 1 + unpublished


def files_to_damage(root: Path, foreign: Mapping[Path, bytes]) -> list[tuple[Path, str, str]]:
    """Return the files of a corpus that ``verify`` must name once they are damaged: path, kind and name of the damage.

    The pointer is none of them while a killed run has left a generation: a repair takes that as published then.
    """
    manifest = CorpusStore.open(root).manifest()
    numbers = [path.name.partition(".")[0] for path in (root / "manifest").iterdir()]
    is_left = any(number.isdigit() and int(number) > current_generation(root) for number in numbers)
    spared = {*foreign, *([root / CURRENT] if is_left else [])}
    return [(path, kind, name) for path, kind, name in files_of(root) if path not in spared and path.stat().st_size > 1
            and (kind != "source" or unchanged_file(manifest, name))]


def _occupied(folder: Path, depth: int, foreign: set[str]) -> Iterator[str]:
    """Yield the folders at a depth that hold files of the program, relative to the corpus."""
    for path in sorted(folder.glob("/".join("*" * depth))) if folder.is_dir() else ():
        if path.name not in foreign and (not path.is_dir() or _has_own(path, foreign)):
            yield path.relative_to(folder.parent).as_posix()


def _has_own(folder: Path, foreign: set[str]) -> bool:
    files = [(place, name) for place, _, names in os.walk(folder) for name in names]
    if not files:
        return not any(path.name in foreign for path in folder.iterdir())
    return any(name not in foreign and not foreign & set(Path(place).parts) for place, name in files)


def check_foreign(root: Path, foreign: Mapping[Path, bytes]) -> None:
    """The files of others are where they were. If a run deleted the object around one, it lies elsewhere in the corpus.
    """
    for path, content in foreign.items():
        if path.is_file():
            assert path.read_bytes() == content
        else:
            assert len(path.relative_to(root).parts) > 2, f"{path} is gone"
            moved = [other for other in root.rglob(path.name) if other.is_file()]
            assert [other.read_bytes() for other in moved] == [content], f"{path} is lost"
