from __future__ import annotations

import platform
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
