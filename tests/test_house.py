"""Rules of the house: short functions and modules, few modules at the root, plain words, no paths of one machine.

``house_exceptions.txt`` lists what does not keep a rule yet. It may only shrink: an exception that is no longer needed
fails the test. ``python -m tests.test_house`` deletes such lines, and never adds one.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline"
EXCEPTIONS = Path(__file__).with_name("house_exceptions.txt")

MAX_FUNCTION_LINES = 50
"""Without the docstring, which may need many lines for shapes, units and errors."""
MAX_MODULE_LINES = 320
MAX_ROOT_MODULES = 6
PHRASES = ("so many", "so much", "as may be", "gainsay", "anew", "unasked")
MACHINE_PATH = re.compile(rb"(?<![\w.~$})/-])/(?:work|farm|home)/\w+")
NOT_OF_A_MACHINE = {b"/home/lookalike", b"/home/of"}
"""The home folder of the user in the container image, and an invented one in a test."""


def long_functions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
            if node.end_lineno - node.lineno + 1 - docstring > MAX_FUNCTION_LINES:
                yield node.name


def phrases_in(text: str) -> Iterator[str]:
    for phrase in PHRASES:
        if re.search(rf"\b{phrase}\b".replace(" ", r"\s+"), text, re.IGNORECASE):
            yield phrase


def machine_paths(content: bytes) -> set[str]:
    return {found.decode() for found in set(MACHINE_PATH.findall(content)) - NOT_OF_A_MACHINE}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions() -> set[str]:
    return {f"{name(path)} {function}"
            for path in PACKAGE.rglob("*.py") for function in long_functions(path.read_text())}


def modules() -> set[str]:
    return {name(path) for path in PACKAGE.rglob("*.py") if path.read_text().count("\n") > MAX_MODULE_LINES}


def phrases() -> set[str]:
    paths = (path for folder in (PACKAGE, ROOT / "docs") for path in folder.rglob("*")
             if path.suffix in {".py", ".md", ".j2"})
    return {f"{name(path)} {phrase}" for path in paths for phrase in phrases_in(path.read_text())}


def paths() -> set[str]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    tracked = [ROOT / line.decode() for line in listed.split(b"\0") if line]
    assert Path(__file__) in tracked
    return {f"{name(path)} {found}" for path in tracked if path.is_file() for found in machine_paths(path.read_bytes())}


RULES = {"function": functions, "module": modules, "phrase": phrases, "path": paths}


def excepted() -> dict[str, set[str]]:
    """Return the exceptions of each rule."""
    lines = [line.partition(" ") for line in EXCEPTIONS.read_text().splitlines()]
    return {rule: {rest for first, _, rest in lines if first == rule} for rule in RULES}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_is_kept(rule: str) -> None:
    found, listed = RULES[rule](), excepted()[rule]
    assert found - listed == set(), f"these break the rule on each {rule}"
    assert listed - found == set(), f"delete these lines from {name(EXCEPTIONS)}: they keep the rule now"


def test_few_modules_are_at_the_root() -> None:
    assert len({path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}) <= MAX_ROOT_MODULES


def test_the_rules_find_what_they_are_for() -> None:
    """Otherwise the tests above could not fail."""
    body = "".join(f"    {i}\n" for i in range(MAX_FUNCTION_LINES - 1))
    docstring = '    """One.\n\n    Two.\n    """\n'
    source = f"def short():\n{docstring}{body}\n\nasync def long():\n{docstring}{body}    pass\n"
    assert [*long_functions(source)] == ["long"]
    assert [*phrases_in("read Anew, so\n    many of an unaskedness")] == ["so many", "anew"]
    for folder in (b"work", b"farm", b"home"):
        assert machine_paths(b"in '/" + folder + b"/me/x'") == {f"/{folder.decode()}/me"}
    for start in ("a/{home}/b", "~/{work}/c", "$HOME/{work}/d", "https://x.org/{farm}/e", "/{home}/lookalike/f"):
        assert machine_paths(start.format(work="work", farm="farm", home="home").encode()) == set()


def shrink() -> None:
    """Delete the exceptions that are no longer needed."""
    needed = {f"{rule} {found}" for rule in RULES for found in RULES[rule]()}
    kept = [line for line in EXCEPTIONS.read_text().splitlines() if line in needed]
    EXCEPTIONS.write_text("".join(f"{line}\n" for line in kept))


if __name__ == "__main__":
    shrink()
