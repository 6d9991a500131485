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


def scan_whole(works: tuple[tasks.Work, ...], *, seconds: float = 0.0) -> list[tuple[tasks.PartReport, SourceReport]]:
    parts = [scan_part(work, 0, seconds=seconds) for work in works]
    return [(part, tasks.added(work.new_report(), part)) for work, part in zip(works, parts, strict=True)]


def embed_whole(
    work: tasks.Work, spec: EncoderSpec, sources: tuple[tuple[tuple[tasks.Piece, ...], SourceReport], ...]
) -> list[tuple[tasks.PartReport, SourceReport]]:
    parts = [embed_parts(work, spec, pieces)[0] for pieces, _ in sources]
    return [(part, tasks.added(report, part)) for part, (_, report) in zip(parts, sources, strict=True)]


def commit_vectors(
    work: tasks.Work, spec: EncoderSpec, n_parts: Mapping[str, int], report: SourceReport
) -> SourceReport:
    return report


@contextmanager
def stubbed(seconds: float = 0.0) -> Iterator[None]:
    """Replace the tasks that a driver of this process submits. A scan task then takes ``seconds``."""
    scans, others = (scan_part, scan_whole), (commit_windows, embed_parts, embed_whole, commit_vectors)
    really = {stub.__name__: getattr(tasks, stub.__name__) for stub in (*scans, *others)}
    try:
        for scan in scans:
            timed = partial(scan, seconds=seconds)
            timed.__name__ = scan.__name__  # type: ignore[attr-defined]
            setattr(tasks, scan.__name__, timed)
        for stub in others:
            setattr(tasks, stub.__name__, stub)
        yield
    finally:
        for name, task in really.items():
            setattr(tasks, name, task)
