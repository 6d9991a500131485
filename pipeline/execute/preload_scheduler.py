"""What a scheduler does as it starts: ``dask scheduler … --preload pipeline.execute.preload_scheduler``.

It keeps a scheduler's memory flat over months of nights. Dask groups tasks in spans, and a span remembers of what
collections each submission was, for a page that is not served: some two kilobytes a source, for as long as the
scheduler lives (distributed 2026.8).
"""

from __future__ import annotations

from typing import Any


def dask_setup(scheduler: Any) -> None:
    """Have the scheduler's spans forget what collections tasks were of."""
    spans = scheduler.extensions.get("spans")
    if spans is None:
        return
    observe = spans.observe_tasks

    def observe_without_metadata(tasks: Any, *, span_metadata: Any = None, **more: Any) -> Any:
        return observe(tasks, span_metadata=None, **more)

    spans.observe_tasks = observe_without_metadata
