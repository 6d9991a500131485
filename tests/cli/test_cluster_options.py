"""The options that say where a run takes place, and the settings of the user that they override."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.cluster_options import cluster_options, place_options
from pipeline.config import Config, RunConfig
from tests.conftest import UserSays


def run_config(corpus: Path, *flags: str) -> RunConfig:
    """Run a command with these flags on a corpus; return the resulting ``[run]``."""
    got: list[Any] = []

    @click.command()
    @place_options
    def command(place: dict[str, Any]) -> None:
        got.append(Config.load(corpus, {"run": place}).run)

    ran = CliRunner().invoke(command, flags)
    assert ran.exit_code == 0, ran.output
    return got[0]


def test_flags_name_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_config(tmp_path) == RunConfig()
    assert run_config(tmp_path, "--cluster", "ssh", "--cluster-config", "a.yaml") == RunConfig(
        cluster="ssh", cluster_config=str(tmp_path / "a.yaml"))
    assert run_config(tmp_path, "--scheduler", "tls://a:1", "--tls-ca", "ca", "--tls-cert", "c", "--tls-key", "k",
                      "--insecure") == RunConfig(
        scheduler="tls://a:1", tls_ca=str(tmp_path / "ca"), tls_cert=str(tmp_path / "c"), tls_key=str(tmp_path / "k"),
        insecure=True)
    assert run_config(tmp_path, "--cluster", "local", "--workers", "3") == RunConfig(workers=3)
    assert run_config(tmp_path, "--serial") == RunConfig(serial=True)


def test_a_place_that_is_named_beats_that_of_the_file(tmp_path: Path, user_says: UserSays) -> None:
    folder = user_says(
        'scheduler = "tls://a:1"\ncluster = "slurm"\ncluster_config = "b.yaml"\ninsecure = true\n').parent
    own = RunConfig(scheduler="tls://a:1", cluster="slurm", cluster_config=str(folder / "b.yaml"), insecure=True)
    assert run_config(tmp_path) == own
    assert run_config(tmp_path, "--scheduler", "tls://b:2").scheduler == "tls://b:2"
    assert run_config(tmp_path, "--serial").serial
    for flags, cluster in ((["--workers", "2"], "local"), (["--cluster", "local"], "local"),
                           (["--cluster", "ssh"], "ssh")):
        place = run_config(tmp_path, *flags)
        assert (place.scheduler, place.cluster, place.cluster_config) == ("", cluster, str(folder / "b.yaml"))


@pytest.mark.parametrize("flags", [
    ["--serial", "--cluster", "local"], ["--workers", "2", "--cluster", "slurm"],
    ["--scheduler", "a", "--cluster", "ssh"], ["--serial", "--workers", "2"]])
def test_one_place_at_a_time(flags: list[str]) -> None:
    @click.command()
    @place_options
    def command(place: dict[str, Any]) -> None:
        pytest.fail("was run")

    ran = CliRunner().invoke(command, flags)
    assert ran.exit_code == 2
    assert "Error: choose one of " in ran.output
    assert all(flag in ran.output for flag in flags if flag.startswith("--"))


def test_a_command_may_do_without_workers_of_its_own() -> None:
    @click.command()
    @cluster_options
    def command(place: dict[str, Any]) -> None:
        assert set(place) == {"scheduler", "cluster", "cluster_config", "tls_ca", "tls_cert", "tls_key", "insecure"}

    assert CliRunner().invoke(command, []).exit_code == 0
    assert CliRunner().invoke(command, ["--workers", "2"]).exit_code == 2
    assert CliRunner().invoke(command, ["--cluster", "mars"]).exit_code == 2


def test_a_corpus_may_not_ask_for_a_cluster_that_does_not_exist(tmp_path: Path) -> None:
    from pipeline.errors import ConfigError

    (tmp_path / "corpus.toml").write_text('[run]\ncluster = "mars"\n')
    with pytest.raises(ConfigError, match="cluster must be one of local, ssh, slurm, kubernetes, got 'mars'"):
        Config.load(tmp_path)


@pytest.mark.parametrize("flags", [("--serial",), ("--scheduler", "tls://a:1")])
def test_a_dashboard_is_of_workers_that_the_run_starts(tmp_path: Path, flags: tuple[str, ...]) -> None:
    @click.command()
    @place_options
    def command(place: dict[str, Any]) -> None:
        raise AssertionError(place)

    ran = CliRunner().invoke(command, (*flags, "--dashboard"))
    assert ran.exit_code == 2
    assert f"not for {flags[0]}" in ran.output
    assert run_config(tmp_path, "--dashboard", "--workers", "2") == RunConfig(dashboard=True, workers=2)
