"""Tasks that do nothing but report, and sources for them that need no files."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline import tasks
from pipeline.config import Config
from pipeline.model import CoarseLayout, EncoderSpec, Source, SourceReport
from pipeline.simulate import fine_header

SPEC = EncoderSpec("stub", 1, 128, "cutout-v1 16x256")
SEEN, KEPT = 4096, 80
TASKS_A_SOURCE = 2
"""Tasks of a source that commit its windows and its vectors. Scan tasks and shared embed tasks are not counted here."""


def works(count: int, corpus: Path, parts: int = 1) -> deque[tasks.Work]:
    """Return the work of ``count`` sources of one coarse channel each, as an ingest plans it."""
    config, header, root = Config(), fine_header(), Path("/mnt/blpd7")
    made: deque[tasks.Work] = deque()
    for number in range(count):
        name = f"HIP{number}"
        own = replace(header, tstart_mjd=header.tstart_mjd + number * 300 / 86_400, source_name=name)
        path = f"/mnt/blpd7/session/blc00_guppi_59000_{number:06d}_{name}_0001.rawspec.0000.h5"
        source = Source(f"GBT_59000_{number:06d}_{name}_{number:012x}", own, CoarseLayout(2**20, "product"), path,
                        number, number)
        made.append(tasks.Work(corpus, corpus, source, (), root, config.scan, config.encoder, "f",
                               tuple((part, part + 1) for part in range(parts))))
    return made


def scan_part(work: tasks.Work, part_no: int, *, seconds: float = 0.0) -> tasks.PartReport:
    time.sleep(seconds)
    return tasks.PartReport(part_no, windows_seen=SEEN, windows_kept=KEPT, bytes_decoded=2**26)


def commit_windows(work: tasks.Work, report: SourceReport) -> SourceReport:
    return report


def embed_parts(work: tasks.Work, spec: EncoderSpec, pieces: tuple[tasks.Piece, ...]) -> list[tasks.PartReport]:
    return [tasks.PartReport(piece.part_no, windows_embedded=piece.rows[1] - piece.rows[0]) for piece in pieces]


def commit_vectors(
    work: tasks.Work, spec: EncoderSpec, n_parts: Mapping[str, int], report: SourceReport
) -> SourceReport:
    return report


@contextmanager
def stubbed(seconds: float = 0.0) -> Iterator[None]:
    """Replace the tasks that a driver of this process submits. A scan task then takes ``seconds``."""
    stubs = (commit_windows, embed_parts, commit_vectors)
    really = {name: getattr(tasks, name) for name in ("scan_part", *(stub.__name__ for stub in stubs))}
    try:
        tasks.scan_part = partial(scan_part, seconds=seconds)
        tasks.scan_part.__name__ = scan_part.__name__
        for stub in stubs:
            setattr(tasks, stub.__name__, stub)
        yield
    finally:
        for name, task in really.items():
            setattr(tasks, name, task)
