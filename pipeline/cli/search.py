"""``lookalike search``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import cluster_options
from pipeline.cli.filters import filter_options
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json, remark
from pipeline.errors import QueryError
from pipeline.text import counted, shown

if TYPE_CHECKING:
    from pipeline.model import Window
    from pipeline.search import Corpus, Filters, SearchResult

COLUMNS = ("rank", "score", "source", "file", "target", "window", "f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s",
           "mjd", "snr", "merged", "correlation", "shift_hz", "shift_s", "extra_drift_hz_per_s", "mirrored",
           "nearness", "query_f_start_mhz", "query_f_stop_mhz", "query_t_start_s", "query_t_stop_s")
"""Of the CSV: the keys of a hit in JSON."""


@click.command()
@corpus_option
@click.option("--file", metavar="NAME_OR_PATH",
              help="Query a range of a file, in the corpus or not; with --f-start and --f-stop.")
@click.option("--f-start", type=float, metavar="MHZ", help="Lower end of the range.")
@click.option("--f-stop", type=float, metavar="MHZ", help="Upper end of the range.")
@click.option("--window", metavar="SOURCE/NUMBER",
              help="Query a window of the corpus; the source by id, its beginning, or file name.")
@click.option("--npy", type=click.Path(path_type=Path), metavar="FILE",
              help="Query an array of linear power (spectra, channels), frequency ascending: "
                   "reversed where foff < 0, as blimpy gives it.")
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="How many hits.")
@click.option("--exact", is_flag=True,
              help="Compare with every vector instead of following the graph. Up to a million are compared unasked.")
@click.option("--careful", is_flag=True, help="Follow the graph farther: slower, and less is missed.")
@click.option("--encoder", metavar="NAME",
              help="Compare vectors of this encoder, by key, or by name: of several versions the corpus' own. "
                   "Default: that of the corpus.")
@click.option("--all-resolutions", is_flag=True, help="Search files of every time and frequency resolution.")
@click.option("--rerank", is_flag=True,
              help="Compare the best 200 hits with the query again, pixel by pixel; order them by both scores.")
@click.option("--rerank-drift", is_flag=True, help="Then allow for slightly more or less drift.")
@click.option("--rerank-mirror", is_flag=True, help="Then allow for frequency reversed.")
@click.option("--near-frequency", type=float, default=0.0, metavar="WEIGHT",
              help="Order hits by nearness in frequency, too: at 1 it counts as much as the pattern. Without --rerank.")
@filter_options
@click.option("--per-file", type=click.IntRange(1), metavar="N", help="At most N hits in one file.")
@click.option("--per-mhz", type=click.IntRange(1), metavar="N", help="At most N hits that begin in one MHz.")
@cluster_options
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.png",
              help="Draw the query and its best ten hits.")
def search(
    corpus: Path, file: str | None, f_start: float | None, f_stop: float | None, window: str | None, npy: Path | None,
    k: int, exact: bool, careful: bool, encoder: str | None, all_resolutions: bool, rerank: bool, rerank_drift: bool,
    rerank_mirror: bool, near_frequency: float, filters: Filters, per_file: int | None, per_mhz: int | None,
    place: Mapping[str, Any], as_json: bool, as_csv: bool, plot: Path | None,
) -> None:
    """Find where else a pattern occurs.

    The pattern is a range of a file, a window of the corpus, or an array. The
    query itself is not among its hits; windows of one signal that touch are one
    hit. A wide range, or one of several time blocks, is searched through each of
    its windows that holds a signal: the table then says which one a hit resembles.
    The score is cosine similarity. With --rerank there is a second one, the
    correlation of the images where they lie best over each other, from 0 to 1;
    hits are ordered by both.

    --only-… and --not-… say where hits may lie: it is as if the corpus held
    nothing else. --per-file and --per-mhz keep one transmitter from filling
    the list: hits at other places come instead.

    With --scheduler or --cluster, the workers of a Dask cluster search, which must
    see the corpus under the same path; without, this process does.
    """
    _check_usage(file, f_start, f_stop, window, npy, as_json and as_csv)
    if (rerank_drift or rerank_mirror) and not rerank:
        raise click.UsageError("--rerank-drift and --rerank-mirror go with --rerank")
    power = None if npy is None else read_array(npy)
    on_cluster = bool(place["scheduler"] or place["cluster"])
    with _opened(corpus, place) if on_cluster else nullcontext(_open_here(corpus, file)) as opened:
        result = opened.search(file=file, f_start_mhz=f_start, f_stop_mhz=f_stop, window=window, power=power, k=k,
                               exact=exact, careful=careful, encoder=encoder, all_resolutions=all_resolutions,
                               rerank=rerank, rerank_drift=rerank_drift, rerank_mirror=rerank_mirror,
                               near_frequency=near_frequency,
                               filters=filters, per_file=per_file, per_mhz=per_mhz, one_shot=not on_cluster)
    if plot is not None:
        from pipeline.plot import plot_gallery

        plot_gallery(plot, result, opened.power_of(result[:10]))
        remark(f"picture: {shown(plot)}")
    if note := result.query.get("note"):
        remark(f"note: {shown(note)}")
    if as_json:
        put_json(result.to_json())
    elif as_csv:
        put(csv_of(result), newline=False)
    else:
        put("\n".join(table(result)))


def _open_here(corpus: Path, file: str | None) -> Corpus:
    from pipeline.filterbank import start_parser
    from pipeline.search import open_corpus

    if file is not None:
        start_parser()  # beside what else takes time
    return open_corpus(corpus)


@contextmanager
def _opened(corpus: Path, place: Mapping[str, Any]) -> Iterator[Corpus]:
    """Open a corpus on the cluster that the options name, for as long as that is there."""
    from pipeline.config import Config
    from pipeline.run.cluster import connected
    from pipeline.run.search import open_on_cluster

    with connected(Config.load(corpus, {"run": place}).run) as client:
        yield open_on_cluster(corpus, client)


def _check_usage(
    file: str | None, f_start: float | None, f_stop: float | None, window: str | None, npy: Path | None,
    two_formats: bool,
) -> None:
    if sum(query is not None for query in (file, window, npy)) != 1:
        raise click.UsageError("say what to search for: one of --file, --window and --npy")
    if file is not None and (f_start is None or f_stop is None):
        raise click.UsageError("--file needs --f-start and --f-stop")
    if file is None and not (f_start is None and f_stop is None):
        raise click.UsageError("--f-start and --f-stop go with --file")
    if two_formats:
        raise click.UsageError("choose one of --json and --csv")


def read_array(path: Path) -> Any:
    """Read a ``.npy`` file; :class:`QueryError` where it is none, or would have to be unpickled."""
    from numpy.lib.format import read_array as read_npy

    try:
        with path.open("rb") as stream:
            return read_npy(stream, allow_pickle=False)
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # whatever numpy's parser meets
        raise QueryError(f"{path}: not an array as numpy.save writes it ({error})") from error


def table(result: SearchResult) -> list[str]:
    """Return hits as aligned lines, best first, headed by what was searched and by what they are ordered."""
    corpus = result.corpus
    signals = counted(corpus["vectors"], "signal")
    if corpus["searched"] < corpus["vectors"]:
        signals = f"{corpus['searched']:,} of {signals}"
    lines = [f"{counted(len(result), 'hit')} among {signals} ({counted(corpus['windows'], 'window')}, "
             f"{counted(corpus['sources'], 'source')}), by {result.query['encoder']}"]
    if not result:
        return [shown(line) for line in lines]
    lines += _order(result)
    has_several = result.query.get("windows", 1) > 1
    second = f" {'correlation':>11}" if result[0].match else ""
    like = f" {'query MHz':>24} {'query s':>13}" if has_several and result[0].query_window else ""
    lines.append(f"{'':>3} {'score':>6}{second} {'MHz':>24} {'s':>13} {'MJD':>12} {'SNR':>7}{like}  window")
    for hit in result:
        window = hit.window
        merged = f" and {len(hit.merged)} touching" if hit.merged else ""
        second = f" {hit.match.correlation:11.3f}" if hit.match else ""
        like = f" {_place(hit.query_window)}" if has_several and hit.query_window else ""
        lines.append(f"{hit.rank:>3} {hit.score:6.3f}{second} {_place(window)} {window.mjd:12.5f} {hit.snr:7.1f}{like}"
                     f"  {hit.source_id}/{window.number}{merged}")
    return [shown(line) for line in lines]


def _place(window: Window) -> str:
    return (f"{window.f_start_mhz:>12.6f}–{window.f_stop_mhz:.6f} "
            f"{window.t_start_s:>6.0f}–{window.t_stop_s:<6.0f}")


def _order(result: SearchResult) -> list[str]:
    """Say in a line what hits are ordered by where it is not the score alone."""
    if result.query["rerank"]:
        from pipeline.search.rerank import WEIGHT

        return [f"ordered by {1 - WEIGHT:g} × score + {WEIGHT:g} × correlation"]
    if weight := result.query["near_frequency"]:
        return [f"ordered by score + {weight:g} × nearness to the query's frequency: 1 there, .69 at 2 MHz from it"]
    return []


def csv_of(result: SearchResult) -> str:
    """Return hits as CSV (RFC 4180) with a header line."""
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for hit in result:
        writer.writerow({**hit.to_json(), "merged": " ".join(map(str, hit.merged))})
    return text.getvalue()
