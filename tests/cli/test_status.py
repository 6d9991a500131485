"""``lookalike status``."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.status import lines
from pipeline.search import CorpusStatus, open_corpus
from pipeline.search.status import IndexStatus
from pipeline.support.text import size
from tests.cli.conftest import Lookalike


def test_a_corpus_is_described(lookalike: Lookalike, corpus: Path) -> None:
    ran = lookalike("status", "--corpus", corpus)
    counted = open_corpus(corpus).status()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"{corpus}, generation {counted.generation}, {size(counted.size_bytes)}",
        "sources   3 (3 of 2.794Hz-18.25s)",
        "files     3 done",
        f"windows   192 seen, {counted.windows_kept} kept ({counted.windows_kept / 1.92:.2f} %)",
        f"vectors   {counted.windows_kept} of power-spectrum-v1, the default of searches",
        f"index     0 of power-spectrum-v1 in 0 segments, {counted.windows_kept} compared one by one",
    ]


def test_json_is_one_object_and_all_there_is(lookalike: Lookalike, corpus: Path) -> None:
    ran = lookalike("status", "--corpus", corpus, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == open_corpus(corpus).status().to_json()


def test_reasons_classes_and_large_numbers_are_readable() -> None:
    own, other = "power-spectrum-v1", "resnet50-v2"
    status = CorpusStatus("/c", 12, 1234, {"2.794Hz-18.25s": 1230, "2861Hz-1.074s": 4}, {"busy": 1, "done": 9400},
                          {"BUSY": 1}, 12_500_000_000, 250_000_000, {own: 250_000_000, other: 1},
                          own, {own: 1234, other: 34}, {own: 0, other: 1000},
                          {own: IndexStatus(249_000_000, 1_000_000, 1, cells=1200), other: IndexStatus(0, 1, 0)},
                          5_000_000_000)
    assert lines(status) == [
        "/c, generation 12, 5.00 GB",
        "sources   1,234 (1230 of 2.794Hz-18.25s, 4 of 2861Hz-1.074s)",
        "files     1 busy, 9400 done",
        "          1 BUSY",
        "windows   12,500,000,000 seen, 250,000,000 kept (2.00 %)",
        "vectors   250,000,000 of power-spectrum-v1, the default of searches",
        "vectors   1 of resnet50-v2; 1,200 sources with 1,000 windows yet to embed",
        "index     249,000,000 of power-spectrum-v1 in 1 segment of 1,200 cells, 1,000,000 compared one by one",
        "index     0 of resnet50-v2 in 0 segments, 1 compared one by one",
    ]


def test_an_empty_corpus_has_no_shares() -> None:
    said = lines(CorpusStatus("/c", 0, 0, {}, {}, {}, 0, 0, {}, "", {}, {}, {}, 0))
    assert said[1:] == ["sources   0", "files     none", "windows   0 seen, 0 kept (0.00 %)"]
