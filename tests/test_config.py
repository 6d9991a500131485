"""``corpus.toml``: read back as written, and every mistake named."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import (
    CONFIG_FILE,
    PRECISIONS,
    Config,
    EncoderConfig,
    IndexConfig,
    NightlyConfig,
    RunConfig,
    ScanConfig,
)
from pipeline.errors import ConfigError
from pipeline.model import WindowGrid
from pipeline.store import fingerprint
from tests.conftest import UserSays

COUNT = st.integers(1, 2**40)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

configs = st.builds(
    Config,
    scan=st.builds(
        ScanConfig, window=COUNT, step=COUNT, integrations=COUNT, window_is_given=st.booleans(),
        false_alarm=st.floats(1e-300, 0.4999), keep_all=st.booleans(), f_start_mhz=st.none() | st.floats(-1e290, 1e9),
        f_stop_mhz=st.none() | st.floats(1.1e9, 1e290), coarse_width=st.none() | COUNT, polarisation=st.integers(0, 9),
        views=st.none() | st.sampled_from([(), ("auto",), ("f4", "f16t4")]), cover=st.none() | st.booleans(),
        channel_levels=st.none() | st.booleans(),
        band_template=st.none() | st.booleans(),
    ),
    encoder=st.builds(EncoderConfig, name=TEXT, weights=TEXT, precision=st.sampled_from(PRECISIONS)),
    index=st.builds(IndexConfig, exact_below=st.integers(0, 2**40), segment_vectors=COUNT),
    run=st.builds(
        RunConfig, scheduler=TEXT, workers=st.integers(0, 999), worker_memory_gb=st.floats(1e-300, 1e290),
        embed_on=st.sampled_from(["auto", "gpu", "cpu"]), resource_wait_s=st.floats(0, 1e290), in_flight=COUNT,
        retries=st.integers(0, 99),
    ),
)


def corpus_with(folder: Path, toml: str | bytes) -> Path:
    (folder / CONFIG_FILE).write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    return folder


@given(configs)
def test_any_configuration_is_read_back_as_written(config: Config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read = Config.load(corpus_with(Path(folder), config.to_toml()))
    assert read == replace(config, run=RunConfig()), "of runs, a corpus says nothing"


def test_quotes_and_control_characters_survive(tmp_path: Path) -> None:
    config = Config(encoder=EncoderConfig("a\"b\\c\x7f\x00\n", "/w/ü 🛰\r\t.npz"))

    assert Config.load(corpus_with(tmp_path, config.to_toml())) == config


def test_the_file_says_what_of_it_may_change() -> None:
    said = [line for line in Config().to_toml().splitlines() if line.startswith("#")]
    assert [re.findall(r"\[\w+\]", line) for line in said] == [["[scan]"], [], ["[encoder]"], [],
                                                                ["[index]", "[nightly]"]]
    assert "cannot change" in said[0]
    assert "make its vectors by `lookalike embed`; then name it" in said[3]
    assert 'precision = "float32"' in Config().to_toml()


def test_no_file_means_defaults(tmp_path: Path) -> None:
    assert Config.load(tmp_path) == Config.load(tmp_path / "absent") == Config()


def test_defaults_are_those_of_the_fine_product() -> None:
    assert Config().scan.grid == WindowGrid(256, 256, 16)
    assert Config().scan.false_alarm == 0.001


def test_flags_beat_the_file_and_the_file_beats_the_defaults(tmp_path: Path) -> None:
    corpus_with(tmp_path, "[scan]\nwindow = 128\nstep = 64\n[nightly]\ntries = 9\n")

    config = Config.load(tmp_path, {"scan": {"window": 512, "step": None}, "index": {"exact_below": 0}})

    assert config.scan == ScanConfig(window=512, step=64, window_is_given=True)
    assert config.nightly == NightlyConfig(tries=9)
    assert config.index == IndexConfig(exact_below=0)


@pytest.mark.parametrize(("toml", "flags", "window", "step"), [
    ("window = 128\n", {}, 128, 128),
    ("", {"window": 128}, 128, 128),
    ("window = 128\n", {"window": 64}, 64, 64),
    ("window = 128\nstep = 64\n", {"window": 128}, 128, 64),
    ("window = 128\n", {"step": 32}, 128, 32),
    ("step = 128\n", {}, 256, 128),
])
def test_a_window_given_alone_is_its_own_step(
    tmp_path: Path, toml: str, flags: dict[str, int], window: int, step: int
) -> None:
    scan = Config.load(corpus_with(tmp_path, f"[scan]\n{toml}"), {"scan": flags}).scan

    assert (scan.window, scan.step) == (window, step)
    assert scan.window_is_given is (window != 256)


def test_a_flag_that_is_false_or_zero_is_given(tmp_path: Path, user_says: UserSays) -> None:
    corpus_with(tmp_path, "[scan]\nkeep_all = true\n")
    user_says("workers = 4\ninsecure = true\n")

    config = Config.load(tmp_path, {"scan": {"keep_all": False}, "run": {"workers": 0, "insecure": False}})

    assert not config.scan.keep_all
    assert config.run == RunConfig()


def test_flags_are_checked_against_the_file(tmp_path: Path) -> None:
    corpus_with(tmp_path, "[scan]\nf_start_mhz = 1400.0\n")

    with pytest.raises(ConfigError, match=r"flags \[scan\]: f_start_mhz 1400.0 must be below f_stop_mhz 1300.0"):
        Config.load(tmp_path, {"scan": {"f_stop_mhz": 1300.0}})


@pytest.mark.parametrize(("toml", "message"), [
    ("[scam]\n", r"\[scam\]: unknown table; known: scan, encoder, index, run"),
    ("window = 5\n", r"\[window\]: unknown table"),
    ("[scan]\nwidow = 5\n", r"\[scan\]: unknown key 'widow'; known: window, step"),
    ("scan = 5\n", r"\[scan\]: expected a table, got 5"),
    ("[[scan]]\nwindow = 5\n", r"\[scan\]: expected a table"),
    ("[scan]\nwindow = 5.0\n", r"\[scan\] window = 5.0 is not of type int"),
    ("[scan]\nwindow = true\n", r"\[scan\] window = True is not of type int"),
    ("[scan]\nwindow = '5'\n", r"\[scan\] window = '5' is not of type int"),
    ("[scan]\ncoarse_width = 1.5\n", r"coarse_width = 1.5 is not of type int \| None"),
    ("[scan]\nkeep_all = 1\n", r"keep_all = 1 is not of type bool"),
    ("[scan]\nfalse_alarm = true\n", r"false_alarm = True is not of type float"),
    ("[scan]\nf_start_mhz = nan\n", r"f_start_mhz = nan is not a finite number"),
    ("[scan]\nf_stop_mhz = -inf\n", r"f_stop_mhz = -inf is not a finite number"),
    ("[run]\nworker_memory_gb = 1" + "0" * 400 + "\n", r"worker_memory_gb = 10+ is not a finite number"),
    ("[run]\nworkers = 1" + "0" * 5000 + "\n", r"not valid TOML"),
    ("[encoder]\nname = 7\n", r"\[encoder\] name = 7 is not of type str"),
    ("[encoder]\nprecision = 16\n", r"\[encoder\] precision = 16 is not of type str"),
    ("[encoder]\nprecision = 'half'\n",
     r"\[encoder\]: precision must be one of auto, float32, bfloat16, float16, got 'half'"),
    ("[run]\nembed_on = 'tpu'\n", r"\[run\]: embed_on must be auto, gpu or cpu, got 'tpu'"),
    ("[run]\nembed_on = 3\n", r"\[run\] embed_on = 3 is not of type"),
    ("[scan\n", r"corpus.toml: not valid TOML"),
    (b"\xff[scan]\n", r"corpus.toml: not valid TOML"),
])
def test_mistakes_in_the_file_are_named(tmp_path: Path, toml: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Config.load(corpus_with(tmp_path, toml))
    assert str(caught.value).startswith(str(tmp_path / CONFIG_FILE))


@pytest.mark.parametrize("overrides", [{"scam": {}}, {"scan": {"widow": 1}}, {"scan": {"window": True}}])
def test_mistakes_in_overrides_are_named(overrides: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="flags"):
        Config().override(overrides)


def test_an_unreadable_file_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).mkdir()
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / CONFIG_FILE}: cannot be read")):
        Config.load(tmp_path)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: ScanConfig(window=0), "at least 1"), (lambda: ScanConfig(step=-1), "at least 1"),
    (lambda: ScanConfig(integrations=0), "at least 1"), (lambda: ScanConfig(false_alarm=0.0), "false_alarm"),
    (lambda: ScanConfig(false_alarm=0.5), "false_alarm"), (lambda: ScanConfig(false_alarm=float("nan")), "false_alarm"),
    (lambda: ScanConfig(f_start_mhz=5.0, f_stop_mhz=5.0), "must be below"),
    (lambda: ScanConfig(coarse_width=0), "coarse_width must be at least 1"),
    (lambda: ScanConfig(polarisation=-1), "polarisation"),
    (lambda: EncoderConfig("resnet50", "/w/\udcff.npz"), "UTF-8"),
    (lambda: IndexConfig(exact_below=-1), "exact_below"), (lambda: IndexConfig(segment_vectors=0), "segment_vectors"),
    (lambda: RunConfig(workers=-1), "workers"), (lambda: RunConfig(in_flight=0), "in_flight"),
    (lambda: RunConfig(retries=-1), "retries"), (lambda: RunConfig(worker_memory_gb=0.0), "worker_memory_gb"),
    (lambda: RunConfig(resource_wait_s=-1.0), "resource_wait_s"),
])
def test_impossible_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_whole_and_decimal_numbers_are_one_identity(tmp_path: Path) -> None:
    whole = Config.load(corpus_with(tmp_path, "[scan]\nf_start_mhz = 1400\n"))
    decimal = Config().override({"scan": {"f_start_mhz": 1400.0}})

    assert fingerprint(asdict(whole.scan)) == fingerprint(asdict(decimal.scan))


@given(configs)
def test_fingerprint_ignores_order_and_survives_json(config: Config) -> None:
    identity = asdict(config)
    shuffled = {name: dict(reversed(table.items())) for name, table in reversed(identity.items())}

    assert fingerprint(shuffled) == fingerprint(json.loads(json.dumps(identity))) == fingerprint(identity)


def test_fingerprint_tells_identities_apart() -> None:
    one = asdict(ScanConfig())
    prints = {fingerprint({**one, key: value}) for key, value in
              {"window": 255, "step": 255, "false_alarm": 0.01, "keep_all": True, "f_start_mhz": 1.0}.items()}

    assert len(prints | {fingerprint(one)}) == 6
    assert all(re.fullmatch("[0-9a-f]{16}", p) for p in prints)
