"""The documents build as a site without a warning, and the site fetches nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT, run


@pytest.mark.slow
def test_the_site_builds(tmp_path: Path) -> None:
    for library in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(library, reason="pip install -e '.[docs]'")
    run("-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", tmp_path)
    pages = sorted(tmp_path.rglob("*.html"))
    sources = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert sources <= {path.relative_to(tmp_path).with_suffix("") for path in pages}
    fetched = [match for path in pages
               for match in re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//[^>]+>""",
                                       path.read_text(encoding="utf-8"))]
    assert fetched == []
