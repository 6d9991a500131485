"""The user decides where code runs, by flags, the environment and their own file. A corpus never decides it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.config import CONFIG_FILE, Config, RunConfig
from pipeline.encoders import load_encoder
from pipeline.errors import ConfigError, EncoderError
from pipeline.support.toml_tables import as_toml
from tests.cli import conftest as cli
from tests.cli.conftest import Lookalike
from tests.conftest import UserSays

lookalike, corpus, data, kept = cli.lookalike, cli.corpus, cli.data, cli.kept
_logging_as_it_was = cli._logging_as_it_was

OTHER = {
    "scheduler": "tcp://127.0.0.1:1", "cluster": "ssh", "cluster_config": "/x.yaml", "insecure": True, "workers": 3,
    "worker_memory_gb": 1.5, "embed_on": "cpu", "resource_wait_s": 1.0, "scheduler_wait_s": 2.0, "task_timeout_s": 3.0,
    "in_flight": 4, "retries": 5, "serial": True, "dashboard": True,
}
"""For each key that can be given alone, a value that is not the default."""
TLS = {"tls_ca": "/ca.pem", "tls_cert": "/cert.pem", "tls_key": "/key.pem"}
AS_FORMERLY_WRITTEN = """
[run]
scheduler = ""
cluster = "local"
cluster_config = ""
tls_ca = ""
tls_cert = ""
tls_key = ""
insecure = false
workers = 0
worker_memory_gb = 2.0
embed_on = "auto"
resource_wait_s = 30.0
scheduler_wait_s = 300.0
task_timeout_s = 1800.0
in_flight = 3
retries = 2
"""


class Listener:
    """A port of this machine that counts connections and closes them."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def strangers(corpus: Path, tmp_path: Path, listener: Listener) -> Path:
    """A corpus whose ``corpus.toml`` names a scheduler."""
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    with (root / CONFIG_FILE).open("a") as file:
        file.write(f'\n[run]\nscheduler = "{listener.address}"\ninsecure = true\n')
    return root


COMMANDS: dict[str, Callable[[Path, str], list[str | Path]]] = {
    "index": lambda data, window: ["index", "--exact-below", "2"],
    "verify": lambda data, window: ["verify"],
    "verify --repair": lambda data, window: ["verify", "--repair"],
    "ingest": lambda data, window: ["ingest", data],
    "search": lambda data, window: ["search", "--window", window],
    "nightly": lambda data, window: ["nightly", data, "--min-age", "0s"],
    "embed": lambda data, window: ["embed"],
    "remove": lambda data, window: ["remove", window.split("/")[0]],
    "status": lambda data, window: ["status"],
    "doctor": lambda data, window: ["doctor"],
}


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_goes_where_a_corpus_sends_it(
    lookalike: Lookalike, strangers: Path, data: Path, kept: str, listener: Listener, user_says: UserSays, name: str
) -> None:
    own = user_says("")
    before = files_of(strangers)
    ran = lookalike(*COMMANDS[name](data, kept), "--corpus", strangers)
    ran.assert_refused(2, str(strangers / CONFIG_FILE), f'scheduler = "{listener.address}"', "insecure = true",
                       str(own), "[run]")
    assert files_of(strangers) == before
    assert listener.connections == 0


def test_python_goes_no_more_there(strangers: Path, data: Path, listener: Listener) -> None:
    runs: list[Callable[[], object]] = [
        lambda: pipeline.ingest([data], strangers), lambda: pipeline.embed(strangers),
        lambda: pipeline.build_index(strangers), lambda: pipeline.verify(strangers, repair=True),
        lambda: pipeline.run_nightly([data], strangers), lambda: pipeline.open_corpus(strangers),
        lambda: pipeline.remove(["x"], strangers)]
    for run in runs:
        with pytest.raises(ConfigError, match="a corpus cannot"):
            run()
    assert listener.connections == 0


@pytest.mark.parametrize("said_by", ["flags", "environment", "file", "python"])
def test_every_command_goes_where_the_user_sends_it(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, listener: Listener, user_says: UserSays,
    monkeypatch: pytest.MonkeyPatch, said_by: str,
) -> None:
    """The listener counts connections. Without this test, the tests above could not fail."""
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    toml = (root / CONFIG_FILE).read_text()
    (root / CONFIG_FILE).write_text(toml.replace("exact_below = 20000", "exact_below = 2"))
    assert Config.of_corpus(root).index.exact_below == 2, "so there is a segment to build: without one, none connects"
    monkeypatch.setenv("LOOKALIKE_RUN_RESOURCE_WAIT_S", "0.5")
    flags = []
    if said_by == "flags":
        flags = ["--scheduler", listener.address, "--insecure"]
    elif said_by == "environment":
        monkeypatch.setenv("LOOKALIKE_RUN_SCHEDULER", listener.address)
        monkeypatch.setenv("LOOKALIKE_RUN_INSECURE", "true")
    else:
        user_says(f'scheduler = "{listener.address}"\ninsecure = true\n')
    if said_by == "python":
        with pytest.raises(ConfigError, match="no Dask scheduler answers"):
            pipeline.build_index(root)
    else:
        lookalike("index", "--corpus", root, *flags).assert_refused(2, "no Dask scheduler answers")
    assert listener.connections > 0


def test_the_corpora_made_so_far_are_used_as_before(lookalike: Lookalike, corpus: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    with (root / CONFIG_FILE).open("a") as file:
        file.write(AS_FORMERLY_WRITTEN)
    formerly = {line.split()[0] for line in AS_FORMERLY_WRITTEN.splitlines()[2:]}
    assert set(Config.load(root).run.__slots__) == formerly | {"serial", "dashboard"}
    assert Config.load(root).run == RunConfig()
    for words in (["status"], ["index", "--exact-below", "2"], ["verify", "--repair"]):
        assert lookalike(*words, "--corpus", root).code == 0


def test_a_new_corpus_says_nothing_of_runs(lookalike: Lookalike, data: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    assert lookalike("ingest", data, "--corpus", root, "--serial", "--encoder", "power-spectrum",
                     "--coarse-width", "4096", "--embed-on", "cpu").code == 0
    written = (root / CONFIG_FILE).read_text()
    assert "[run]" not in written
    assert "scheduler" not in written


@pytest.mark.parametrize("said", [*({key: value} for key, value in OTHER.items()), TLS, {**OTHER, **TLS}],
                         ids=lambda said: " ".join(said))
def test_a_corpus_may_say_no_key_of_runs(tmp_path: Path, said: dict[str, Any], user_says: UserSays) -> None:
    own = user_says("")
    root = tmp_path / "corpus"
    root.mkdir()
    lines = [as_toml(key, value) for key, value in said.items()]
    (root / CONFIG_FILE).write_text("[run]\n" + "\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        Config.load(root)
    for words in (str(root / CONFIG_FILE), str(own), *lines):
        assert words in str(caught.value)
    (root / CONFIG_FILE).write_text("")
    user_says("\n".join(lines))  # as the message says
    assert Config.load(root).run == replace(RunConfig(), **said)


def test_all_keys_are_tried() -> None:
    assert {*OTHER, *TLS} == {field.name for field in fields(RunConfig)}


# --- which setting has precedence ----------------------------------------------------------------------------------


def test_flags_beat_the_environment_and_that_beats_the_file(
    tmp_path: Path, user_says: UserSays, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_says("workers = 1\nretries = 1\nin_flight = 1\n")
    monkeypatch.setenv("LOOKALIKE_RUN_RETRIES", "7")
    monkeypatch.setenv("LOOKALIKE_RUN_IN_FLIGHT", "7")
    found = Config.load(tmp_path, {"run": {"in_flight": 9, "retries": None}}).run
    assert found == RunConfig(workers=1, retries=7, in_flight=9)


def test_every_key_has_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**OTHER, **TLS}.items():
        monkeypatch.setenv(f"LOOKALIKE_RUN_{key.upper()}", str(value))
    assert asdict(Config.load(tmp_path).run) == {**OTHER, **TLS}
    assert Config.of_user().run == Config.load(tmp_path).run


def test_a_cluster_beats_a_scheduler_that_counts_less(
    tmp_path: Path, user_says: UserSays, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_says('scheduler = "tls://a:1"\n')
    monkeypatch.setenv("LOOKALIKE_RUN_CLUSTER", "ssh")
    assert (Config.load(tmp_path).run.scheduler, Config.load(tmp_path).run.cluster) == ("", "ssh")
    assert Config.load(tmp_path, {"run": {"scheduler": "tls://b:2"}}).run.scheduler == "tls://b:2"


def test_a_place_that_counts_more_beats_this_process(
    tmp_path: Path, user_says: UserSays, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_says("serial = true\n")
    assert Config.load(tmp_path).run.serial
    assert not Config.load(tmp_path, {"run": {"cluster": "local"}}).run.serial
    assert Config.load(tmp_path, {"run": {"workers": None, "insecure": True}}).run.serial
    monkeypatch.setenv("LOOKALIKE_RUN_SCHEDULER", "tls://b:2")
    assert not Config.load(tmp_path).run.serial
    assert Config.load(tmp_path, {"run": {"serial": True}}).run.serial


def test_an_empty_variable_is_an_empty_text(
    tmp_path: Path, user_says: UserSays, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_says('scheduler = "tls://a:1"\n')
    monkeypatch.setenv("LOOKALIKE_RUN_SCHEDULER", "")
    assert Config.load(tmp_path).run.scheduler == ""


@pytest.mark.parametrize(("name", "value", "message"), [
    ("LOOKALIKE_RUN_WORKER", "2", "LOOKALIKE_RUN_WORKER in the environment: unknown key 'worker'"),
    ("LOOKALIKE_RUN_WORKERS", "two", "LOOKALIKE_RUN_WORKERS=two in the environment is not of type int"),
    ("LOOKALIKE_RUN_INSECURE", "yes please", "LOOKALIKE_RUN_INSECURE=yes please .* is not true or false"),
    ("LOOKALIKE_RUN_WORKER_MEMORY_GB", "nan", "worker_memory_gb = nan is not a finite number"),
    ("LOOKALIKE_RUN_EMBED_ON", "tpu", "environment .* embed_on must be auto, gpu or cpu"),
])
def test_mistakes_in_the_environment_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        Config.load(tmp_path)


@pytest.mark.parametrize(("lines", "message"), [
    ("shceduler = 'x'", "unknown key 'shceduler'"), ("workers = 'two'", "is not of type int"),
    ("[scan]\nwindow = 3", r"\[scan\]: unknown table; known: run"), ("workers =", "not valid TOML"),
])
def test_mistakes_in_the_users_file_are_named(
    tmp_path: Path, user_says: UserSays, lines: str, message: str
) -> None:
    path = user_says(lines)
    with pytest.raises(ConfigError, match=message) as caught:
        Config.load(tmp_path)
    assert str(caught.value).startswith(str(path))


def test_paths_in_the_users_file_begin_at_its_folder_or_at_home(
    tmp_path: Path, user_says: UserSays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of")
    path = user_says('tls_ca = "ca.pem"\ntls_cert = "~/cert.pem"\ntls_key = "/key.pem"\n')
    run = Config.load(tmp_path).run
    assert (run.tls_ca, run.tls_cert, run.tls_key) == (
        str(path.parent / "ca.pem"), "/home/of/cert.pem", "/key.pem")


# --- who else can write the user's file ----------------------------------------------------------------------------


def as_anybodys(path: Path, how: str) -> None:
    if how.startswith("owner"):
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(path if how == "owner" else path.parent, 12345, -1)
    else:
        (path.parent if how.startswith("folder") else path).chmod(int(how.split()[1], 8))


@pytest.mark.parametrize("how", ["file 666", "file 620", "folder 777", "folder 770", "owner", "owner of folder"])
def test_a_file_that_others_can_change_is_refused_and_told_how_to_mend(
    lookalike: Lookalike, corpus: Path, user_says: UserSays, how: str
) -> None:
    path = user_says('workers = 1\n')
    as_anybodys(path, how)
    ran = lookalike("index", "--corpus", corpus)
    ran.assert_refused(2, str(path), "others can change it")
    remedy = ran.err.rstrip("\n").partition("mend it with: ")[2]
    assert remedy.startswith(("chmod go-w ", "chown "))
    subprocess.run(remedy, shell=True, check=True)
    assert lookalike("index", "--corpus", corpus).code == 0


def test_that_is_no_damage_of_a_corpus(lookalike: Lookalike, corpus: Path, tmp_path: Path, user_says: UserSays) -> None:
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    user_says("").chmod(0o666)
    before = (root / CONFIG_FILE).read_bytes()
    assert lookalike("verify", "--corpus", root).code == 0
    lookalike("verify", "--repair", "--corpus", root).assert_refused(2, "others can change it")
    assert (root / CONFIG_FILE).read_bytes() == before
    assert not (root / "damaged").exists() or not any((root / "damaged").iterdir())


def test_a_link_of_ones_own_is_followed(tmp_path: Path, user_says: UserSays) -> None:
    path = user_says("workers = 5\n")
    path.rename(path.parent / "elsewhere.toml")
    path.symlink_to("elsewhere.toml")
    assert Config.load(tmp_path).run.workers == 5
    (path.parent / "elsewhere.toml").chmod(0o666)
    with pytest.raises(ConfigError, match=r"elsewhere\.toml can be written by others \(mode 666\)"):
        Config.load(tmp_path)


def test_weights_that_are_no_regular_file_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    """A corpus may name the weights, and reading a pipe might never end."""
    pipe = tmp_path / "weights.npz"
    os.mkfifo(pipe)
    with pytest.raises(EncoderError, match=r"weights\.npz: the weights of spectral must be a regular file"):
        load_encoder("spectral", weights=str(pipe))
