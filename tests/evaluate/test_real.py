"""Real signals: how they are pasted, what is checked, and how well the power spectrum does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.encoders import load_encoder
from pipeline.errors import ConfigError
from pipeline.evaluate.real import (
    CARRIER,
    CARRIERS_2020,
    COMB_NEIGHBOURS,
    SIDEBANDS,
    RealSet,
    evaluate_real,
    paste,
    read_real_set,
)
from tests.filterbank.files import real_file

SIGMA = 102**-0.5


def test_a_piece_is_pasted_level_and_spread_matched_and_tapered() -> None:
    rng = np.random.default_rng(0)
    piece = 5e8 * (1 + 0.3 * rng.standard_normal((16, 100)))
    piece[:, 50] += 5e8 * 0.3 * 40  # 40 sigmas
    places = set()
    for seed in range(6):
        window = paste(np.random.default_rng(seed), piece)
        assert window.shape == (16, 256)
        assert window.min() > 0
        channel = int(window.mean(axis=0).argmax())
        places.add(channel)
        assert window[:, channel].mean() == pytest.approx(1 + 40 * SIGMA, rel=0.1)
        others = np.delete(window, channel, axis=1)
        assert others.mean() == pytest.approx(1, abs=0.01)
        assert others.std() == pytest.approx(SIGMA, rel=0.08)
        assert np.delete(window, channel, axis=1).std(axis=0).max() < 2.2 * SIGMA  # no seam
    assert len(places) == 6
    assert min(places) >= 50
    assert max(places) <= 206


def known(vectors: dict[str, list[float]], unrelated: list[float], blank: list[float]) -> tuple[object, RealSet]:
    """Make a fake encoder and a set; the first pixel of a cutout is the key of its vector."""
    names = tuple(vectors)
    cutouts = np.zeros((len(names), 16, 256), np.uint8)
    cutouts[:, 0, 0] = np.arange(len(names))
    noise, other = np.full((3, 16, 256), 254, np.uint8), np.full((2, 16, 256), 255, np.uint8)
    table = dict(enumerate(vectors[name] for name in names)) | {254: blank, 255: unrelated}

    def encode(given: np.ndarray) -> np.ndarray:
        rows = np.array([table[number] for number in given[:, 0, 0]], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return encode, RealSet(names, cutouts, noise, other)


NAMES = (CARRIER, *SIDEBANDS, "comb 1", *COMB_NEIGHBOURS, "comb 5", *CARRIERS_2020)


def test_every_question_can_be_answered_with_yes_and_with_no() -> None:
    alike = {name: [0.0, 1.0, 0.1] if name.startswith("comb") else [1.0, 0.0, 0.1] for name in NAMES}
    good = evaluate_real(*known(alike, [0.5, 0.5, 0], [0, 0, 1]))
    assert [one.passed for one in good] == [True] * 6
    assert all(set(one.ranks.values()) == {1} for one in good)
    # each window resembles noise more than any other window
    apart = {name: [*row, 1.0] for name, row in zip(NAMES, np.eye(len(NAMES)).tolist(), strict=True)}
    blank = [0.0] * len(NAMES) + [1.0]
    bad = evaluate_real(*known(apart, [-1.0, *blank[1:]], blank))
    assert [one.passed for one in bad] == [False] * 6
    assert all(one.first[0] == "noise" for one in bad)
    # unrelated windows come first, so only the checks against noise alone pass
    mixed = evaluate_real(*known(apart, blank, [-1.0] * len(NAMES) + [0.0]))
    assert [one.passed for one in mixed] == [True] * 4 + [False] * 2


def test_one_carrier_of_2020_is_enough_but_all_of_the_comb_is_asked_for() -> None:
    vectors = {name: [1.0, 0.0, 0.0] for name in NAMES}
    vectors |= {name: [0, 1, 0] for name in ("comb 1", "comb 2", "comb 3")}
    vectors |= {name: [0, 0, 1] for name in ("2020 at 0", "2020 at 256")}
    *_, carrier, comb = evaluate_real(*known(vectors, [0.3, 0.3, 0.9], [0, 0, 1]))
    assert carrier.passed
    assert carrier.ranks == {"2020 at 0": 6, "2020 at 128": 1, "2020 at 256": 6}
    assert not comb.passed
    assert comb.ranks == {"comb 2": 1, "comb 3": 1, "comb 4": 6}


def test_voyager_finds_itself_by_the_power_spectrum_alone() -> None:
    folder = real_file("voyager1_hits_seticore.npz").parent
    checks = evaluate_real(load_encoder("power-spectrum").encode, read_real_set(folder))
    assert [one.passed for one in checks[:5]] == [True] * 5


def test_a_folder_without_the_pieces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no voyager1_hits_seticore\.npz; --real names"):
        read_real_set(tmp_path)
