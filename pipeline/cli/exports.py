"""Options of a search that take its result elsewhere: files, pictures, cut-outs, and programs on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import remark
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.search import SearchResult

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Exports:
    """Where a result goes, besides standard output."""

    files: tuple[Path, ...] = ()
    plot: Path | None = None
    cut_outs: Path | None = None
    samp: bool = False

    def check(self) -> None:
        """Raise :class:`ConfigError` if a suffix chooses no format, so that no search is made in vain."""
        if self.files or self.plot:
            from pipeline.export import PLOTS, format_of

            for path in self.files:
                format_of(path)
            if self.plot:
                format_of(self.plot, PLOTS)

    def write(self, result: SearchResult) -> None:
        """Write all files and send the table; say on standard error what was written.

        Raises
        ------
        ConfigError
            A file cannot be written, a package for its format is missing, or no program has taken the table.
        """
        for path in self.files:
            remark(f"written: {shown(result.save(path))}")
        if self.plot:
            remark(f"picture: {shown(result.plot(self.plot))}")
        if self.cut_outs:
            files = result.cut_outs(self.cut_outs)
            remark(f"cut-outs: {counted(len(files), 'file')} in {shown(self.cut_outs)}")
        if self.samp:
            remark(f"sent to: {shown(', '.join(result.send_by_samp()))}")


def export_options(command: Command) -> Command:
    """Add the options to a command, which gets them all as ``exports``, an :class:`Exports`."""
    @wraps(command)
    def with_exports(*, files: tuple[Path, ...], plot: Path | None, cut_outs: Path | None, samp: bool,
                     **values: Any) -> Any:
        exports = Exports(files, plot, cut_outs, samp)
        exports.check()
        return command(exports=exports, **values)

    options = (
        click.option("--out", "files", multiple=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                     help="Also write the result to this file. Its suffix chooses the format: .vot (VOTable, for "
                          "TOPCAT), .parquet, .csv, .json, .html (a page with pictures and commands that continue), or "
                          "a picture, such as .png or .pdf. May be given several times."),
        click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.png",
                     help="Draw the query and its hits to this file: .png, .pdf, .svg or another format of matplotlib, "
                          "or .html for a page."),
        click.option("--cut-outs", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
                     help="Write each hit to this folder as a small .h5 file, which blimpy opens."),
        click.option("--samp", is_flag=True,
                     help="Send the table of hits to the programs of the SAMP hub on this machine, such as TOPCAT. "
                          "Needs pyvo."),
    )
    completed: Command = with_exports
    for option in reversed(options):
        completed = option(completed)
    return completed
