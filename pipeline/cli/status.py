"""``lookalike status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.cli.report import percent
from pipeline.support.text import counted, shown, size

if TYPE_CHECKING:
    from pipeline.search import CorpusStatus


@command()
@corpus_option
@json_option
def status(corpus: Path, as_json: bool) -> None:
    """Show what a corpus contains.

    Prints the number of sources, files, windows and vectors, the reasons why
    files were not ingested, the share of samples that is in no window, and the
    state of the index.

    \b
    Example:
      lookalike status --corpus corpus
    """
    from pipeline.search import open_corpus

    counted = open_corpus(corpus).status()
    if as_json:
        put_json(counted.to_json())
    else:
        put("\n".join(map(shown, lines(counted))))


def lines(status: CorpusStatus) -> list[str]:
    """Return the status as lines of text."""
    kept = 100 * status.windows_kept / status.windows_seen if status.windows_seen else 0.0
    classes = ", ".join(f"{count} of {name}" for name, count in status.resolutions.items())
    files = ", ".join(f"{count} {name}" for name, count in status.files.items())
    views = ", ".join(f"{name} of {counted(count, 'source')}" for name, count in status.views.items())
    lacking = [f"{counted(count, 'source')} {what}" for count, what in (
        (status.without_signal, "without a signal"), (status.not_searched, "without a window that could be searched"),
    ) if count]
    return [
        f"{status.corpus}, generation {status.generation}, {size(status.size_bytes)}",
        f"sources   {status.sources:,}" + (f" ({classes})" if classes else ""),
        *([f"views     {views}"] if views else []),
        *([f"overviews of {counted(status.overviews, 'source')}"] if status.overviews else []),
        f"files     {files or 'none'}",
        *(f"          {count:,} {reason}" for reason, count in status.reasons.items()),
        f"windows   {status.windows_seen:,} seen, {status.windows_kept:,} kept ({kept:.2f} %)",
        *(f"          {one}" for one in lacking),
        *([f"          {percent(status.share_skipped)} of all samples are in no window, in "
           f"{counted(status.partly_covered, 'source')}"] if status.partly_covered else []),
        *(f"vectors   {count:,} of {key}{_remarks(status, key)}" for key, count in status.vectors.items()),
        *(f"index     {one.vectors_indexed:,} of {key} in {counted(one.segments, 'segment')}"
          f"{' of ' + counted(one.cells, 'cell') if one.cells else ''}, {one.vectors_unindexed:,} compared one by one"
          for key, one in status.index.items()),
    ]


def _remarks(status: CorpusStatus, key: str) -> str:
    """Return remarks on an encoder: whether searches use it by default, and how many windows lack its vectors."""
    default = ", the default of searches" if key == status.encoder else ""
    lacking = status.sources + sum(status.views.values()) - status.sources_embedded[key]
    if not lacking:
        return default
    windows = counted(status.windows_lacking[key], "window")
    return f"{default}; {counted(lacking, 'source')} with {windows} yet to embed"
