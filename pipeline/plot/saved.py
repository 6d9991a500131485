"""Pictures as files, and as what notebooks show."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that notebooks show."""

    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png


def save_figure(figure: Figure, path: Path, dots_per_inch: float) -> Path:
    """Write a picture to a file; its suffix decides the format: .png, .pdf, .svg and others.

    Raises
    ------
    ConfigError
        The file cannot be written, or its suffix is not that of a picture format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in formats:
        raise ConfigError(f"{path}: cannot draw a {path.suffix or 'file without suffix'}; use one of "
                          f"{', '.join(sorted(formats))}")
    try:
        figure.savefig(path, dpi=dots_per_inch)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def bytes_of_figure(figure: Figure, kind: str, dots_per_inch: float | None = None) -> bytes:
    """Return a picture in a format of matplotlib, such as ``png``; by default with the resolution of the figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = BytesIO()
    FigureCanvasAgg(figure).figure.savefig(drawn, dpi=dots_per_inch or "figure", format=kind)
    return drawn.getvalue()
