"""What the search for one row of a hit table gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline import export
from pipeline.hit_tables import HitRow
from pipeline.interference import known_names
from pipeline.model import TELESCOPES, OnOff
from pipeline.search.result import SearchResult
from pipeline.search.row_scans import RowScan
from pipeline.significance import are_convincing

ROW_COLUMNS = tuple(export.ROW_COLUMNS)
"""Columns of a row's answer in CSV, and its keys in JSON."""


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What the search for one row of a hit table gives."""

    number: int
    """Number of the row in its table, from 1."""
    row: HitRow | None = None
    """The row; None where it cannot be read."""
    result: SearchResult | None = None
    """The search; None where there is none."""
    reason: str = ""
    """Why there is none, as words."""
    scan: RowScan | None = None
    """Scan of the row; None where it was searched for by the pixels of its table, or not at all."""
    on_off: OnOff | None = None
    """Whether the row's own signal is also where the telescope pointed elsewhere, if the search was asked to say."""

    @property
    def convincing(self) -> int | None:
        """Number of hits that are more than chance; None where that is unknown."""
        verdict = self.result and self.result.verdict
        return verdict.convincing if verdict else 0 if self.result is not None and not len(self.result) else None

    @property
    def known(self) -> tuple[str, ...]:
        """Names of the bands of known interference that the row's signal touches."""
        if self.row is None:
            return ()
        if self.scan is not None:
            ends, telescope = (self.scan.f_start_mhz, self.scan.f_stop_mhz), self.scan.header.telescope
        else:
            ends, telescope = self.row.range_mhz(0.0), TELESCOPES.get(self.row.scan.telescope_id or 0, "")
        return known_names(ends[0], max(ends[1], ends[0] + 1e-9), telescope)

    @property
    def words(self) -> str:
        """The answer in a few words."""
        if self.result is None:
            return f"not searched for: {self.reason}"
        if not len(self.result):
            return "no hits"
        if self.convincing is None:
            return f"{len(self.result)} hits; {self.result.words_of_verdict}"
        if not self.convincing:
            return "nothing convincing"
        more = " or more" if self.convincing == len(self.result) == self.result.request.k else ""
        return f"{self.convincing}{more} look-alike{'' if self.convincing == 1 and not more else 's'}"

    @property
    def words_of_best(self) -> str:
        """Score of the best hit, and how many windows score so well by chance; empty if there is none."""
        return self._of_best("by chance ")

    @property
    def brief_of_best(self) -> str:
        """The same without the words *by chance*, for a column whose heading has them."""
        return self._of_best("")

    def _of_best(self, words: str) -> str:
        if not self.result:
            return ""
        best = self.result[0]
        expected = "" if best.expected is None else f" ({words}{self.result.words_of_expected(best)})"
        return f"{best.score:.3f}{expected}"

    @property
    def family(self) -> tuple[str, str]:
        """Id and name of a family: that of the best convincing look-alike which is in one. Else empty texts."""
        hits = self.result or ()
        expected = [math.inf if hit.expected is None else hit.expected for hit in hits]
        return next(((hit.family, hit.family_name) for hit, is_more in zip(hits, are_convincing(expected), strict=True)
                     if is_more and hit.family), ("", ""))

    @property
    def words_of_family(self) -> str:
        """Id and name of the family, such as ``F3, carrier``; empty if there is none."""
        return ", ".join(filter(None, self.family))

    @property
    def states(self) -> Mapping[str, int]:
        """State of ON/OFF → number of hits that have it."""
        return Counter(hit.on_off.state for hit in self.result or () if hit.on_off)

    def to_json(self, *, hits: bool = True) -> dict[str, Any]:
        """Return a plain dictionary with the keys of :data:`ROW_COLUMNS`, and the hits."""
        row, result, best = self.row, self.result, self.result[0] if self.result else None
        verdict = result.verdict if result else None
        record = {
            "row": self.number,
            "name": row.name if row else "",
            "f_mhz": row and round(row.f_mhz, 9),
            "drift_hz_per_s": row and round(row.drift_hz_per_s, 6),
            "snr": row and row.snr,
            "scan": self.scan.file if self.scan else str(row.scan) if row else "",
            "look_alikes": self.convincing,
            "plausible": verdict and verdict.plausible,
            "of_hits": None if result is None else len(result),
            "best_score": best and round(best.score, 6),
            "best_expected": None if best is None or best.expected is None else float(f"{best.expected:.4g}"),
            "best_f_start_mhz": best and round(best.window.f_start_mhz, 9),
            "best_mjd": best and round(best.window.mjd, 9),
            "best_target": best.target if best else "",
            "best_window": f"{best.source_id}/{best.window.number}" if best else "",
            "best_file": best.file if best else "",
            "family": self.family[0],
            "family_name": self.family[1],
            "own_windows": None if result is None else result.own_windows,
            "known": " | ".join(self.known),
            "on_off": self.on_off.state if self.on_off else "",
            "hits_on_off": ", ".join(f"{count} {state}" for state, count in sorted(self.states.items())),
            "by": "" if result is None else "file" if self.scan else "pixels of the table",
            "note": result.description.note if result else "",
            "reason": self.reason,
        }
        return {**record, "hits": [hit.to_json() for hit in result or ()]} if hits else record
