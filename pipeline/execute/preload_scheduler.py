"""Keep the memory of a scheduler constant: ``dask scheduler … --preload pipeline.execute.preload_scheduler``.

Dask groups tasks in spans. For each submission, a span stores metadata about its collections, for a web page that is
not served. This takes about two kilobytes per source, until the scheduler ends (distributed 2026.8).
"""

from __future__ import annotations

from typing import Any


def dask_setup(scheduler: Any) -> None:
    """Make the spans of the scheduler drop the metadata of collections."""
    spans = scheduler.extensions.get("spans")
    if spans is None:
        return
    observe = spans.observe_tasks

    def observe_without_metadata(tasks: Any, *, span_metadata: Any = None, **more: Any) -> Any:
        return observe(tasks, span_metadata=None, **more)

    spans.observe_tasks = observe_without_metadata
