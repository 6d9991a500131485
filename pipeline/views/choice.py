"""Which views a scan is seen through: a setting, and what suits the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.errors import ConfigError
from pipeline.model import CoarseLayout, Header, WindowGrid
from pipeline.views.view import PLAIN, View

AUTO = "auto"
"""Setting for the views that suit each file (:func:`views_of`)."""
MAX_FINE_HZ = 100.0
"""Width of a channel below which a file is a fine product, whose channels are averaged by default."""


def check_setting(views: Sequence[str]) -> None:
    """Raise :class:`ConfigError` unless a setting is a list of names of views, or of the single word ``auto``."""
    if tuple(views) == (AUTO,):
        return
    try:
        named = [View.named(name) for name in views]
    except ValueError as error:
        raise ConfigError(f"views: {error}") from None
    if PLAIN in named or len(set(named)) < len(named):
        raise ConfigError(f"views: {', '.join(views)!r} names the plain view, or one view twice; name each averaged "
                          "view once")


def views_of(setting: Sequence[str] | None, header: Header, coarse: CoarseLayout, grid: WindowGrid) -> tuple[View, ...]:
    """Return the averaged views of a scan that a setting asks for and that suit it, finest first. None asks for none.

    With ``auto``, the channels of a fine product are averaged by 4 and 16, and the spectra of any product by 4 and 16.
    A window of a view must fit into the file, so the spectra of a file with few of them are not averaged.
    """
    setting = tuple(setting or ())
    if setting == (AUTO,):
        is_fine = header.channel_width_mhz * 1e6 < MAX_FINE_HZ
        wanted: Iterable[View] = (*((View(4), View(16)) if is_fine else ()), View(1, 4), View(1, 16))
    else:
        wanted = map(View.named, setting)
    return tuple(sorted((view for view in wanted if view.suits(header, coarse, grid)), key=lambda view: view.order))
