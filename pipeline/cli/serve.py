"""``lookalike serve``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import scheduler_options
from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option
from pipeline.cli.output import put, remark
from pipeline.support.text import shown

if TYPE_CHECKING:
    from pipeline.web import Listening


@command(groups={
    "Where it listens": ("--host", "--port", "--name", "--tls-cert", "--tls-key", "--behind-proxy"),
    "Who may use it": ("--tokens", "--new-token", "--role"),
    "Where it searches": ("--scheduler", "--insecure"),
    "Limits": ("--search-workers", "--max-queued", "--deadline"),
})
@corpus_option
@click.option("--data", "data_roots", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Folder whose files may be searched for, beside the files of the corpus. Repeat it for several.")
@click.option("--report-dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the nightly reports. Default: CORPUS-reports, beside the corpus.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to listen on. The default can be reached from this machine alone. Any other needs "
                   "--tls-cert, or --behind-proxy.")
@click.option("--port", type=click.IntRange(0, 65535), default=8470, show_default=True, metavar="N",
              help="Port to listen on; 0 for any free one.")
@click.option("--name", "names", multiple=True, metavar="HOST[:PORT]",
              help="Further name under which browsers may reach the page. Requests under other names are refused.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="Certificate of the server (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="Private key of the server (PEM).")
@click.option("--behind-proxy", is_flag=True,
              help="A proxy encrypts the page, so this server need not. Give the proxy's name with --name.")
@click.option("--tokens", type=click.Path(path_type=Path), metavar="FILE",
              help="File of named tokens, so that several people can use the page, and labels know who set them.")
@click.option("--new-token", metavar="NAME",
              help="Add a person to the file of --tokens, print their token, and end.")
@click.option("--role", type=click.Choice(["reader", "labeller"]), default="reader", show_default=True,
              help="With --new-token: a labeller may also write labels.")
@click.option("--search-workers", type=click.IntRange(1), default=2, show_default=True, metavar="N",
              help="Searches that run at once.")
@click.option("--max-queued", type=click.IntRange(1), default=32, show_default=True, metavar="N",
              help="Searches that may wait. Further ones are refused.")
@click.option("--deadline", "deadline_s", type=float, default=60.0, show_default=True, metavar="S",
              help="Longest time for a search, in seconds.")
@scheduler_options
def serve(new_token: str | None, role: Any, place: Mapping[str, Any], **settings: Any) -> None:
    """Serve a page to look at a corpus and search it.

    Prints an address that works once: open it in a browser. The page shows the
    corpus as it is now. When a run has added files, the page says so, and moves on
    if you want it to. The corpus is never changed; labels are written beside it.

    For a group, give each person a token, yourself too, and serve with --tokens:

    \b
      lookalike serve --tokens people.toml --new-token anna --role labeller

    Anna opens https://HOST:PORT/login?token=TOKEN; programs send the token in the
    header Authorization: Bearer TOKEN. Then no address that works once is printed.

    With --scheduler, the workers of a Dask cluster compare vectors. They must see
    the corpus under the same path. The certificates for the cluster are those of
    your own settings, or of Dask; --tls-cert belongs to the page.

    \b
    Example:
      lookalike serve --corpus corpus
    """
    if new_token is not None:
        from pipeline.web import add_person

        if settings["tokens"] is None:
            raise click.UsageError("--new-token needs --tokens, the file that it is added to")
        put(add_person(settings["tokens"], new_token, role))
        remark(f"{new_token} ({role}) is in {shown(settings['tokens'])}; the token is shown only now")
        return
    from pipeline.web import ServeSettings
    from pipeline.web import serve as run_server

    if not place["scheduler"]:
        run_server(ServeSettings(**settings), _announce)
        return
    from pipeline.config import Config
    from pipeline.execute.cluster import connected
    from pipeline.execute.cluster_search import search_on_cluster

    settings["corpus"] = settings["corpus"].absolute()
    with connected(Config.load(settings["corpus"], {"run": place}).run) as client:
        run_server(ServeSettings(**settings), _announce, lambda opened: search_on_cluster(opened, client))


def _announce(listening: Listening) -> None:
    put(f"open {listening.login}" if listening.login else f"serving {listening.address}")
    if listening.login:
        remark(f"this address logs you in once; then the page is at {listening.address}; stop with Ctrl-C")
    else:
        remark(f"people log in at {listening.address}/login?token=TOKEN; stop with Ctrl-C")
