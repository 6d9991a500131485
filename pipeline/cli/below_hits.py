"""Lines below a table of hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.support.text import number_runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.search import SearchResult


def known_lines(result: SearchResult) -> list[str]:
    """Say which hits lie in which bands of known interference; one line for each set of bands."""
    return [f"known interference there: {', '.join(names)} ({hits})"
            for names, hits in _by_words(((hit.known, hit.rank) for hit in result), len(result))]


def not_searched_lines(result: SearchResult) -> list[str]:
    """Say what was not searched, in all and at which hits; one line for each set of words."""
    return [*filter(None, [str(result.not_searched or "")]),
            *(f"not searched there: {'; '.join(words)} ({hits})"
              for words, hits in _by_words(((hit.not_searched, hit.rank) for hit in result), len(result)))]


def _by_words(said: Iterable[tuple[tuple[str, ...], int]], total: int) -> list[tuple[tuple[str, ...], str]]:
    """Return each set of words that hits have, and the hits that have it, in words."""
    ranks: dict[tuple[str, ...], list[int]] = {}
    for words, rank in said:
        if words:
            ranks.setdefault(words, []).append(rank)
    return [(words, _hits_of(of, total)) for words, of in ranks.items()]


def _hits_of(ranks: list[int], total: int) -> str:
    if len(ranks) == total:
        return "all hits" if total > 1 else "the hit"
    return f"hit {ranks[0]}" if len(ranks) == 1 else f"hits {number_runs(ranks)}"
