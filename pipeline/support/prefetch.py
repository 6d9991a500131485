"""Work done in a thread while what it made before is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def ahead(make: Callable[[int], _T], count: int, depth: int = 1) -> Iterator[_T]:
    """Yield ``make(i)`` of each i from 0, made in one thread, up to ``depth`` of them before they are asked for."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make, i) for i in range(min(depth, count))]
        for i in range(count):
            ready = waiting.pop(0).result()
            if i + depth < count:
                waiting.append(pool.submit(make, i + depth))
            yield ready
