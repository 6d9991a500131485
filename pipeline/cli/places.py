"""Columns of a table of hits that say where windows are."""

from __future__ import annotations

from pipeline.model import Digits, Window


class Places:
    """Columns of the table that say where windows are, with as many digits as their products need."""

    def __init__(self, digits: Digits) -> None:
        self._digits = digits
        self._mhz = 6 + digits.mhz
        self._second = 6 + (digits.seconds and 1 + digits.seconds)

    def head(self, of: str = "") -> str:
        """Return the heads of the columns of frequency and time."""
        return f" {of + 'MHz':>{self._mhz + self._digits.mhz + 6}} {of + 's':>{2 * self._second + 1}}"

    def cells(self, window: Window) -> str:
        """Return frequency and time of a window."""
        mhz, second = self._digits.mhz, self._digits.seconds
        return (f" {window.f_start_mhz:>{self._mhz}.{mhz}f}–{window.f_stop_mhz:.{mhz}f} "
                f"{window.t_start_s:>{self._second}.{second}f}–{window.t_stop_s:<{self._second}.{second}f}")

    @property
    def date_head(self) -> str:
        """Head of the column of dates."""
        return f"{'MJD':>{7 + self._digits.mjd}}"

    def date(self, window: Window) -> str:
        """Return the date of a window."""
        return f"{window.mjd:{7 + self._digits.mjd}.{self._digits.mjd}f}"
