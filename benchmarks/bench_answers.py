"""Measure what an answer costs beside a bare search: figures of chance, ON/OFF, families, labels, known interference.

    python -m benchmarks.bench_answers [--vectors 1000000] [--corpus DIR] [--searches 200] [--folder DIR]

Without --corpus, it makes a synthetic corpus with one search graph (:mod:`benchmarks.synthetic`), and its families. A
million vectors take 5 GB of --folder, and ten minutes. Each window is searched for once, which is not measured, and
then three times, in turn: bare, with all that an answer tells, and with ON/OFF besides. *Bare* has the same windows,
merged in the same way, and none of what is told about them. Then searches are refined by ten examples. All runs in one
process, after a warm-up.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.report import heading, table
from benchmarks.synthetic import KEPT, Synthetic
from pipeline.run import find_families
from pipeline.search import Corpus, SearchRequest, open_corpus
from pipeline.significance import Background
from pipeline.store import CorpusStore, SourceGroup

WARM_UP = 20
EXAMPLES = 5
"""Windows given as like, and as unlike."""
MAX_SHARE, MAX_LATE_MS, MAX_REFINED_MS = 1.3, 30.0, 200.0
"""What is asked for: median of a search beside that of a bare one, its 95th percentile, and a refined search."""


@contextmanager
def bare() -> Iterator[None]:
    """Leave out what is told about hits."""
    instead: dict[str, Any] = {
        "answer.scores_of": lambda selection, queries: iter([None] * len(queries)),
        "answer.background_of": lambda selection, query, searched, known=None: Background(searched, reason="left out"),
        "answer.annotated": lambda corpus, request, query, hits, found: (tuple(hits), ""),
        "answer.not_searched_of": lambda selection: None,
        "answer.note_on_families": lambda corpus, source_ids: "",
        "hits.known_bands": lambda: (),
        "hits.family_of": lambda corpus, source_id, number: ("", ""),
    }
    with ExitStack() as stack:
        for name, replacement in instead.items():
            stack.enter_context(patch(f"pipeline.search.{name}", replacement))
        yield


def made(root: Path, vectors: int) -> Path:
    """Make a corpus with a search graph and families."""
    Synthetic(root, vectors, sources=max(4, vectors // KEPT)).index(1)
    find_families(root)
    return root


def windows_of(root: Path, count: int) -> list[str]:
    """Return the names of some kept windows, of many scans."""
    manifest, chance = CorpusStore.open(root).manifest(), random.Random(0)
    ids = [source_id for source_id, entry in manifest.sources.items() if entry.windows_kept and entry.vectors]
    chosen, names = chance.sample(ids, min(len(ids), 40)), []
    for source_id in chosen:
        numbers = SourceGroup.open(root, source_id).numbers.tolist()
        some = chance.sample(numbers, min(len(numbers), count // len(chosen) + 1))
        names += [f"{source_id}/{number}" for number in some]
    chance.shuffle(names)
    return names[:count]


def taken_ms(corpus: Corpus, request: SearchRequest) -> tuple[float, float]:
    """Search; return milliseconds of wall and of CPU."""
    began, worked = time.perf_counter(), time.process_time()
    corpus.answer(request)
    return 1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - worked)


def measure(root: Path, searches: int) -> None:
    """Measure, and print the table."""
    corpus = open_corpus(root)
    windows = windows_of(root, searches + WARM_UP)
    taken: dict[str, list[tuple[float, float]]] = {"bare": [], "as the command does": [], "with ON/OFF": []}
    for i, window in enumerate(windows):
        request = SearchRequest(window=window, k=10)
        corpus.answer(request)  # what the first search of a window reads is kept, and not measured
        with bare():
            none = taken_ms(corpus, request)
        of_one = none, taken_ms(corpus, request), taken_ms(corpus, SearchRequest(window=window, k=10, on_off=True))
        if i >= WARM_UP:
            for times, one in zip(taken.values(), of_one, strict=True):
                times.append(one)
    refined = "refined by ten examples"
    taken[refined] = [taken_ms(corpus, _refined(windows[i : i + 2 * EXAMPLES + 1]))
                      for i in range(0, min(len(windows) - 2 * EXAMPLES, 40))][1:]
    status = corpus.status()
    heading(f"Answers: {sum(status.vectors.values()):,} vectors, {status.sources} sources", "numpy", "zarr")
    figures = {what: np.quantile(np.array(times), (0.5, 0.95), axis=0) for what, times in taken.items()}
    table(("search for a stored window", "p50, ms", "p95, ms", "CPU p50, ms", "CPU beside bare", "n"), [
        (what, f"{wall:.1f}", f"{late:.1f}", f"{cpu:.1f}", f"{cpu / figures['bare'][0][1]:.2f}", len(taken[what]))
        for what, ((wall, cpu), (late, _)) in figures.items()])
    share = figures["as the command does"][0] / figures["bare"][0]
    print(f"\nAll that is told takes {share[0]:.2f} times the bare search (asked for: {MAX_SHARE:g}), 95 % of searches "
          f"within {figures['as the command does'][1][0]:.0f} ms ({MAX_LATE_MS:g}), a refined one "
          f"{figures[refined][0][0]:.0f} ms ({MAX_REFINED_MS:g}).")


def _refined(windows: Sequence[str]) -> SearchRequest:
    query, *examples = windows
    return SearchRequest(window=query, k=10, like=tuple(examples[:EXAMPLES]), unlike=tuple(examples[EXAMPLES:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000, help="vectors of the synthetic corpus")
    parser.add_argument("--corpus", type=Path, help="use this corpus, and make none")
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the corpus is made; default: a temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        measure(asked.corpus or made(Path(folder) / "corpus", asked.vectors), asked.searches)


if __name__ == "__main__":
    main()
