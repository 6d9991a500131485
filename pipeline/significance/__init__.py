"""How many unrelated signals score as well as a hit by chance, and what that says of a whole search. Uses no corpus."""

from pipeline.significance.background import Background, Chance, background_of_scores
from pipeline.significance.null import Null, null_of
from pipeline.significance.tail import Tail
from pipeline.significance.unrelated import digest_of_unrelated, unrelated_vectors, write_unrelated
from pipeline.significance.verdict import (
    MAX_CONVINCING_EXPECTED,
    MAX_CONVINCING_Q,
    MAX_PLAUSIBLE_EXPECTED,
    Verdict,
    are_convincing,
    false_shares,
    verdict_on,
)

__all__ = [
    "MAX_CONVINCING_EXPECTED",
    "MAX_CONVINCING_Q",
    "MAX_PLAUSIBLE_EXPECTED",
    "Background",
    "Chance",
    "Null",
    "Tail",
    "Verdict",
    "are_convincing",
    "background_of_scores",
    "digest_of_unrelated",
    "false_shares",
    "null_of",
    "unrelated_vectors",
    "verdict_on",
    "write_unrelated",
]
