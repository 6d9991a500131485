"""What the processor of this machine is: its name, its instruction set, and what the environment holds down."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

HELD_DOWN = ("ONEDNN_MAX_CPU_ISA", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
"""Environment variables by which libraries are told to use fewer instructions than there are."""

_CPUINFO = Path("/proc/cpuinfo")
_SETS = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 with bfloat16"), ("avx512bw", "AVX-512"), ("avx2", "AVX2"),
         ("avx", "AVX"), ("sse4_2", "SSE4.2"))
"""Flag of Linux → instruction set; each has those after it, too."""
_WITH_BFLOAT16 = frozenset({"amx_bf16", "avx512_bf16"})


def model_name() -> str:
    """Return the processor's name, or its architecture where the system does not tell."""
    return _line("model name") or platform.machine()


def instruction_set() -> str:
    """Return the widest instruction set that the processor has; its architecture where the system does not tell."""
    flags = _flags()
    return next((name for flag, name in _SETS if flag in flags), platform.machine())


def has_bfloat16() -> bool:
    """Tell whether the processor has instructions for bfloat16."""
    return not _WITH_BFLOAT16.isdisjoint(_flags())


def described() -> str:
    """Name the processor, its instruction set, and what holds that down."""
    held = [f"{name}={os.environ[name]}" for name in HELD_DOWN if os.environ.get(name)]
    return ", ".join([model_name(), instruction_set(), *held])


def _flags() -> frozenset[str]:
    return frozenset(_line("flags").split())


def _line(name: str) -> str:
    """Return what the system says of the first core; nothing where it does not tell."""
    with suppress(OSError):
        for line in _CPUINFO.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
