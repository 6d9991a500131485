"""Imports only go down, each heavy library has one home, and no command loads a library that it does not need."""

from __future__ import annotations

import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parents[1]
SLOW = {"tensorflow", "keras", "blimpy", "pynndescent", "matplotlib", "zarr", "dask", "distributed", "skimage",
        "msgspec"}
"""Libraries that take half a second or more to import, and msgspec (0.05 s). No module loads one before it is used."""
NUMBA = {"numba", "scipy"}
HDF5 = {"h5py", "hdf5plugin"}

MODULES = sorted(m.name for m in pkgutil.walk_packages(pipeline.__path__, "pipeline.") if m.name != "pipeline.__main__")
BUILDS_GRAPHS = "pipeline.index.descent"
"""Compiles pynndescent's functions, so it needs them as it is loaded. Only a build loads it."""


def lint(folder: Path) -> str:
    """Check the contracts of the project in ``folder``; return the report."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    # the folder goes first, so that its own package is looked at and not an installed one
    done = subprocess.run([sys.executable, "-c", command, "--no-cache"], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"})
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    return done.stdout


def test_all_contracts_are_kept() -> None:
    said = lint(ROOT)
    assert ", 0 broken." in said, said


OFFENCES = {
    "errors.py": ("Imports go down the layers", "import pipeline.model"),
    "search/__init__.py": ("Imports go down the layers", "import pipeline.tasks"),
    "grid/tiling.py": ("Imports go down the layers", "def f():\n    from pipeline.gate import measure"),
    "stray.py": ("Imports go down the layers", ""),
    "tasks/scan.py": ("Dask is known to pipeline.execute alone", "import distributed"),
    "run/__init__.py": ("Zarr is known to pipeline.store alone", "import zarr"),
    "store/__init__.py": ("pynndescent is known to pipeline.index alone", "import pynndescent"),
    "scan/reading.py": ("HDF5 and blimpy are known to pipeline.filterbank alone", "import h5py"),
    "config.py": ("Keras is known to pipeline.encoders alone", "import tensorflow"),
    "encoders/spectral.py": ("Keras is known to pipeline.encoders alone", "import jax"),
    "cli/__init__.py": ("matplotlib is known to pipeline.plot alone", "import matplotlib.pyplot"),
    "model/values.py": ("msgspec is known to pipeline.support.records alone", "import msgspec"),
    "grid/cutouts.py": ("numba is known to those that compile", "import numba"),
}


@pytest.mark.parametrize("file", OFFENCES)
def test_every_contract_can_be_broken(tmp_path: Path, file: str) -> None:
    contract, offence = OFFENCES[file]
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "pipeline" / file).open("a") as source:
        source.write(f"\n{offence}\n")

    said = lint(tmp_path)

    broken = [line for line in said.splitlines() if line.endswith("BROKEN") or " BROKEN " in line]
    assert len(broken) == 1, said
    assert broken[0].startswith(contract)


DOORS = {
    "catalogue": "entries",
    "doctor": "facts",
    "encoders": "base",
    "evaluate": "sets",
    "export": "columns",
    "families": "grouping",
    "filterbank": "hdf5",
    "gate": "box_sums",
    "hit_tables": "dat",
    "index": "walk",
    "integrity": "survey",
    "interference": "bands",
    "labels": "book",
    "model": "values",
    "nightly": "novelty",
    "occurrence": "tally",
    "overview": "cells",
    "plot": "panel",
    "plot_reader": "cells",
    "run": "driver",
    "scan": "columns",
    "search": "merge",
    "significance": "tail",
    "simulate": "draw",
    "store": "arrays",
    "tasks": "work",
    "train": "batches",
    "views": "choice",
    "web": "archive",
}
"""Package with one door → a module of it that no other package may import."""


def test_no_import_goes_past_a_door(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "pipeline/cli/__init__.py").open("a") as source:
        source.writelines(f"import pipeline.{package}.{module}\n" for package, module in DOORS.items())

    said = lint(tmp_path)

    broken = set(re.findall(r"^(.*) BROKEN(?: \(.*\))?$", said, re.MULTILINE))
    assert broken == {f"pipeline.{package} has one door" for package in DOORS}, said


def test_every_package_has_one_door_or_says_that_its_modules_are_the_doors() -> None:
    packages = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    others = packages - DOORS.keys() - {"cli"}
    assert others == {"execute", "flatten", "grid", "support"}
    for package in others:
        assert "Import its modules by name" in (ROOT / "pipeline" / package / "__init__.py").read_text()


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules in memory after ``code``, in a fresh interpreter."""
    script = f"{code}\nimport json, sys\nprint(json.dumps([name for name in sys.modules if '.' not in name]))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(("modules", "may_load"), [
    (["lookalike", "pipeline", "pipeline.errors", "pipeline.model", "pipeline.config", "pipeline.cli"], set()),
    (["pipeline.grid.tiling", "pipeline.store", "pipeline.index", "pipeline.plot"], {"numpy"}),
    (["pipeline.search", "pipeline.filterbank", "pipeline.cli.search", "pipeline.cli.status"], {"numpy"}),
    ([name for name in MODULES if name != BUILDS_GRAPHS], {"numpy"} | HDF5 | NUMBA),
], ids=["root", "light", "query path", "everything"])
def test_importing_loads_only_what_is_needed_at_once(modules: list[str], may_load: set[str]) -> None:
    loaded = loaded_by("\n".join(f"import {name}" for name in modules))

    assert (loaded & (SLOW | NUMBA | HDF5 | {"numpy"})) <= may_load


def test_public_names_load_their_module_when_used() -> None:
    assert "scipy" in loaded_by("import pipeline\npipeline.encode")


def test_heavy_libraries_are_here_to_be_loaded() -> None:
    """Without them, the tests above could not fail."""
    loaded = loaded_by("import zarr, matplotlib, distributed, h5py, hdf5plugin, scipy, numba")
    assert {"zarr", "matplotlib", "distributed", "dask", "h5py", "hdf5plugin", "scipy", "numba", "numpy"} <= loaded
