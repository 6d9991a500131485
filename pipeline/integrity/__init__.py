"""Is a corpus what was written? ``verify`` compares all of it with its digests; ``--repair`` rebuilds it."""

from pipeline.integrity.verify import Damage, Verification, verify

__all__ = ["Damage", "Verification", "verify"]
