"""The command ``lookalike``. Results go to standard output; progress and logs go to standard error.

Exit codes:

=====  ========================================================================
0      Done.
1      Unexpected error; the cluster, a disk or standard output failed; or
       ``doctor`` found a fault.
2      A flag, the configuration or the query cannot be used, or a path is missing.
3      Done, but some files failed or were busy, or a nightly run found damage.
4      Another run holds the lock of the corpus.
5      The corpus is damaged.
130    Interrupted.
=====  ========================================================================
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from io import StringIO

import click

import pipeline
from pipeline.cli.output import code_with_output, disk_error, guarded_output, remark
from pipeline.errors import PipelineError
from pipeline.support.interrupts import EXIT_CODE, is_interrupted, noting_interrupts, words_on_interrupt
from pipeline.support.text import shown

COMMANDS = {
    "ingest": "Read filterbank files and add their signals to a corpus.",
    "embed": "Compute another encoder's vectors for a corpus.",
    "index": "Build the search index of a corpus.",
    "search": "Find where else a pattern occurs.",
    "families": "Group signals that look alike into lasting families.",
    "label": "Label windows of a corpus, or undo that.",
    "labels": "List, export or import the labels of a corpus.",
    "occurrence": "Count how often, when and where a pattern occurs.",
    "remove": "Remove sources from a corpus, or restore them.",
    "nightly": "Ingest new files, index, verify, and write a report.",
    "verify": "Check the files of a corpus for damage and repair them.",
    "upgrade": "Convert a corpus to the format of this version.",
    "status": "Show what a corpus contains.",
    "scans": "List the scans of a corpus, or the kept windows of one.",
    "cadences": "List which scans belong to one session, and their pointings.",
    "serve": "Serve a page to look at a corpus and search it.",
    "known": "List known interference by frequency.",
    "doctor": "Check this machine and every worker of a cluster.",
    "simulate": "Write a filterbank file with known signals.",
    "train": "Train an encoder on simulated windows.",
    "evaluate": "Measure how well each encoder finds similar signals.",
    "demo": "Simulate a small archive, then ingest, index and search it.",
    "warm-up": "Compile the numerical code once, before the first run.",
}
"""Command → the first line of its help."""


class _Commands(click.Group):
    """A group that imports a command when it is used. So ``--help`` loads no scientific library."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"pipeline.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


SETTINGS = """You decide where code runs; a corpus cannot. Flags have precedence,
then environment variables, then the table [run] of your settings file.

The settings file is $XDG_CONFIG_HOME/lookalike/config.toml, by default
~/.config/lookalike/config.toml. Other users must not be able to write to it.
The keys of [run] are serial, scheduler, cluster, cluster_config, tls_ca, tls_cert,
tls_key, insecure, dashboard, workers, worker_memory_gb, embed_on, resource_wait_s,
scheduler_wait_s, task_timeout_s, in_flight and retries.

Each key has an environment variable: LOOKALIKE_RUN_ and the key in capitals,
such as LOOKALIKE_RUN_SCHEDULER.

\b
Example:
  lookalike ingest /mnt/blpd7 --corpus corpus
  lookalike COMMAND --help"""


@click.group(cls=_Commands, epilog=SETTINGS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pipeline.__version__, message="lookalike %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log each step to standard error.")
def lookalike(verbose: bool) -> None:
    """Reverse image search for radio spectrograms."""
    level = logging.INFO if verbose else logging.WARNING
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # removes a progress bar from the line
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Printable(f"{clear}%(levelname)s %(name)s: %(message)s"))
    # force: blimpy configures the root logger when it is imported
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _Printable(logging.Formatter):
    """Formats log records so that names of files in them cannot control the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        record.message = _shown_lines(record.message)
        return super().formatMessage(record)


def _shown_lines(text: str) -> str:
    """Return text of several lines with control characters escaped."""
    return "\n".join(map(shown, text.split("\n")))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    with noting_interrupts(until_exit=arguments is None):
        with guarded_output() as output:
            code = _code_of(arguments)
        code = code_with_output(code, output.fault)
    sys.exit(code)


def _code_of(arguments: list[str] | None) -> int | str | None:
    """Run the command line; return its exit code."""
    try:
        code: int | None = lookalike.main(args=arguments, prog_name="lookalike", standalone_mode=False)
    except BaseException as error:
        if is_interrupted() or isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
            remark(f"lookalike: {words_on_interrupt()}")
            return EXIT_CODE
        if isinstance(error, SystemExit):
            return error.code
        return _code_of_error(error)
    return code


def _code_of_error(error: BaseException) -> int:
    """Say what is wrong and return the exit code; raise an error that nobody has expected."""
    if isinstance(error, click.ClickException):
        usage = StringIO()
        error.show(file=usage)
        remark(_shown_lines(usage.getvalue().rstrip("\n")))
        return error.exit_code
    if isinstance(error, OSError) and not isinstance(error, PipelineError):
        error = disk_error(error)
    if not isinstance(error, PipelineError):
        raise error
    remark(f"lookalike: {shown(str(error))}")
    return error.exit_code
