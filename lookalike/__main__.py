"""``python -m lookalike`` is the command ``lookalike``."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
