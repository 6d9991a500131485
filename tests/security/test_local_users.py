"""Other users of the machine cannot run code in a cluster that a run starts, by its ports or by its scratch folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from cryptography import x509

from pipeline.errors import ConfigError
from pipeline.execute.local import private_scratch
from pipeline.execute.security import own_security
from pipeline.run import ingest
from tests.run.small import archive, assert_same_corpus, config
from tests.run.workers import environment, ingest_command, slowly, started

OF_A_RUN = "pipeline.execute.cluster import connected\nstart = lambda: connected(RunConfig(workers=1))"
OF_DASK = ("distributed import Client\n"
           "start = lambda: Client(n_workers=1, protocol='tcp', host='127.0.0.1', dashboard_address='127.0.0.1:0')")
VICTIM = """
import importlib.util, sys
from pipeline.config import RunConfig
from {start}

def finds_planted():
    return importlib.util.find_spec("planted_by_another_user") is not None

if __name__ == "__main__":
    with start() as client:
        client.wait_for_workers(1)
        print("finds what was planted:", finds_planted() or client.submit(finds_planted).result(), flush=True)
        sys.stdin.readline()
        print("still works:", client.submit(sum, [1, 2], pure=False).result(), flush=True)
"""


def ports_of(process: psutil.Process) -> set[int]:
    """Return the ports at which a process and its children listen."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            found |= {c.laddr.port for c in one.net_connections() if c.status == psutil.CONN_LISTEN}
    return found


def attacked(ports: set[int], folder: Path) -> dict[str, Any]:
    """Attack these ports as another user, who tries to make files in this folder; return the results."""
    words = [sys.executable, "-m", "tests.security.stranger", str(folder), *map(str, ports)]
    done = subprocess.run(words, env=environment(DASK_LOGGING__DISTRIBUTED="critical"), capture_output=True, text=True,
                          timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["is_another_user"] is (os.getuid() == 0)
    return told["answers"]


@dataclass(frozen=True)
class Victim:
    """A running cluster, and what it printed about its search path."""

    process: subprocess.Popen[str]
    said: str
    ports: set[int]

    def go_on(self) -> str:
        """Let the cluster run one more task; return what it prints."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@contextmanager
def victim(start: str, folder: Path) -> Iterator[Victim]:
    """Start a cluster in a new process. Another user has already put a module into the folder of temporary files."""
    shared = folder / "tmp" / "dask-scratch-space"
    shared.mkdir(parents=True)
    shared.parent.chmod(0o1777)  # as /tmp is
    shared.chmod(0o777)
    (shared / "planted_by_another_user.py").touch()
    script = folder / "victim.py"
    script.write_text(VICTIM.format(start=start))
    process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=environment(TMPDIR=str(shared.parent), DASK_LOGGING__DISTRIBUTED="critical"))
    family = psutil.Process(process.pid)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        yield Victim(process, said, ports_of(family))
    finally:
        for one in [family, *family.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.communicate()


def test_no_port_of_a_runs_own_cluster_runs_code_of_another_user(tmp_path: Path) -> None:
    with victim(OF_A_RUN, tmp_path) as run:
        (markers := tmp_path / "markers").mkdir(mode=0o700)
        assert len(run.ports) == 3, "a scheduler, a worker and its nanny, and nobody for HTTP"
        answers = attacked(run.ports, markers)
        assert list(markers.iterdir()) == []
        assert all(answer == "" or "Error" in answer for answer in answers.values()), answers
        assert run.go_on() == "still works: 3\n"


def test_the_same_attacks_succeed_where_dask_is_left_as_it_is(tmp_path: Path) -> None:
    """Without this test, the attacks might fail for other reasons."""
    with victim(OF_DASK, tmp_path) as run:
        (markers := tmp_path / "markers").mkdir(mode=0o700)
        answers = attacked(run.ports, markers)
    ran = {one.name.partition(" ")[2] for one in markers.iterdir()}
    assert ran == {"run over tcp", "run_function over tcp", "submit over tcp"}
    broken = {one.name.partition(" ")[0] for one in markers.iterdir()}
    serving = {name.partition(" ")[0] for name, answer in answers.items() if answer == "HTTP/"}
    assert len(broken) == 3, "scheduler, nanny, worker"
    assert broken | serving == {str(port) for port in run.ports}
    assert serving
    assert run.said == "finds what was planted: True\n"


def test_what_another_user_puts_into_dasks_folder_is_not_found(tmp_path: Path) -> None:
    with victim(OF_A_RUN, tmp_path) as run:
        assert run.said == "finds what was planted: False\n"
        folders = [one for one in (tmp_path / "tmp").iterdir() if one.name != "dask-scratch-space"]
        assert folders
        assert {one.stat().st_mode & 0o077 for one in folders} == {0}
        for one in psutil.Process(run.process.pid).children(recursive=True):
            assert "PRIVATE KEY" not in " ".join([*one.cmdline(), *one.environ().values()])


def test_scratch_files_are_put_nowhere_that_every_user_could_replace_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o777)
    message = r"every user can replace the files of others there \(mode 777\); set TMPDIR"
    with pytest.raises(ConfigError, match=message), private_scratch():
        pass
    tmp_path.chmod(0o1777)
    with private_scratch() as folder:
        assert Path(folder).parent == tmp_path
        assert Path(folder).stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with dask.config.set({"temporary-directory": str(tmp_path / "file" / "below")}), \
            pytest.raises(ConfigError, match=r"below: no folder for scratch files can be made there \(Not a dir"), \
            private_scratch():
        pass


def test_each_run_has_a_key_of_its_own_which_holds_when_the_clock_is_set_back() -> None:
    one, other = own_security(), own_security()
    assert one.tls_worker_key != other.tls_worker_key
    assert "PRIVATE" not in repr(one)
    certificate = x509.load_pem_x509_certificate(one.tls_worker_cert.encode())
    now, hour = datetime.now(UTC), timedelta(hours=1)
    assert certificate.not_valid_before_utc < now - 20 * hour
    assert certificate.not_valid_after_utc > now + 300 * 24 * hour


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_an_ingest_under_attack_is_like_any_other(tmp_path: Path) -> None:
    data = archive(tmp_path / "data", 3)
    reference, root, markers = tmp_path / "reference", tmp_path / "corpus", tmp_path / "markers"
    ingest([data], reference, config=config(), serial=True)
    markers.mkdir(mode=0o700)
    slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([slowly(tmp_path, 6.0)])}
    attacks = 0
    with started(ingest_command(data, root), tmp_path, **slow) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if len(ports := ports_of(psutil.Process(process.pid))) == 5:
                attacked(ports, markers)
                attacks += 1
            time.sleep(0.1)
        said = process.communicate()
    assert process.returncode == 0, said
    assert attacks > 0
    assert list(markers.iterdir()) == []
    assert_same_corpus(root, reference)
