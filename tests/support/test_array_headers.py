"""Headers that numpy evaluates: CPython may fail while another thread parses."""

import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.index.folder import mapped
from pipeline.support.array_headers import evaluated

MESSAGE = "AST constructor recursion depth mismatch (before=45, after=62)"


def test_a_header_that_fails_to_parse_is_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "rows.npy", np.arange(7))
    calls, load = [], np.load

    def load_later(*arguments: object, **how: object) -> object:
        calls.append(arguments)
        if len(calls) < 3:
            raise SystemError(MESSAGE)
        return load(*arguments, **how)  # type: ignore[call-overload]

    monkeypatch.setattr(np, "load", load_later)
    np.testing.assert_array_equal(mapped(tmp_path / "rows.npy"), np.arange(7))
    assert len(calls) == 3


def test_a_header_that_always_fails_is_an_error_and_the_next_one_is_read() -> None:
    def fail() -> None:
        raise SystemError(MESSAGE)

    with pytest.raises(SystemError, match="recursion depth"):
        evaluated(fail)
    assert evaluated(lambda: 3) == 3


def test_one_header_is_evaluated_at_a_time() -> None:
    inside, most = [0], [0]

    def read() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        threading.Event().wait(0.002)
        inside[0] -= 1

    threads = [threading.Thread(target=evaluated, args=(read,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
