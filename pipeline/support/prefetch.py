"""Prefetching: the next items are made in a thread while the current one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def prefetch(make: Callable[[int], _T], count: int, depth: int = 1) -> Iterator[_T]:
    """Yield ``make(0)``, ``make(1)``, … in order, computed in advance in one thread.

    Parameters
    ----------
    make : callable
        Takes an index and returns the item. An error that it raises is raised again when its item is due.
    count : int
        Number of items.
    depth : int
        Maximum number of items that are computed before they are asked for.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make, i) for i in range(min(depth, count))]
        for i in range(count):
            ready = waiting.pop(0).result()
            if i + depth < count:
                waiting.append(pool.submit(make, i + depth))
            yield ready
