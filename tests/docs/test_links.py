"""Links between the documents lead somewhere, and the architecture names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")),
         *sorted((ROOT / "examples").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PACKAGE = ROOT / "pipeline"


def without_code(path: Path) -> str:
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(without_code(page)):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130
    assert max(map(len, lines)) <= 120


def test_the_python_reference_names_all_that_is_public() -> None:
    import pipeline

    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\.\. auto\w+:: pipeline\.(\w+)$", page, re.MULTILINE))
    assert described - {"errors"} == set(pipeline.__all__)


@pytest.mark.skipif(not (PACKAGE / "support").is_dir(), reason="the package has not got this layout yet")
def test_the_architecture_names_what_there_is() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    named = re.findall(r"`([a-z_]+(?:/[a-z_0-9.]*)?(?:\.py)?)`", page)
    for name in named:
        if name.split("/")[0] in folders or name.endswith(".py"):
            path = PACKAGE / name
            assert path.exists() or path.with_suffix(".py").exists(), f"{name}: there is no such module"
    assert folders <= {name.split("/")[0] for name in named}
