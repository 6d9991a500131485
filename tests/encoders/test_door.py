from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pipeline.encoders import ENCODERS, encode, load_encoder
from pipeline.errors import ConfigError
from pipeline.model import WindowGrid
from pipeline.simulate import simulate_families


def test_an_encoder_is_made_once():
    assert load_encoder("power-spectrum") is load_encoder("power-spectrum", grid=WindowGrid())
    assert load_encoder("power-spectrum") is not load_encoder("power-spectrum", grid=WindowGrid(128))


def test_unknown_name_is_answered_with_the_names_there_are():
    with pytest.raises(ConfigError, match=r"'resnet51'.*power-spectrum, resnet50"):
        load_encoder("resnet51")
    assert {"power-spectrum", "resnet50", "beta-vae"} <= set(ENCODERS)


def test_weights_for_an_encoder_without_are_refused():
    with pytest.raises(ConfigError, match=r"no weights.*a\.h5"):
        load_encoder("power-spectrum", weights="a.h5")


def test_arrays_of_any_shape_are_encoded():
    power, _ = simulate_families(np.random.default_rng(1), 1)
    vectors = encode(power, encoder="power-spectrum")
    assert vectors.shape == (12, 256)
    assert encode(power[:, :8, :100], encoder="power-spectrum").shape[0] == 12
    # neither the level nor lost gain of single rows changes the vector
    gains = np.full((16, 1), 1e-6)
    gains[[3, 9]] *= 0.6
    np.testing.assert_allclose((encode(power * gains, encoder="power-spectrum") * vectors).sum(axis=1), 1, atol=0.01)
    assert encode(power).shape == (12, 152)


@pytest.mark.parametrize("shape", [(16, 256), (2, 0, 256), (1, 1, 16, 256)])
def test_arrays_that_are_no_windows_are_refused(shape):
    with pytest.raises(ConfigError, match="shape"):
        encode(np.ones(shape))


def test_importing_and_using_the_door_loads_no_tensorflow():
    program = (
        "import sys, numpy as np\n"
        "from pipeline.encoders import encode\n"
        "encode(np.random.default_rng(0).gamma(102, 1, (2, 16, 256)))\n"
        "heavy = {'tensorflow', 'keras', 'torch', 'jax', 'matplotlib', 'blimpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
