from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pipeline.encoders.backend import _without_notices, computing_in, fastest_precision, keras
from pipeline.errors import ConfigError
from tests.encoders.precisions import made_by_a_layer

NOTICES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1795460021.499156   22393 port.cc:153] oneDNN custom operations are on.\n"
)
ERRORS = (
    b"E0000 00:00:1795460021.499156   22393 device.cc:1] out of memory\n"
    b"F0000 00:00:1795460021.499156   22393 cpu.cc:2] compiled for other processors\n"
    b"I am no notice, nor complete"
)


def test_notices_are_left_out_and_all_else_comes_through(capfd):
    with _without_notices():
        os.write(2, NOTICES + ERRORS)
        assert not capfd.readouterr().err
    assert capfd.readouterr().err.encode() == ERRORS
    os.write(2, NOTICES)
    assert capfd.readouterr().err.encode() == NOTICES


def test_errors_are_shown_where_loading_fails(capfd):
    def load():
        os.write(2, NOTICES + ERRORS)
        raise ImportError

    with pytest.raises(ImportError), _without_notices():
        load()
    assert capfd.readouterr().err.encode() == ERRORS


def test_a_gpus_memory_is_taken_as_it_is_needed():
    """In a process of its own: libraries read these as they are loaded."""
    names = ("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE")
    script = ("import os, sys; from pipeline.encoders.backend import keras; assert 'keras' not in sys.modules; "
              f"keras(); print(*(os.environ[name] for name in {names}))")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    said = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["true", "false"]


def test_precision_holds_within_its_block_alone():
    def fail():
        raise RuntimeError

    before = keras().config.dtype_policy().name
    with computing_in("bfloat16"):
        layer = keras().layers.Dense(2)
    with pytest.raises(RuntimeError), computing_in("float16"):
        fail()
    assert (layer.compute_dtype, layer.variable_dtype) == ("bfloat16", "float32")
    assert keras().config.dtype_policy().name == before
    with pytest.raises(ConfigError, match=r"'float64'.*float32, bfloat16, float16"), computing_in("float64"):
        pass


@pytest.mark.parametrize(("precision", "dropped"), [("float32", 0), ("bfloat16", 0xFFFF), ("float16", 0x1FFF)])
def test_keras_computes_in_what_it_is_told_to(precision, dropped):
    """A layer's numbers have no more bits than the precision has, whatever the processor."""
    bits = made_by_a_layer(precision).view(np.uint32)
    assert not (bits & dropped).any()
    assert (bits & (dropped + 1)).any(), "its last bit is used"


@pytest.mark.parametrize(("devices", "has_instructions", "are_used", "expected"), [
    (["gpu:0"], True, True, "float16"),
    ([], True, True, "bfloat16"),
    ([], True, False, "float32"),  # by ONEDNN_MAX_CPU_ISA
    ([], False, True, "float32"),  # by way of AVX-512, slowly
    ([], False, False, "float32"),
])
def test_precision_goes_by_the_hardware(monkeypatch, devices, has_instructions, are_used, expected):
    monkeypatch.setattr("pipeline.encoders.backend.has_gpu_device", lambda: bool(devices))
    monkeypatch.setattr(keras().distribution, "list_devices", lambda kind: devices)
    monkeypatch.setattr("pipeline.encoders.backend.has_bfloat16", lambda: has_instructions)
    monkeypatch.setattr("pipeline.encoders.backend.computes_in", lambda precision: are_used)
    assert fastest_precision() == expected
