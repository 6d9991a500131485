"""``python -m pipeline`` and the program ``lookalike``."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line. Ctrl-C while it is imported ends the process at once, with the same words and code."""
    try:
        from pipeline.cli import main as run
    except KeyboardInterrupt:
        os.write(2, b"lookalike: interrupted\n")
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
