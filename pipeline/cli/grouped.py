"""Commands whose ``--help`` lists options in groups, in the same order for every command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

GENERAL = "Options"
"""Heading of the options that are in no group. It comes first."""

SHARED_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Encoder": ("--encoder", "--weights", "--precision"),
    "Where tasks run": ("--serial", "--workers", "--dashboard", "--embed-on", "--scheduler", "--cluster",
                        "--cluster-config"),
    "Encrypted connections (TLS)": ("--tls-ca", "--tls-cert", "--tls-key", "--insecure"),
    "Output": ("--dry-run", "--json", "--csv", "--html", "--out", "--plot", "--cut-outs", "--samp", "--picture"),
}
"""Heading → flags of the groups that several commands have. They come last, in this order."""

Groups = Mapping[str, tuple[str, ...]]


class GroupedCommand(click.Command):
    """A command that lists its options under headings.

    Parameters
    ----------
    groups : mapping, optional
        Heading → flags of the groups that only this command has. They stand between the general options and
        :data:`SHARED_GROUPS`, and take precedence over them.
    """

    def __init__(self, *arguments: Any, groups: Groups | None = None, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.groups: Groups = groups or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group that has options; options are in the order of their group."""
        sections: dict[str, list[tuple[int, tuple[str, str]]]] = {
            heading: [] for heading in (GENERAL, *self.groups, *SHARED_GROUPS)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                heading, position = self._place_of(parameter)
                sections[heading].append((position, record))
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl([record for _, record in sorted(records, key=lambda one: one[0])])

    def _place_of(self, parameter: click.Parameter) -> tuple[str, int]:
        """Return the heading of the group that lists the parameter's flag, and the flag's position in the group."""
        for groups in (self.groups, SHARED_GROUPS):
            for heading, flags in groups.items():
                for position, flag in enumerate(flags):
                    if flag in parameter.opts:
                        return heading, position
        return GENERAL, 0


def command(
    name: str | None = None, *, groups: Groups | None = None, **attributes: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a :class:`GroupedCommand` of a function. The arguments are those of ``click.command``."""
    return click.command(name, cls=GroupedCommand, groups=groups, **attributes)
