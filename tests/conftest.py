"""Settings all tests share."""

from hypothesis import settings

# a busy machine is no failure; pytest-timeout stops what hangs
settings.register_profile("lookalike", deadline=None)
settings.load_profile("lookalike")
