"""What the page says of corpora that hold nothing, or are damaged: it never says nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.families import families_folder
from pipeline.run import find_families, remove
from pipeline.web import ServeSettings
from pipeline.web.occupancy import occupancy_of
from tests.web.conftest import Served, serving


@pytest.fixture
def copied(corpus: Path, tmp_path: Path) -> Path:
    """A copy of the corpus with families, which a test may change."""
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    find_families(root)
    return root


def test_a_corpus_whose_scans_were_removed_says_so(copied: Path) -> None:
    with serving(ServeSettings(corpus=copied, port=0)) as before:
        status = before.get("/api/v1/status").json()
        assert status["removed"] == 0
        names = [one["id"] for one in before.get("/api/v1/sources").json()["sources"]]
        assert before.get("/api/v1/families").json()["reason"] == ""
        assert "none of them" in before.get("/api/v1/families", params={"min_windows": 99}).json()["reason"]
    remove(names, copied)
    with serving(ServeSettings(corpus=copied, port=0)) as after:
        status = after.get("/api/v1/status").json()
        assert (status["sources"], status["removed"]) == (0, len(names))
        assert "no kept window" in after.get("/api/v1/families").json()["reason"]


def test_messages_on_damaged_families_name_no_folder_of_the_server(copied: Path) -> None:
    for path in families_folder(copied).glob("families.*"):
        path.write_bytes(b"{")
    with serving(ServeSettings(corpus=copied, port=0)) as served:
        answer = served.get("/api/v1/families")
    assert answer.status_code == 500
    assert "corpus-families/families.json" in answer.json()["error"]["message"]
    assert str(copied.parent) not in answer.text


def test_a_corpus_that_is_away_is_said_to_be_away(copied: Path) -> None:
    with serving(ServeSettings(corpus=copied, port=0)) as served:
        scan = served.scans[1]
        address = f"/api/v1/sources/{scan}/windows"
        copied.rename(copied.with_name("elsewhere"))
        away = served.get(address)
        assert (away.status_code, away.json()["error"]["code"]) == (503, "corpus_away")
        assert str(copied.parent) not in away.text
        copied.with_name("elsewhere").rename(copied)
        assert served.get(address).json()["windows"]


def test_a_damaged_report_of_a_night_has_a_hint(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "2026-05-01.json").write_text("[", encoding="utf-8")
    with serving(ServeSettings(corpus=copied, port=0, report_dir=tmp_path)) as served:
        assert served.get("/api/v1/nights/2026-05-01").json()["error"]["hint"]


@pytest.mark.parametrize("bins", [1, 7, 1000])
def test_no_more_windows_were_kept_than_searched(served: Served, bins: int) -> None:
    pinned = served.parts.archive.pinned
    scans = [pinned.opened.manifest.sources[scan] for scan in served.scans]
    low = min(one.header.f_min_mhz for one in scans)
    high = max(one.header.f_max_mhz for one in scans)
    found = occupancy_of(pinned, low, high, bins)
    assert sum(found.kept) == pytest.approx(sum(one.windows_kept for one in scans), rel=1e-3, abs=0.5)
    assert sum(found.searched) == pytest.approx(sum(one.windows_seen for one in scans), rel=1e-3, abs=0.5)
    assert (np.array(found.kept) <= np.array(found.searched) + 0.01).all()
