"""The clock of this machine, as far as it can be believed."""

from __future__ import annotations

import time

from pipeline.errors import RunError

EARLIEST_S, LATEST_S = -1e10, 1e11
"""Times that a corpus can record, in Unix seconds: the years 1653 to 5138."""


def now_s() -> float:
    """Return the time in Unix seconds.

    Raises
    ------
    RunError
        The clock shows a time that a corpus cannot record: a manifest with it could not be read again.
    """
    now = time.time()
    if not EARLIEST_S <= now <= LATEST_S:
        raise RunError(f"the clock of this machine is wrong: it is {now:.0f} s after 1970; set it, and run again")
    return now
