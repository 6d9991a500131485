"""How often, when and where something was seen: tables, words, JSON and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.occurrence.searched import SearchedScan
from pipeline.occurrence.sensitivity import SURE, Sensitivity
from pipeline.occurrence.tally import ROW_COLUMNS, Row
from pipeline.support.text import counted, listed, short_number

AXIS_COLUMNS = ("by", *ROW_COLUMNS)
"""Columns of CSV and of data frames."""


@dataclass(frozen=True, slots=True, repr=False)
class Occurrence:
    """Counts of what was seen along several axes, divided by what was searched."""

    what: str
    """What was counted, in words."""
    counts_if: str
    """Which windows count, in words."""
    whole: Row
    """Counts over all that was searched."""
    tables: Mapping[str, tuple[Row, ...]]
    """Name of an axis → its rows. Bins in which nothing was searched are among them."""
    windows_counted: int
    """Number of windows that count."""
    windows_searched: int
    """Number of windows that were searched for a signal, kept or not."""
    bands_mhz: tuple[tuple[float, float], ...]
    """Ranges of frequency that were searched, in order."""
    emitter_gap_mhz: float
    """Windows of a scan that lie at most this far apart in frequency are one emitter."""
    sensitivity: Sensitivity | None
    """How strong a signal must be to be kept; None if nothing was searched, or if the corpus keeps all windows."""
    notes: tuple[str, ...] = ()
    """What the user should know."""

    def __repr__(self) -> str:
        return f"<Occurrence: {self.statement}>"

    @property
    def statement(self) -> str:
        """The answer in a sentence: what was seen, or what it means that nothing was."""
        row = self.whole
        if row.share is None or row.rate_per_mhz_h is None:
            return f"{self.what}: not observed; nothing was searched"
        scans, exposure = counted(row.scans, "scan"), f"{short_number(row.exposure_mhz_h)} MHz h"
        rate, low, high = map(short_number, row.rate_per_mhz_h)
        if not row.scans_with:
            return (f"{self.what}: not seen in {counted(self.windows_searched, 'window')} of {scans} "
                    f"({self.words_of_bands}; {exposure}): at most {high} emitters per MHz h (95 %)")
        shares = [f"{100 * one:.0f}" for one in row.share]
        return (f"{self.what}: seen in {row.scans_with:,} of {scans} ({shares[0]} %; 95 %: {shares[1]}–{shares[2]} %), "
                f"{counted(row.emitters, 'emitter')} in {exposure}: {rate} per MHz h (95 %: {low}–{high})")

    @property
    def words_of_bands(self) -> str:
        """The ranges of frequency that were searched."""
        return listed((f"{low:.3f}–{high:.3f} MHz" for low, high in self.bands_mhz), 4)

    @property
    def words_of_sensitivity(self) -> str:
        """How strong a signal must have been to be kept; empty if that is unknown."""
        found = self.sensitivity
        if found is None:
            return ""
        if found.snr_sure is None:
            return "no signal of an SNR up to 60 would have been kept for sure"
        return (f"a signal of SNR {found.snr_sure:.1f} or more would have been kept with a probability of at least "
                f"{100 * SURE:.0f} %, whatever its shape")

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary for each bin of each axis, with the columns :data:`AXIS_COLUMNS`.

        The first one has all that was searched.
        """
        return [{"by": by, **row.to_json()} for by, row in self._all_rows()]

    def _all_rows(self) -> Iterator[tuple[str, Row]]:
        yield "all", self.whole
        for by, rows in self.tables.items():
            yield from ((by, row) for row in rows)

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, as ``lookalike occurrence --json`` prints it."""
        return {
            "what": self.what, "counts_if": self.counts_if, "statement": self.statement,
            "windows_counted": self.windows_counted, "windows_searched": self.windows_searched,
            "bands_mhz": [list(band) for band in self.bands_mhz], "emitter_gap_mhz": self.emitter_gap_mhz,
            "sensitivity": self.sensitivity and self.sensitivity.to_json(), "notes": list(self.notes),
            "all": self.whole.to_json(),
            "by": {by: [row.to_json() for row in rows] for by, rows in self.tables.items()},
        }

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw rates with their intervals along each axis; bins in which nothing was searched are hatched.

        Parameters
        ----------
        path : path, optional
            File to write; its suffix gives the format (.png, .pdf, .svg …). Without a path, a notebook shows the
            picture.

        Returns
        -------
        Path or Picture

        Raises
        ------
        ConfigError
            The file cannot be written, or its suffix is not that of a picture.
        """
        from pipeline.plot import plot_occurrence

        return plot_occurrence(self, path)


def bands_of(scans: Sequence[SearchedScan]) -> tuple[tuple[float, float], ...]:
    """Return the ranges of frequency, in MHz, in which any scan was searched. Ranges that touch are one."""
    ends = sorted({(float(low), float(high)) for scan in scans
                   for low, high in zip(scan.f_start_mhz, scan.f_stop_mhz, strict=True)})
    touch_mhz = 2 * max((scan.header.channel_width_mhz for scan in scans), default=0.0)
    out: list[tuple[float, float]] = []
    for low, high in ends:
        if out and low <= out[-1][1] + touch_mhz:
            out[-1] = out[-1][0], max(high, out[-1][1])
        else:
            out.append((low, high))
    return tuple(out)
