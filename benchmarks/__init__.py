"""Programs that measure Lookalike, and what they measured: see README.md."""
