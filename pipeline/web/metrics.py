"""Figures of a server for Prometheus, in its text format."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper edges of the histogram of times, in seconds."""


class Metrics:
    """Counts of requests by route, and the figures of others. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._sums_s: Counter[str] = Counter()
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def count(self, method: str, route: str, status: int, took_s: float) -> None:
        """Count one request. ``route`` is the pattern of its address, so that no name is in it."""
        method = method if method in ("GET", "HEAD", "POST", "PUT", "DELETE") else "other"
        with self._lock:
            self._requests[method, route, status] += 1
            times = self._times.setdefault(route, [0] * (len(BUCKETS_S) + 1))
            times[next((i for i, edge in enumerate(BUCKETS_S) if took_s <= edge), len(BUCKETS_S))] += 1
            self._sums_s[route] += took_s  # type: ignore[assignment]

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a figure that is asked for when the text is made."""
        self._gauges[name] = meaning, value

    def text(self) -> str:
        """Return all figures in the text format of Prometheus, version 0.0.4."""
        with self._lock:
            return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        yield "# HELP lookalike_requests_total Requests answered."
        yield "# TYPE lookalike_requests_total counter"
        for (method, route, status), count in sorted(self._requests.items()):
            yield f'lookalike_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
        yield "# HELP lookalike_request_seconds Time from a request to the end of its answer."
        yield "# TYPE lookalike_request_seconds histogram"
        for route, times in sorted(self._times.items()):
            total = 0
            for edge, count in zip((*map(str, BUCKETS_S), "+Inf"), times, strict=True):
                total += count
                yield f'lookalike_request_seconds_bucket{{route="{route}",le="{edge}"}} {total}'
            yield f'lookalike_request_seconds_sum{{route="{route}"}} {self._sums_s[route]:.6f}'
            yield f'lookalike_request_seconds_count{{route="{route}"}} {total}'
        for name, (meaning, value) in sorted(self._gauges.items()):
            yield f"# HELP lookalike_{name} {meaning}"
            yield f"# TYPE lookalike_{name} gauge"
            yield f"lookalike_{name} {value():g}"
