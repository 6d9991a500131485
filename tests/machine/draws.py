"""What the machine draws by chance, and the bounds of these values."""

from __future__ import annotations

import os
import re

from hypothesis import strategies as st

from tests.machine.model import DAY_S

JUMPS_S = [-400 * DAY_S, -2 * DAY_S, 2 * DAY_S, 400 * DAY_S]
MAX_READERS = 3
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Folder in memory, which is faster than a disk; None for the usual one."""
FOREIGN = ["notes-{0}.txt", ".nfs{0:08d}", "@eaDir{0}/{0}@attr", "backup-{0}.fil~"]
NAMED_BY_CHANCE = re.compile(r"staging/|\.partial")
"""Files and folders with random names. They are left out, because an example must be the same each time."""

pick = st.integers(0, 999)
share = st.sampled_from([0.0, 0.5, 1.0])
moment = st.integers(0, 100).map(lambda percent: percent / 100)
"""When a run ends: 0 at its first change of the disk, 1 after the last one of a large run."""
