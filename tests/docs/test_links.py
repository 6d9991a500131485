"""Links between the documents have existing targets, and the architecture page names every module."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT

PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "cluster/README.md")),
         *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PACKAGE = ROOT / "pipeline"


def without_code(path: Path) -> str:
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
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
    import lookalike

    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\.\. auto\w+:: lookalike\.(\w+)$", page, re.MULTILINE))
    assert described == set(lookalike.__all__)


ARCHITECTURE = ROOT / "docs" / "architecture.md"
PACKAGES = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}


def test_the_architecture_names_what_there_is() -> None:
    for name in re.findall(r"`([a-z_]+(?:/[a-z_0-9.]*)?(?:\.py)?)`", ARCHITECTURE.read_text(encoding="utf-8")):
        if name.split("/")[0] in PACKAGES or name.endswith(".py"):
            path = PACKAGE / name
            assert path.exists() or path.with_suffix(".py").exists(), f"{name}: there is no such module"


def tree() -> dict[str, set[str]]:
    """Read the tree of the architecture page: package → its modules; a single module has none."""
    block = re.search(r"^```text\n(.*?)^```", ARCHITECTURE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert block is not None
    found: dict[str, set[str]] = {}
    for line in block[1].splitlines():
        if line.startswith(" "):
            found[next(reversed(found))] |= set(re.findall(r"\w+", line))
        elif line:
            found[line.split()[0]] = set()
    return found


def test_the_tree_of_the_architecture_is_the_package() -> None:
    assert tree() == {
        **{f"{name}/": {path.stem for path in (PACKAGE / name).glob("*.py")} - {"__init__"} for name in PACKAGES},
        **{path.name: set() for path in PACKAGE.glob("[!_]*.py")},
    }


def test_the_tree_of_the_architecture_is_in_the_order_of_the_layers() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = tools["importlinter"]["contracts"][0]["layers"]
    place = {name: number for number, layer in enumerate(layers) for name in layer.split(" | ")}
    order = [place[name.removesuffix("/").removesuffix(".py")] for name in tree()]
    assert order == sorted(order)
