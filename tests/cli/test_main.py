"""Properties of all commands: help, exit codes, and the modules that they load."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

import pipeline
import pipeline.search
from pipeline.cli import COMMANDS, main
from pipeline.cli import lookalike as group
from pipeline.cli.grouped import GENERAL, SHARED_GROUPS, GroupedCommand
from pipeline.config import RunConfig
from pipeline.errors import RunError
from pipeline.store import CorpusStore
from tests.cli.conftest import Lookalike, environment

HEAVY = {"tensorflow", "keras", "numba", "dask", "distributed", "blimpy", "pynndescent", "matplotlib", "scipy"}
CLUSTER = {"--scheduler", "--cluster", "--cluster-config", "--tls-ca", "--tls-cert", "--tls-key", "--insecure"}
OF_PICTURES = {"--picture", "--hz", "--seconds", "--bar", "--scale", "--colormap", "--crop", "--time-runs",
               "--frequency-descends", "--understood"}
OF_SIGNALS = {"--signal", "--drift-hz-per-s", "--width-hz", "--lines", "--spacing-hz", "--period-s", "--snr"}
OPTIONS = {
    "ingest": {"--corpus", *CLUSTER, "--workers", "--encoder", "--window", "--step", "--false-alarm", "--keep-all",
               "--f-start", "--f-stop", "--dry-run", "--json", "--serial", "--weights", "--embed-on", "--coarse-width",
               "--polarisation", "--precision", "--dashboard", "--accept-truncated", "--cover",
               "--views", "--add-views", "--add-overview"},
    "embed": {"--corpus", "--encoder", "--weights", *CLUSTER, "--workers", "--serial", "--embed-on", "--dry-run",
              "--json", "--precision", "--dashboard"},
    "index": {"--corpus", "--json", "--exact-below", "--routed-from", *CLUSTER, "--compact"},
    "remove": {"--corpus", "--undo", "--dry-run", "--json"},
    "search": {"--corpus", "--file", "--f-start", "--f-stop", "--window", "--npy", "-k", "--exact", "--careful",
               "--json", "--csv",
               "--plot", "--encoder", "--view", "--all-views", "--each-window", "--all-resolutions", "--rerank",
               "--rerank-drift",
               "--rerank-mirror",
               "--expand", "--near-frequency", "--expected-below", "--min-score", "--q", "--t-start", "--t-stop",
               "--only-mhz", "--not-mhz", "--not-known",
               "--only-file", "--not-file",
               "--only-target", "--not-target", "--only-telescope", "--label", "--not-label", "--after", "--before",
               "--on-off", "--on-only",
               "--on-off-power",
               "--per-file", "--per-mhz", "--like", "--unlike", "--to-label", "--out", "--samp", "--cut-outs",
               *OF_PICTURES, *OF_SIGNALS, "--hits", "--vector", "--html", "--in", *CLUSTER},
    "occurrence": {"--corpus", "--by", "--bin-mhz", "--bin-days", "--emitter-khz", "--with-query", "--json", "--csv",
                   "--plot"},
    "nightly": {"--corpus", "--report-dir", "--min-age", "--retry", "--views", *CLUSTER, "--workers", "--serial",
                "--embed-on", "--json", "--dashboard"},
    "verify": {"--corpus", "--repair", "--sample", *CLUSTER, "--workers", "--serial", "--json", "--dashboard"},
    "upgrade": {"--corpus", "--dry-run", "--json"},
    "status": {"--corpus", "--json"},
    "scans": {"--corpus", "--csv", "--f-start", "--f-stop", "--json", "--out"},
    "doctor": {"--corpus", "--data", *CLUSTER, "--json"},
    "simulate": {"--signals", "--family", "--snr", "--coarse-channels", "--coarse-width", "--spectra", "--f-min",
                 "--beside",
                 "--ascending", "--target", "--mjd", "--second", "--seed", "--json",
                 "--gain-spread", "--force"},
    "cadences": {"--corpus", "--json", "--csv"},
    "families": {"--again", "--corpus", "--csv", "--json", "--label", "--min-windows", "--name", "--new-since",
                 "--no-update", "--plot", "-k"},
    "label": {"--as", "--by", "--corpus", "--json", "--undo"},
    "labels": {"--corpus", "--csv", "--import", "--json", "--text"},
    "serve": {"--behind-proxy", "--corpus", "--data", "--deadline", "--host", "--insecure", "--max-queued", "--name",
              "--new-token", "--port", "--report-dir", "--role", "--scheduler", "--search-workers", "--tls-cert",
              "--tls-key", "--tokens"},
    "known": {"--at", "--name", "--json"},
    "demo": {"--serial"},
    "train": {"--out", "--steps", "--seed", "--precision", "--version"},
    "evaluate": {"--encoder", "--weights", "--corpus", "--part", "--full", "--seed", "--real", "--resnet50-weights",
                 "--json", "--picture", "--mistakes"},
    "warm-up": set(),
}
NOT_OF_OCCURRENCE = {"-k", "--q", "--on-off", "--on-only", "--on-off-power", "--per-file", "--per-mhz", "--to-label",
                     "--out", "--samp", "--cut-outs", "--hits", "--html", "--in"}
OPTIONS["occurrence"] |= OPTIONS["search"] - NOT_OF_OCCURRENCE


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


# --- help ----------------------------------------------------------------------------------------------------------


def test_help_lists_the_commands(lookalike: Lookalike) -> None:
    ran = lookalike("--help")
    assert (ran.code, ran.err) == (0, "")
    for name, what in COMMANDS.items():
        assert f"  {name:<{max(map(len, COMMANDS))}}  {what}\n" in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_options_and_tells_of_each(lookalike: Lookalike, name: str) -> None:
    options = {flag for parameter in command(name).params if isinstance(parameter, click.Option)
               for flag in parameter.opts}
    assert options == OPTIONS[name]

    for help_flag in ("--help", "-h"):
        ran = lookalike(name, help_flag)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"Usage: lookalike {name} [OPTIONS]")
        assert options <= set(ran.out.replace(",", " ").split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_eighty_columns_and_every_option_is_described(lookalike: Lookalike, name: str) -> None:
    assert max(map(len, lookalike(name, "--help").out.splitlines())) <= 80
    for parameter in command(name).params:
        assert not isinstance(parameter, click.Option) or parameter.help


def test_the_keys_of_a_run_are_listed_in_full(lookalike: Lookalike) -> None:
    keys = [one.name for one in fields(RunConfig)]
    for text in (lookalike("--help").out, (Path(__file__).parents[2] / "cluster" / "README.md").read_text()):
        listed = re.search(r"keys\s+of\s+`?\[run\]`?\s+are\s+(.+?)\.\s", text, re.DOTALL)
        assert listed is not None
        assert re.findall(r"\w+", listed[1].replace(" and", "")) == keys


def test_the_list_of_commands_says_what_their_help_says() -> None:
    for name, what in COMMANDS.items():
        described = command(name).help
        assert described is not None
        assert described.splitlines()[0] == what


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_gives_an_example(name: str) -> None:
    text = command(name).help
    assert text is not None
    assert re.search(rf"\n *Examples?:\n +lookalike {name}\b", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_grouped_in_the_same_order(lookalike: Lookalike, name: str) -> None:
    found = command(name)
    assert isinstance(found, GroupedCommand)
    flags = {flag for parameter in found.params for flag in parameter.opts}
    for heading, listed in found.groups.items():
        assert set(listed) <= flags, heading

    shown = [line[:-1] for line in lookalike(name, "--help").out.splitlines() if re.fullmatch(r"\S.*:", line)]
    headings = [GENERAL, *found.groups, *SHARED_GROUPS]
    assert shown == [heading for heading in headings if heading in shown]
    assert set(shown) >= {GENERAL, *found.groups}
    ordered = [flag for listed in SHARED_GROUPS.values() for flag in listed if flag in flags
               and not any(flag in own for own in found.groups.values())]
    text = lookalike(name, "--help").out
    places = [re.search(rf"^  {flag}\b", text, re.MULTILINE) for flag in ordered]
    starts = [match.start() for match in places if match is not None]
    assert len(starts) == len(ordered)
    assert starts == sorted(starts)


def test_the_version_is_that_of_the_package(lookalike: Lookalike) -> None:
    ran = lookalike("--version")
    assert (ran.code, ran.out) == (0, f"lookalike {pipeline.__version__}\n")


def loaded_by(*command_lines: list[str]) -> set[str]:
    """Return the top-level modules that some command lines load in a new interpreter."""
    script = """
import json, sys
from pipeline.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as error:
        assert not error.code, (arguments, error.code)
print("loaded", *{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", script, json.dumps(command_lines)], env=environment(),
                          capture_output=True, text=True, check=True)
    word, *modules = done.stdout.splitlines()[-1].split()
    assert word == "loaded"
    return set(modules)


def test_help_loads_no_scientific_library() -> None:
    loaded = loaded_by(["--help"], *([name, "--help"] for name in COMMANDS))
    assert not loaded & (HEAVY | {"numpy", "h5py", "zarr"})


def test_searching_a_stored_window_loads_no_heavy_library(corpus: Path, kept: str) -> None:
    loaded = loaded_by(["search", "--corpus", str(corpus), "--window", kept], ["status", "--corpus", str(corpus)])
    assert "numpy" in loaded
    assert not loaded & (HEAVY | {"zarr"})


# --- exit codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ["serch"], ["ingest"], ["ingest", "x", "--window", "many"], ["ingest", "x", "--window", "1"],
    ["ingest", "x", "--embed-on", "tpu"], ["ingest", "x", "--workers", "0"], ["ingest", "--no-such"],
    ["search", "-k", "0", "--window", "a/1"], ["index", "--exact-below", "0"], ["status", "here"],
    ["embed", "--workers", "0"], ["simulate"],
])
def test_wrong_usage_shows_the_usage(lookalike: Lookalike, arguments: list[str]) -> None:
    lookalike(*arguments).assert_misused("Error: ")


def test_no_command_shows_the_help() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline"], env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert "Commands:" in done.stdout + done.stderr  # the stream depends on the version of click


@pytest.mark.parametrize("arguments", [["status"], ["index"], ["embed"], ["search", "--window", "a/1"]])
def test_a_missing_corpus_is_no_corpus(lookalike: Lookalike, tmp_path: Path, arguments: list[str]) -> None:
    absent = tmp_path / "absent"
    lookalike(*arguments, "--corpus", absent).assert_refused(
        2, f"{absent}: there is no corpus here", f"lookalike ingest DATA --corpus {absent}")
    assert not absent.exists()


def test_where_no_corpus_is_a_search_names_the_other_way(lookalike: Lookalike, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    lookalike("search", "--corpus", absent, "--window", "a/1").assert_refused(2, "with --in FILE_OR_FOLDER")
    assert "--in" not in lookalike("status", "--corpus", absent).err


def test_the_corpus_is_by_default_here(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus.parent)
    assert corpus.name == "corpus"
    assert lookalike("status").code == 0
    monkeypatch.chdir(tmp_path)
    lookalike("status").assert_refused(2, "corpus: there is no corpus here")


@pytest.mark.parametrize("arguments", [
    ["status"], ["index"], ["search", "--window", "a/1"], ["ingest", ".", "--serial"], ["embed", "--serial"],
])
def test_a_damaged_corpus_is_damaged(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(data)
    root = shutil.copytree(corpus, tmp_path / "corpus")
    manifest = max((root / "manifest").iterdir())
    manifest.write_bytes(manifest.read_bytes()[:-100])

    lookalike(*arguments, "--corpus", root).assert_refused(5, str(manifest))


def test_a_locked_corpus_is_named_with_its_holder_and_can_be_read(
    lookalike: Lookalike, corpus: Path, data: Path, kept: str
) -> None:
    with CorpusStore.open(corpus).lock():
        for arguments in (["ingest", data, "--serial"], ["embed", "--serial"], ["index"]):
            lookalike(*arguments, "--corpus", corpus).assert_refused(4, f"{corpus}: locked by process {os.getpid()} on")
        assert lookalike("status", "--corpus", corpus).code == 0
        assert lookalike("search", "--corpus", corpus, "--window", kept).code == 0
    assert lookalike("ingest", data, "--serial", "--corpus", corpus).code == 0


def test_what_goes_wrong_on_purpose_is_one_line(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(corpus: Path) -> None:
        raise RunError(f"{corpus}: a\tname\udcff\n")

    monkeypatch.setattr(pipeline.search, "open_corpus", fail)
    ran = lookalike("status")
    assert (ran.code, ran.out, ran.err) == (1, "", "lookalike: corpus: a\\tname\\xff\\n\n")


def test_the_unexpected_has_a_traceback() -> None:
    script = "import pipeline.search; pipeline.search.open_corpus = None; from pipeline.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "status"], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Traceback")
    assert "TypeError" in done.stderr


def test_main_reads_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["lookalike", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.startswith("lookalike ")
