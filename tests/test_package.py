"""Ways into the package (``import lookalike``, ``import pipeline``, ``python -m pipeline``) and what they need."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest

import lookalike
import pipeline
import pipeline.index
import pipeline.run
from tests.run.small import archive, config

ROOT = Path(__file__).parents[1]


def test_public_names_are_there_and_listed() -> None:
    assert set(pipeline.__all__) <= set(dir(pipeline))
    for name in pipeline.__all__:
        assert callable(getattr(pipeline, name)), name  # no package of the same name hides it


def test_lookalike_has_the_same_names() -> None:
    assert lookalike.__all__ == pipeline.__all__
    assert {*lookalike.__all__, "__version__"} == set(dir(lookalike))
    for name in (*pipeline.__all__, "__version__"):
        assert getattr(lookalike, name) is getattr(pipeline, name)
    with pytest.raises(AttributeError, match="module 'lookalike' has no attribute 'serach'"):
        lookalike.serach  # noqa: B018


def test_the_list_of_public_names_is_that_of_the_stub() -> None:
    tree = ast.parse((ROOT / "pipeline/__init__.pyi").read_text())
    (listed,) = (node.value for node in tree.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(listed) == pipeline.__all__


@pytest.mark.slow
def test_type_checkers_see_the_public_names(tmp_path: Path) -> None:
    script = tmp_path / "typed.py"
    script.write_text("import lookalike\n"
                      "reveal_type(lookalike.open_corpus)\nreveal_type(lookalike.build_index)\n"
                      "lookalike.serach\nlookalike.verify(3)\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(script)],
                          cwd=ROOT, capture_output=True, text=True)
    said = done.stdout
    assert re.search(r'note: Revealed type is "def \(corpus: .*Corpus"', said), said
    assert re.search(r'note: Revealed type is "def \(corpus: .*tuple\[', said), said
    assert 'Module has no attribute "serach"' in said
    assert 'Argument 1 to "verify" has incompatible type "int"' in said


def imported(path: Path) -> set[str]:
    """Return the top-level names of the modules that a file imports, at any place."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    return names


def test_everything_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for name, lines in project["optional-dependencies"].items()
              if name not in ("dev", "docs", "bench", "test-cluster") for line in lines]
    declared = {re.match(r"[\w-]+", line)[0].lower() for line in [*project["dependencies"], *extras]}
    names = set().union(*(imported(path) for path in (ROOT / "pipeline").rglob("*.py")))
    others = names - set(sys.stdlib_module_names) - {"pipeline"}
    installed = packages_distributions()
    aliases = {"dask_jobqueue": "dask-jobqueue"}  # perhaps not installed here
    assert {"numpy", "keras", "llvmlite"} <= others
    for name in others:
        needed = {one.lower() for one in installed.get(name, [aliases.get(name, name)])}
        assert needed & declared, f"{name} is imported, and pyproject.toml does not declare {' or '.join(needed)}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'serach'"):
        pipeline.serach  # noqa: B018


def test_the_version_is_the_distribution_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == pipeline.__version__
    assert project["scripts"] == {"lookalike": "pipeline.__main__:main"}


def test_the_package_can_be_run() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lookalike {pipeline.__version__}\n", "")


def test_from_files_to_hits(tmp_path: Path) -> None:
    data, root = archive(tmp_path / "data", 2), tmp_path / "corpus"
    pipeline.ingest([data], corpus=root, config=config(), serial=True)
    assert [segment.is_flat for segment in pipeline.build_index(root)] == [True]
    corpus = pipeline.open_corpus(root)
    hits = corpus.search(file=str(data / "scan0.h5"), f_start_mhz=8419.46, f_stop_mhz=8419.4605, k=3)
    assert len(hits) == 3
    power = np.random.default_rng(0).gamma(100, 1 / 100, (5, 16, 256)).astype(np.float32)
    power[:, :, 100] *= 3
    assert len(corpus.search(power=power[0])) > 0
    vectors = pipeline.encode(power, encoder="power-spectrum")
    assert (vectors.dtype, vectors.shape[0]) == (np.float32, 5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
