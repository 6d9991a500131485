"""Who gets in: named tokens, cookies that outlive a restart, and the command that starts the server."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from pipeline.cli import lookalike
from pipeline.errors import ConfigError, CorpusNotFound
from pipeline.web import Person, ServeSettings, add_person
from pipeline.web.access import COOKIE_LIFE_S, Access, key_path, own_key
from tests.web.conftest import KEY, serving

OWNER = Person("owner", "labeller")


def test_the_key_is_made_once_and_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    key = own_key()
    assert own_key() == key
    assert len(key) == 32
    assert key_path().stat().st_mode & 0o777 == 0o600
    key_path().chmod(0o640)
    with pytest.raises(ConfigError, match="delete it"):
        own_key()
    key_path().chmod(0o600)
    key_path().write_bytes(b"short")
    with pytest.raises(ConfigError, match="delete it"):
        own_key()


def test_named_tokens(tmp_path: Path) -> None:
    tokens = tmp_path / "people.toml"
    anna, ben = add_person(tokens, "anna", "labeller"), add_person(tokens, "b.en-2", "reader")
    assert tokens.stat().st_mode & 0o777 == 0o600
    assert anna not in tokens.read_text()
    access = Access(KEY, "corpus", OWNER, tokens)
    assert access.person_of_token(anna) == Person("anna", "labeller")
    assert access.person_of_token(ben) == Person("b.en-2", "reader")
    assert access.person_of_token("x") is None
    cookie = access.log_in(anna)
    assert cookie is not None
    assert access.log_in(anna) is not None  # a named token is good for several browsers
    assert Access(KEY, "corpus", OWNER, tokens).person_of_cookie(cookie) == Person("anna", "labeller")
    tokens.write_text(tokens.read_text().replace('"labeller"', '"reader"'))
    os.utime(tokens, ns=(1, 1))
    assert access.person_of_cookie(cookie) == Person("anna", "reader")
    tokens.write_text(re.sub(r'\["anna"\][^\[]*', "", tokens.read_text()))
    os.utime(tokens, ns=(2, 2))
    assert access.person_of_cookie(cookie) is None
    assert access.person_of_token(anna) is None


@pytest.mark.parametrize("text", ["[anna]\nrole = 'king'\nsha256 = '" + "0" * 64 + "'", "[anna]\nrole = 'reader'", "x",
                                  "anna = 3", "[anna]\nrole = 'reader'\nsha256 = 'zz'"])
def test_files_of_tokens_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    tokens = tmp_path / "people.toml"
    tokens.write_text(text)
    tokens.chmod(0o600)
    with pytest.raises(ConfigError, match=re.escape(str(tokens))):
        Access(KEY, "corpus", OWNER, tokens)
    tokens.write_text("")
    tokens.chmod(0o666)
    with pytest.raises(ConfigError, match="others can change it"):
        Access(KEY, "corpus", OWNER, tokens)
    with pytest.raises(ConfigError, match="cannot be read"):
        Access(KEY, "corpus", OWNER, tmp_path / "none")


def test_a_file_of_tokens_that_breaks_later_is_told_in_the_log(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tmp_path / "people.toml"
    add_person(tokens, "anna", "reader")
    with serving(ServeSettings(corpus=corpus, port=0, tokens=tokens)) as served:
        tokens.write_text("[anna")
        answer = served.get("/api/v1/status", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "bad_settings")
    assert str(tmp_path) not in answer.text
    assert f"{tokens}: is no TOML" in caplog.text


@pytest.mark.parametrize("name", ["", "a b", "../x", 'a"]', "-a", "a" * 65, "ä\n"])
def test_names_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="begins with a letter"):
        add_person(tmp_path / "people.toml", name, "reader")
    add_person(tmp_path / "people.toml", "anna", "reader")
    with pytest.raises(ConfigError, match="already"):
        add_person(tmp_path / "people.toml", "anna", "labeller")


def test_a_cookie_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    access = Access(KEY, "corpus", OWNER)
    cookie = access.log_in(access.new_one_time_token())
    assert cookie is not None
    assert access.person_of_cookie(cookie) == OWNER
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + COOKIE_LIFE_S + 2)
    assert access.person_of_cookie(cookie) is None


def test_a_restart_logs_nobody_out(corpus: Path) -> None:
    with serving(ServeSettings(corpus=corpus, port=0)) as first:
        cookie, port = first.client.cookies[first.parts.cookie], first.parts.port
        one = first.get(f"/api/v1/sources/{first.scans[0]}/windows").json()["windows"][0]
        asked = {"window": f"{one['source']}/{one['window']}", "k": 3}
        result_id = first.search(**asked)["id"]
    with serving(ServeSettings(corpus=corpus, port=port)) as second, httpx.Client(base_url=second.address) as browser:
        own = {"Cookie": f"lookalike_{port}={cookie}", "Origin": second.address}
        assert browser.get("/api/v1/status", headers=own).status_code == 200
        forgotten = browser.get(f"/api/v1/searches/{result_id}", headers=own)
        assert forgotten.json()["error"]["code"] == "no_such_search"  # a page asks again by its address, which gives
        assert browser.post("/api/v1/searches", json=asked, headers=own).json()["id"] == result_id  # the same result


def test_names_and_schemes(corpus: Path) -> None:
    local = ServeSettings(corpus=corpus)
    assert local.allowed_hosts(8470) == {"127.0.0.1:8470", "localhost:8470", "[::1]:8470"}
    assert local.scheme_of("localhost:8470") == "http"
    proxied = ServeSettings(corpus=corpus, host="0.0.0.0", behind_proxy=True, names=("Look.example", "localhost:8470"))
    assert {"look.example", "localhost:8470"} <= proxied.allowed_hosts(8470)
    assert proxied.scheme_of("look.example") == "https"
    assert proxied.scheme_of("localhost:8470") == "http"


def certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return cert, key


def start(*options: str | Path, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """Start the command; return the process and its first line."""
    process = subprocess.Popen([sys.executable, "-m", "pipeline", "serve", "--port", "0", *map(str, options)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **environment})
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    return rest + said


def test_the_command(corpus: Path, tmp_path: Path) -> None:
    process, line = start("--corpus", corpus, XDG_CONFIG_HOME=str(tmp_path))
    address = line.removeprefix("open ")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/login\?token=[\w-]{43}", address)
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(address).status_code == 200
        assert browser.get(address.replace(address.partition("/login")[2], "")).status_code == 401
    said = stop(process)
    assert "Traceback" not in said
    assert address.partition("token=")[2] not in said


def test_the_command_with_tls_and_tokens(corpus: Path, tmp_path: Path) -> None:
    tokens, (cert, key) = tmp_path / "people.toml", certificate(tmp_path)
    token = add_person(tokens, "anna", "reader")
    process, line = start("--corpus", corpus, "--tokens", tokens, "--tls-cert", cert, "--tls-key", key, "--name",
                          "localhost", XDG_CONFIG_HOME=str(tmp_path))
    assert re.fullmatch(r"serving https://localhost:\d+", line)
    trusted = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(base_url=line.removeprefix("serving "), verify=trusted) as browser:
        answer = browser.get("/login", params={"token": token})
        assert answer.status_code == 303
        assert "; Secure" in answer.headers["Set-Cookie"]
        assert browser.get("/api/v1/status").json()["person"] == {"name": "anna", "role": "reader"}
    assert token not in stop(process)


@pytest.mark.parametrize(("options", "said"), [
    (["--host", "0.0.0.0"], "must be encrypted"), (["--new-token", "anna"], "needs --tokens"),
    (["--data", "/none"], "is not a folder"), (["--corpus", "/none"], "/none"), (["--deadline", "0"], "--deadline"),
    (["--tls-cert", "/none/c", "--tls-key", "/none/k"], "/none/c"), (["--tokens", "/none/t"], "/none/t")])
def test_commands_that_cannot_be_carried_out(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    corpus_option = [] if "--corpus" in options else ["--corpus", str(corpus)]
    done = CliRunner().invoke(lookalike, ["serve", "--port", "0", *corpus_option, *options])
    assert isinstance(done.exception, SystemExit | ConfigError | CorpusNotFound)
    assert said in (done.output if isinstance(done.exception, SystemExit) else str(done.exception))
