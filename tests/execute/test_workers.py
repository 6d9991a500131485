"""The workers of a cluster are known, whatever else its client asks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.execute.workers import workers_of


def test_summaries_that_the_client_asks_for_meanwhile_hide_no_workers(client: Any) -> None:
    expected = set(client.run(lambda: None))
    is_done = False

    def ask_for_summaries() -> None:  # as the client does every few seconds, by itself
        while not is_done:
            client.sync(client._update_scheduler_info, n_workers=0)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_for_summaries)
        found = [workers_of(client).keys() for _ in range(300)]
        is_done = True
        asking.result()
    assert all(workers == expected for workers in found)
