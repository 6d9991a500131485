"""The command ``lookalike``: results to standard output, progress and logs to standard error.

Exit codes: 0 done · 1 unexpected · 2 usage, configuration or query · 3 done, but some sources failed or were busy ·
4 locked by a live run · 5 corpus damaged · 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module

import click

import pipeline
from pipeline.cli.output import escape_what_cannot_be_written, remark
from pipeline.errors import PipelineError
from pipeline.text import shown

COMMANDS = {
    "ingest": "Read filterbank files and add what they hold to a corpus.",
    "embed": "Make another encoder's vectors of what a corpus holds.",
    "index": "Build the search graph of what has been ingested.",
    "search": "Find where else a pattern occurs.",
    "remove": "Take sources out of a corpus.",
    "nightly": "Take in what is new and report in the morning.",
    "verify": "Read a corpus through and mend what is damaged.",
    "upgrade": "Bring a corpus to the format of this version.",
    "status": "Tell what a corpus holds.",
    "doctor": "Check this machine and every worker of a cluster.",
    "simulate": "Write a filterbank file with known signals.",
    "train": "Teach an encoder on simulated windows.",
    "evaluate": "Measure how well look-alikes are found.",
    "demo": "Simulate a small archive, ingest, index and search it.",
    "warm-up": "Compile what is compiled once a machine.",
}


class _Commands(click.Group):
    """Loads a command when it is used: ``--help`` needs none of the scientific stack."""

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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pipeline.__version__, message="lookalike %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, to standard error.")
def lookalike(verbose: bool) -> None:
    """Reverse image search for radio spectrograms."""
    level = logging.INFO if verbose else logging.WARNING
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # a progress bar may stand there
    # force: blimpy configures the root logger when it is imported
    form = f"{clear}%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level, format=form, stream=sys.stderr, force=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    escape_what_cannot_be_written()
    try:
        code = lookalike.main(args=arguments, prog_name="lookalike", standalone_mode=False)
    except click.exceptions.Abort:
        remark("lookalike: interrupted; what is committed stays, run again to go on")
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except PipelineError as error:
        remark(f"lookalike: {shown(str(error))}")
        code = error.exit_code
    sys.exit(code)
