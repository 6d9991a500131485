"""The processor of this machine: its name, its instruction set, and environment variables that limit it."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

LIMITING_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
"""Environment variables that make libraries use fewer instructions than the processor has."""

_CPUINFO = Path("/proc/cpuinfo")
"""File in which Linux describes the processor."""
_SETS = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 with bfloat16"), ("avx512bw", "AVX-512"), ("avx2", "AVX2"),
         ("avx", "AVX"), ("sse4_2", "SSE4.2"))
"""Pairs of Linux's flag and the name of the instruction set, widest first. A processor with one has all later ones."""
_WITH_BFLOAT16 = frozenset({"amx_bf16", "avx512_bf16"})
"""Linux's flags for bfloat16 instructions."""


def model_name() -> str:
    """Return the processor's name, or its architecture if the system does not give the name."""
    return _line("model name") or platform.machine()


def instruction_set() -> str:
    """Return the widest instruction set of the processor, or its architecture if the system does not list instructions.
    """
    flags = _flags()
    return next((name for flag, name in _SETS if flag in flags), platform.machine())


def has_bfloat16() -> bool:
    """Tell whether the processor has bfloat16 instructions."""
    return not _WITH_BFLOAT16.isdisjoint(_flags())


def describe() -> str:
    """Return one line with the processor's name, its instruction set and the environment variables that limit it."""
    held = [f"{name}={os.environ[name]}" for name in LIMITING_VARIABLES if os.environ.get(name)]
    return ", ".join([model_name(), instruction_set(), *held])


def _flags() -> frozenset[str]:
    return frozenset(_line("flags").split())


def _line(name: str) -> str:
    """Return the value of ``name`` that Linux reports for the first core, or an empty string."""
    with suppress(OSError):
        for line in _CPUINFO.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
