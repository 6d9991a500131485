"""Write ``docs/commands.md``, the command reference, from what each command prints for ``--help``.

Run it after a change of a flag: ``python docs/make_commands.py``. A test compares the page with the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from pipeline.cli import COMMANDS, lookalike

PAGE = Path(__file__).with_name("commands.md")
WIDTH = 100

HEAD = """\
% Written by docs/make_commands.py from --help. Do not edit.

# Commands

Every command prints this help itself: `lookalike COMMAND --help`.

Results go to standard output. Progress, warnings and errors go to standard error.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | unexpected error; the cluster, a disk or standard output failed; or `doctor` found a fault |
| 2 | a flag, the configuration or the query cannot be used, a path is missing, or no corpus can be made |
| 3 | done, but some files failed or were busy, or a nightly run found damage |
| 4 | another run is writing to the corpus |
| 5 | the corpus is damaged |
| 130 | interrupted |
"""


def helps() -> Iterator[tuple[str, str]]:
    """Yield each command's name and help; the program's own comes first."""
    width = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    parent = click.Context(lookalike, info_name="lookalike", **width, **lookalike.context_settings)
    yield "lookalike", lookalike.get_help(parent)
    for name in COMMANDS:
        command = lookalike.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, **width)
        yield f"lookalike {name}", command.get_help(context)


def page() -> str:
    """Return the text of the page."""
    sections = [f"## {name}\n\n```text\n{text.rstrip()}\n```\n" for name, text in helps()]
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
