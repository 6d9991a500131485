from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import processor

ALL = "fpu sse4_2 avx avx2 avx512f avx512bw avx512_bf16 amx_bf16"


@pytest.fixture(autouse=True)
def _nothing_held_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in processor.HELD_DOWN:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("flags", "expected", "has_bfloat16"), [
    (ALL, "AMX", True),
    (ALL.removesuffix(" amx_bf16"), "AVX-512 with bfloat16", True),
    ("fpu sse4_2 avx avx2 avx512f avx512bw", "AVX-512", False),
    ("fpu sse4_2 avx avx2", "AVX2", False),
    ("fpu sse4_2 avx", "AVX", False),
    ("fpu sse4_2", "SSE4.2", False),
    ("fpu", platform.machine(), False),
    (None, platform.machine(), False),
])
def test_the_widest_instruction_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, expected: str, has_bfloat16: bool
) -> None:
    told = tmp_path / "cpuinfo"
    if flags is not None:
        told.write_text(f"processor\t: 0\nmodel name\t: Zen avx2\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t: no\n")
    monkeypatch.setattr(processor, "_CPUINFO", told)
    assert (processor.instruction_set(), processor.has_bfloat16()) == (expected, has_bfloat16)
    name = platform.machine() if flags is None else "Zen avx2"
    assert processor.described() == f"{name}, {expected}"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert processor.described() == f"{name}, {expected}, ONEDNN_MAX_CPU_ISA=AVX2"


COMPILED = """
from numba import njit

@njit(cache=True)
def doubled(x):
    return 2 * x

doubled(3)
print(sum(doubled.stats.cache_hits.values()))
"""


def test_what_is_compiled_for_two_processors_is_kept_apart(tmp_path: Path) -> None:
    """In one folder: what was compiled for more instructions than a processor has would end the process."""
    program = tmp_path / "program.py"
    program.write_text(COMPILED)
    hits = []
    for name in ("haswell", "generic", "haswell"):
        done = subprocess.run([sys.executable, str(program)], check=True, capture_output=True, text=True, env={
            **os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path / "cache")})
        hits.append(int(done.stdout))
    assert hits == [0, 0, 1]
    assert len([*tmp_path.rglob("*.nbc")]) == 2
