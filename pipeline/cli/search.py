"""``lookalike search``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.below_hits import known_lines, not_searched_lines
from pipeline.cli.cluster_options import cluster_options
from pipeline.cli.example_options import FLAGS, check_to_label, example_options, json_to_label, lines_to_label
from pipeline.cli.exports import Exports, export_options
from pipeline.cli.filters import filter_options
from pipeline.cli.grouped import command
from pipeline.cli.hits import NOT_WITH_HITS, HitsAsked, check_hits, hits_options, print_hits
from pipeline.cli.inside import inside_option
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json, remark
from pipeline.cli.patterns import PATTERN_FLAGS, pattern_options, with_arrays
from pipeline.cli.picture import FLAGS as PICTURE_FLAGS
from pipeline.cli.picture import PlotQuery, picture_options
from pipeline.cli.places import Places
from pipeline.errors import CorpusNotFound, ParameterError, QueryError
from pipeline.model import Digits
from pipeline.search.filter_table import FILTERS
from pipeline.support.text import counted, short_chance, shown
from pipeline.views import shown_view

if TYPE_CHECKING:
    from pipeline.search import Corpus, SearchResult


# each option of the search itself has the name of the parameter of pipeline.search.SearchRequest that it sets
@command(groups={
    "Query": (*PATTERN_FLAGS, "--hits", *FLAGS),
    "Query from a picture": PICTURE_FLAGS,
    "How to compare": ("--encoder", "--view", "--all-views", "--each-window", "--all-resolutions", "--exact",
                       "--careful", "--rerank", "--rerank-drift", "--rerank-mirror", "--expand",
                       "--near-frequency"),
    "Where to search": ("--in",),
    "Which hits": ("-k", "--expected-below", "--min-score", "--q", *(row.flag for row in FILTERS.values()),
                   "--on-off", "--on-only", "--on-off-power", "--per-file", "--per-mhz", "--to-label"),
})
@corpus_option
@pattern_options
@hits_options
@example_options
@picture_options
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, metavar="N",
              help="Maximum number of hits.")
@click.option("--expected-below", type=float, metavar="N",
              help="Show only hits whose score at most N unrelated windows reach by chance. 0.1 is strict.")
@click.option("--min-score", type=float, metavar="SCORE", help="Show only hits with at least this score.")
@click.option("--q", is_flag=True, help="Also print the false discovery rate of each hit.")
@click.option("--exact", is_flag=True,
              help="Compare with every vector instead of following the graph. Without a cluster, up to a million "
                   "vectors are always compared one by one.")
@click.option("--careful", is_flag=True, help="Follow the graph farther: slower, but fewer look-alikes are missed.")
@click.option("--encoder", metavar="NAME",
              help="Compare the vectors of this encoder, given by name or key. If several encoders share the name, the "
                   "one of the corpus is used. Default: the encoder of the corpus.")
@click.option("--view", metavar="NAME",
              help="Averaged view to search through, such as f4; 1x for the files as they are. Default: for a range, "
                   "the view whose windows are about as large as the range, or a finer one if a window of it shows the "
                   "whole pattern; for an array, 1x.")
@click.option("--all-views", is_flag=True, help="Search through all averaged views of the corpus.")
@click.option("--each-window", is_flag=True,
              help="Search for each window of a wide or long pattern by itself, wherever it lies. By default, their "
                   "arrangement counts.")
@click.option("--all-resolutions", is_flag=True, help="Search files of every time and frequency resolution.")
@click.option("--rerank", is_flag=True,
              help="Compare the best 200 hits with the query pixel by pixel, and order them by both scores.")
@click.option("--rerank-drift", is_flag=True, help="With --rerank, allow for slightly more or less drift.")
@click.option("--rerank-mirror", is_flag=True, help="With --rerank, allow for reversed frequency.")
@click.option("--expand", is_flag=True,
              help="Expand the query by its two nearest look-alikes, and order hits by the cosine with the mean of the "
                   "three vectors. Finds more of the same kind. Not with --rerank or --near-frequency.")
@click.option("--near-frequency", type=float, default=0.0, metavar="WEIGHT",
              help="How much nearness in frequency counts in the order of hits. 1: as much as the pattern. Not with "
                   "--rerank. Default: 0.")
@filter_options
@inside_option
@click.option("--on-off", is_flag=True,
              help="Say for each hit whether it is also there where the telescope pointed elsewhere in its session.")
@click.option("--on-only", is_flag=True,
              help="Only hits that are seen at one pointing of their session. Implies --on-off.")
@click.option("--on-off-power", is_flag=True,
              help="Judge ON and OFF by power that is measured in the files of the scans at other pointings, along the "
                   "drift of the hit. Slower: these files are read. Implies --on-off.")
@click.option("--per-file", type=click.IntRange(1), metavar="N", help="Maximum number of hits in one file.")
@click.option("--per-mhz", type=click.IntRange(1), metavar="N", help="Maximum number of hits that begin in one MHz.")
@cluster_options
@json_option
@click.option("--csv", "as_csv", is_flag=True,
              help="Print comma-separated values. Names that begin with =, +, - or @ get an apostrophe in front, so "
                   "that no spreadsheet runs them; control characters are escaped. The column note repeats remarks "
                   "on the answer.")
@export_options
def search(
    corpus: Path, place: Mapping[str, Any], as_json: bool, as_csv: bool, exports: Exports, to_label: int | None,
    picture: PlotQuery | None, hits: HitsAsked | None, **asked: Any,
) -> None:
    """Find where else a pattern occurs.

    The pattern is a range of a file, a window of the corpus, an array, the
    picture of a plot, or a simulated signal. With --hits, all rows of a hit table
    are searched for.

    Hits never overlap the pattern itself, in any file of its recording. Windows
    of one signal that touch are one hit. The same pixels in several files are one
    hit, too: the table names the other files below it.

    A range that is wide, or that has several time blocks, consists of several
    windows. Those without a signal are left out. A hit is then a place where the
    others lie as far apart as in the pattern. Its score is the mean over these
    windows; a missing window counts as 0. With --each-window, each window is
    searched for by itself, and the table says which of them a hit resembles.

    The score is the cosine similarity of two vectors; 1 is the highest. The
    next column says how many unrelated windows score so well by chance, among
    all that were searched. ~ marks a number that is extrapolated. Numbers below
    0.000001 are shown as <1e-06. The second line sums up how many hits are
    convincing (less than half a window by chance, and at most 1 in 20 of the
    hits that are as good) or plausible (at most one window). With --rerank
    there is a second score: the correlation of the two images where they match
    best, from 0 to 1. Hits are then ordered by a mean of both scores, reranked,
    and the figures of chance are those of this mean. With --expand, hits are
    ordered by another cosine, which stands beside the score: that with a
    weighted mean of the query and its two nearest look-alikes.

    --like and --unlike refine a search by examples. The score is then the cosine
    with a direction: what the alike examples have in common and the unlike ones
    lack. Figures of chance are those of this score.

    --only-… and --not-… say where hits may lie; all other windows are ignored.
    --label and --not-label ask for hits that carry a label of yours, or do not.
    --per-file and --per-mhz limit the hits at one place, so that one transmitter
    does not fill the list.

    With --scheduler or --cluster, the workers of a Dask cluster search. They must
    see the corpus under the same path. Otherwise this process searches.

    \b
    Example:
      lookalike search --file scan.h5 --f-start 1531 --f-stop 1531.1 --rerank
    """
    from pipeline.search import SearchRequest

    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    if picture is not None:
        if asked["power"] is not None:
            raise click.UsageError("choose one of --npy and --picture")
        asked["power"] = picture.path
    on_cluster = bool(place["scheduler"] or place["cluster"])
    asked["one_shot"] = not on_cluster
    if hits is not None:
        if exports != Exports():
            raise click.UsageError("the options that write or send hits do not go with --hits; use --html, --csv "
                                   "or --json")
        check_hits(asked, _flags())
        with _opened(corpus, place, on_cluster, needs_files=True) as opened, flags_in_messages(QueryError):
            print_hits(opened, hits, {name: value for name, value in asked.items() if name not in NOT_WITH_HITS},
                       as_json=as_json, as_csv=as_csv)
        return
    with flags_in_messages(click.UsageError):
        request = SearchRequest(**asked)
        check_to_label(request, to_label)
    if picture is None:
        request = with_arrays(request)
    with _opened(corpus, place, on_cluster, needs_files=request.file is not None) as opened:
        with flags_in_messages(QueryError):
            result = opened.answer(request if picture is None else picture.request(opened, request))
        exports.write(result)
        _show(result, as_json, as_csv, to_label)


@contextmanager
def flags_in_messages(kind: Callable[[str], Exception]) -> Iterator[None]:
    """Raise an error about a parameter as another kind of error, with the option in place of the parameter's name."""
    try:
        yield
    except ParameterError as error:
        flags = _flags()
        raise kind(error.spelled(lambda name: flags.get(name, name))) from error


def _flags() -> Mapping[str, str]:
    """Return the option that sets each parameter of the search."""
    return {str(param.name): param.opts[0] for param in click.get_current_context().command.params}


def _show(result: SearchResult, as_json: bool, as_csv: bool, to_label: int | None) -> None:
    if result.description.note:
        remark(f"note: {shown(result.description.note)}")
    if as_json:
        put_json({**result.to_json(), **json_to_label(result, to_label)})
    elif as_csv:
        from pipeline.export import csv_of

        put(csv_of(result), newline=False)
    else:
        put("\n".join([*table(result), *map(shown, lines_to_label(result, to_label))]))


def _opened(
    corpus: Path, place: Mapping[str, Any], on_cluster: bool, *, needs_files: bool
) -> AbstractContextManager[Corpus]:
    """Open a corpus here or on a cluster."""
    if on_cluster:
        return corpus_on_cluster(corpus, place)
    try:
        return nullcontext(corpus_here(corpus, needs_files=needs_files))
    except CorpusNotFound as error:
        raise CorpusNotFound(f"{error}; or search files that are in no corpus, with --in FILE_OR_FOLDER") from error


def corpus_here(corpus: Path, *, needs_files: bool) -> Corpus:
    """Open a corpus in this process.

    Parameters
    ----------
    needs_files : bool
        True if files will be read.
    """
    from pipeline.search import open_corpus

    if needs_files:
        from pipeline.filterbank import start_parser

        start_parser()  # the process of the parser starts while this one opens the corpus
    return open_corpus(corpus)


@contextmanager
def corpus_on_cluster(corpus: Path, place: Mapping[str, Any]) -> Iterator[Corpus]:
    """Open a corpus on the cluster that the options name. The cluster is closed afterwards, if it was started here."""
    from pipeline.config import Config
    from pipeline.execute.cluster import connected
    from pipeline.execute.cluster_search import open_on_cluster

    with connected(Config.load(corpus, {"run": place}).run) as client:
        yield open_on_cluster(corpus, client)


def table(result: SearchResult) -> list[str]:
    """Return hits as aligned lines, best first. The lines above say what was searched and how hits are ordered."""
    corpus = result.corpus
    signals = counted(corpus["vectors"], "signal")
    if corpus["searched"] < corpus["vectors"]:
        signals = f"{corpus['searched']:,} of {signals}"
    lines = [f"{counted(len(result), 'hit')} among {signals} ({counted(corpus['windows'], 'window')}, "
             f"{counted(corpus['sources'], 'source')}), by {result.encoder}"]
    if not result:
        return [shown(line) for line in lines]
    lines += [result.words_of_verdict, *_order(result)]
    has_several = result.description.windows > 1 and not result.description.arranged
    second = f" {'expected':>8}" if result[0].expected is not None else ""
    second += f" {'q':>7}" if result.request.q else ""
    second += f" {'correlation':>11}" if result[0].match else ""
    second += f" {'reranked':>8}" if result[0].reranked is not None else ""
    second += f" {'expanded':>8}" if result[0].expanded is not None else ""
    has_views = any(hit.view for hit in result)
    second += f" {'view':>6}" if has_views else ""
    second += f" {'ON/OFF':>9}" if result[0].on_off else ""
    of_query = [hit.query_window for hit in result if has_several and hit.query_window]
    columns = Places(Digits.of([*(hit.window for hit in result), *of_query]))
    like = columns.head("query ") if has_several and result[0].query_window else ""
    lines.append(f"{'':>3} {'score':>6}{second}{columns.head()} {columns.date_head} {'SNR':>7}{like}  window")
    for hit in result:
        window = hit.window
        merged = result.words_of_merged(hit)
        second = f" {result.words_of_expected(hit):>8}" if hit.expected is not None else ""
        second += f" {short_chance(hit.q):>7}" if result.request.q and hit.q is not None else ""
        second += f" {hit.match.correlation:11.3f}" if hit.match else ""
        second += f" {hit.reranked:8.3f}" if hit.reranked is not None else ""
        second += f" {hit.expanded:8.3f}" if hit.expanded is not None else ""
        second += f" {shown_view(hit.view):>6}" if has_views else ""
        second += f" {hit.on_off.state:>9}" if hit.on_off else ""
        like = columns.cells(hit.query_window) if has_several and hit.query_window else ""
        lines.append(f"{hit.rank:>3} {hit.score:6.3f}{second}{columns.cells(window)} {columns.date(window)} "
                     f"{hit.snr:7.1f}{like}"
                     f"  {hit.source_id}/{window.number}{merged}")
        if hit.also_at:
            lines.append(f"{'':>3} also at {', '.join(hit.also_at)}")
        if hit.labels:
            lines.append(f"{'':>3} labelled {', '.join(hit.labels)}")
    lines += known_lines(result) + not_searched_lines(result)
    return [shown(line) for line in lines]


def _order(result: SearchResult) -> list[str]:
    """Return a line that says how hits are ordered, where it is not by the score alone."""
    if result.request.rerank:
        from pipeline.search.correlate import WEIGHT

        return [f"ordered by reranked: {1 - WEIGHT:g} × score + {WEIGHT:g} × correlation"]
    if result[0].expanded is not None:
        return ["ordered by expanded, the cosine with a weighted mean of the query and its two nearest look-alikes"]
    if result.refinement is not None:
        return [f"score: cosine with what {counted(result.description.like, 'example')} of --like have in common and "
                f"others lack, among them {result.description.unlike:,} of --unlike"]
    if weight := result.request.near_frequency:
        return [f"ordered by score + {weight:g} × nearness to the query's frequency: 1 there, .69 at 2 MHz from it"]
    return []
