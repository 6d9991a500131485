"""``python -m pipeline`` and the program ``lookalike``."""

from __future__ import annotations

import gc
import os

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""New objects after which Python looks for garbage. By default it does so after 700, and so looks again and again
through all that libraries make while they load: about a seventh of the time of a short search. Little is garbage."""


def main() -> None:
    """Run the command line. Ctrl-C while it is imported ends the process at once, with the same words and code."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 10, 10)
    try:
        from pipeline.cli import main as run
    except KeyboardInterrupt:
        os.write(2, b"lookalike: interrupted\n")
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
