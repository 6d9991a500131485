"""What a hostile page, a hostile file and a hostile client try, and what must come of it: nothing."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from pipeline.errors import ConfigError, CorpusDamaged, CorpusLocked, PipelineError, RunError
from pipeline.search import Corpus
from pipeline.web import Person, ServeSettings, guard, make_app, parts_of, search_body, server
from pipeline.web.access import Access
from pipeline.web.problems import Problem, problem_of
from pipeline.web.search_body import request_of
from tests.web.conftest import KEY, SCRIPT, Served, serving

PAGES = ("/", "/waterfall/{scan}", "/results/{result}", "/families", "/families/1", "/nights", "/hit-table")


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield the methods and addresses of all routes."""
    for one in (*app.router.routes, *(inner for included in app.router.routes
                                      for inner in getattr(getattr(included, "original_router", None), "routes", ()))):
        if isinstance(one, APIRoute):
            yield from ((method, one.path) for method in one.methods)


def raw(served: Served, text: str, wait_s: float = 10.0) -> str:
    """Send bytes as they are, and return what comes until the server closes or ``wait_s`` are over."""
    with socket.create_connection(("127.0.0.1", served.parts.port), timeout=wait_s) as connection:
        connection.sendall(text.encode("latin-1"))
        got = b""
        while piece := connection.recv(65536):
            got += piece
    return got.decode("latin-1")


# --- a page of another site ---

@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1",
                                  "localhost:{port}.evil", "127.0.0.1:{port}@evil", "", "[::1]:1"])
def test_another_name_is_refused(served: Served, host: str) -> None:
    answer = served.get("/api/v1/status", headers={"Host": host.format(port=served.parts.port)})
    assert answer.status_code in (400, 421)
    assert b"windows_kept" not in answer.content


@pytest.mark.parametrize("path", ["/", "/login", "/healthz", "/static/x", "/api/v1/status"])
def test_no_path_answers_under_another_name(served: Served, path: str) -> None:
    assert served.get(path, headers={"Host": "evil.example"}).status_code == 421


def test_two_hosts_or_none_are_refused(served: Served) -> None:
    own = f"Host: 127.0.0.1:{served.parts.port}\r\n"
    for heads in (own + "Host: evil.example\r\n", own + own, ""):
        said = raw(served, f"GET /healthz HTTP/1.1\r\n{heads}Connection: close\r\n\r\n")
        assert " 200 " not in said.split("\r\n")[0], said


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1",
                                    "http://127.0.0.1:1", "http://localhost:{port}", "http://127.0.0.1:{port}.evil",
                                    ""])
@pytest.mark.parametrize("path", ["/api/v1/searches", "/api/v1/generation", "/api/v1/query-rows", "/logout"])
def test_a_foreign_page_cannot_write(served: Served, path: str, origin: str) -> None:
    answer = served.client.post(path, json={}, headers={"Origin": origin.format(port=served.parts.port)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")


def test_a_cookie_without_an_origin_cannot_write(served: Served) -> None:
    answer = served.client.post("/api/v1/searches", json={"window": "x/1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_origin")


def test_no_other_origin_may_read(served: Served) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (served.get("/api/v1/status", headers=headers),
                   served.client.options("/api/v1/searches", headers=headers)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert served.client.options("/api/v1/searches", headers=headers).status_code == 403


def test_every_answer_has_the_headers(served: Served) -> None:
    for path in ("/", "/login", "/healthz", "/static/none", "/api/v1/status", "/api/v1/none", "/api/v1/sources/x"):
        answer = served.get(path)
        for name, value in guard.HEADERS.items():
            assert answer.headers[name] == value, path
    refused = served.get("/", headers={"Host": "evil.example"})
    assert refused.headers["Content-Security-Policy"] == guard.POLICY
    assert "unsafe" not in guard.POLICY
    assert "*" not in guard.POLICY


def test_the_cookie_stays_in_the_browser_and_at_this_site(served: Served) -> None:
    token = served.parts.access.new_one_time_token()
    with httpx.Client(base_url=served.address) as client:
        cookie = client.get("/login", params={"token": token}).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert token not in cookie


# --- who is not logged in ---

def test_nothing_is_shown_to_strangers(served: Served) -> None:
    every = list(routes_of(make_app(served.parts)))
    assert len(every) > 25
    with httpx.Client(base_url=served.address, headers={"Origin": served.address}) as stranger:
        for method, path in every:
            address = path.replace("{level}", "0").replace("{number}", "0").replace("{", "").replace("}", "")
            answer = stranger.request(method, address)
            if path not in ("/login", "/healthz"):
                assert answer.status_code == 401, (method, path)
        for address in ("/api/v1/openapi.json", "/metrics", "/static/../api/v1/status", "/healthz/../api/v1/status",
                        "//api/v1/status", "/static/..%2fapi/v1/status", "/API/v1/status", "/docs"):
            assert raw(served, f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{served.parts.port}\r\n"
                               "Connection: close\r\n\r\n").split(" ")[1] in ("401", "404"), address


@pytest.mark.parametrize("cookie", ["", "x", ".", "a.b", "WyJyb290IiwgImxhYmVsbGVyIiwgOTk5OTk5OTk5OSwgIiJd.00",
                                    "\xff.\xff", "[" * 4000])
def test_forged_cookies_are_refused(served: Served, cookie: str) -> None:
    head = f"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1:{served.parts.port}\r\n"
    said = raw(served, f"{head}Cookie: {served.parts.cookie}={cookie}\r\nConnection: close\r\n\r\n")
    assert said.split(" ")[1] == "401"


def test_a_cookie_of_another_corpus_or_server_is_refused(served: Served, tmp_path: Path) -> None:
    cookie = served.client.cookies[served.parts.cookie]
    assert Access(KEY, "another", Person("a", "labeller")).person_of_cookie(cookie) is None
    own = Access(b"x" * 32, os.path.abspath(served.parts.settings.corpus), Person("a", "labeller"))
    assert own.person_of_cookie(cookie) is None
    text, _, seal = cookie.partition(".")
    assert served.parts.access.person_of_cookie(f"{text}.{seal}") is not None
    assert served.parts.access.person_of_cookie(f"{text}A.{seal}") is None


def test_a_stranger_with_a_browser_is_told_to_log_in(served: Served) -> None:
    with httpx.Client(base_url=served.address) as stranger:
        answer = stranger.get("/waterfall/x", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        assert stranger.get("/api/v1/status", headers={"Accept": "text/html"}).status_code == 401


def test_a_token_logs_in_once(served: Served) -> None:
    token = served.parts.access.new_one_time_token()
    with httpx.Client(base_url=served.address) as client:
        assert client.get("/login", params={"token": token}).status_code == 303
        assert client.get("/login", params={"token": token}).status_code == 401
        assert client.get("/login", params={"token": "x" * 5000}).status_code == 401
        assert client.get("/login").status_code == 401


def test_the_page_must_be_encrypted_off_loopback(corpus: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ConfigError, match="must be encrypted"):
            ServeSettings(corpus=corpus, host=host)
    assert ServeSettings(corpus=corpus).host == "127.0.0.1"
    proxied = ServeSettings(corpus=corpus, host="0.0.0.0", behind_proxy=True, names=("look.example",))
    assert proxied.allowed_hosts(8470) == {"0.0.0.0:8470", "look.example", "look.example:8470"}


# --- ids that are paths ---

TRAVERSALS = ("../../../../etc/passwd", "..\\..\\x", "/etc/passwd", "%2e%2e", "%2e", "\0", "a\0b", "x" * 3000,
              "CURRENT", "*", "GBT", "\u202e", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "~root",
              "{0}", "%s%n", "' OR 1=1", "${jndi:x}")


@pytest.mark.parametrize("path", [
    "/api/v1/sources/{}", "/api/v1/sources/{}/windows", "/api/v1/sources/{}/tiles/0/0", "/api/v1/windows/{}/0.json",
    "/api/v1/windows/{}/0.bin", "/api/v1/windows/{}/0.npy", "/api/v1/windows/{}/0.png", "/api/v1/searches/{}",
    "/api/v1/searches/{}.json", "/api/v1/searches/x.{}", "/api/v1/nights/{}", "/api/v1/nights/{}.html",
    "/api/v1/sources/x/tiles/{}/0", "/api/v1/sources/x/tiles/0/{}", "/api/v1/families/{}", "/static/{}"])
def test_an_id_is_never_a_path(served: Served, path: str) -> None:
    for text in TRAVERSALS:
        answer = served.get(path.format(quote(text, safe="")))
        assert answer.status_code in (307, 400, 404), (text, answer.status_code)
        assert b"root:x:" not in answer.content


def test_the_name_of_a_window_is_never_a_path(served: Served) -> None:
    scan_id = served.scans[0]
    names = [*TRAVERSALS, *(f"{text}/0" for text in TRAVERSALS), *(f"{scan_id}/{text}" for text in (
        "../0", "1e9", "٣", "9" * 5000, "0 ", "+1", "0x1"))]
    for text in names:
        answer = served.get("/api/v1/windows", params={"name": text})
        assert answer.status_code == 200, text
        missing = [text.encode("utf-8", "replace").decode()]
        assert answer.json() == {"windows": [], "missing": missing, "damaged": []}, text
        assert answer.headers["Content-Type"] == "application/json"
    too_many = served.get(f"/api/v1/windows?{'&'.join(['name=x/0'] * 5000)}")
    assert too_many.status_code in (400, 414, 431)


@pytest.mark.parametrize("text", [*TRAVERSALS, "../outside.fil", "link.fil", "sub/../../outside.fil", "{outside}",
                                  "sub"])
def test_files_outside_the_data_roots_are_not_read(corpus: Path, tmp_path: Path, data: Path, text: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.fil"
    (root / "sub").mkdir(parents=True)
    outside.write_bytes(next(data.glob("*.fil")).read_bytes())
    (root / "link.fil").symlink_to(outside)
    parts = parts_of(ServeSettings(corpus=corpus, port=0, data_roots=(root,)), KEY)
    asked = {"file": text.replace("{outside}", str(outside)), "f_start_mhz": 8419.0, "f_stop_mhz": 8419.1}
    if text == "GBT":  # the beginning of two ids
        with pytest.raises(Exception, match="could be any of"):
            request_of(parts.archive, parts.archive.pinned, parts.uploads, asked)
        return
    with pytest.raises(Problem) as caught:
        request_of(parts.archive, parts.archive.pinned, parts.uploads, asked)
    assert caught.value.status == 404
    with pytest.raises(Problem):
        request_of(parts.archive, parts.archive.pinned, parts.uploads, {"like": [f"{asked['file']}:8419-8419.1"]})
    inside = root / "in.fil"
    inside.write_bytes(outside.read_bytes())
    for name in ("in.fil", str(inside), "sub/../in.fil"):
        made = request_of(parts.archive, parts.archive.pinned, parts.uploads, {**asked, "file": name})
        assert str(made.file) == str(inside)
        made = request_of(parts.archive, parts.archive.pinned, parts.uploads, {"like": [f"{name}:8419-8419.1"]})
        assert made.like == (f"{inside}:8419–8419.1",)


# --- bodies ---

def npy(header: str, rest: bytes = b"") -> bytes:
    text = header.encode("latin-1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


class _Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/lookalike-was-here",)


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


HOSTILE = {
    "pickle": saved(np.array([[_Bomb()]], dtype=object)),
    "bare pickle": pickle.dumps(_Bomb()),
    "huge shape": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }", b"\0" * 64),
    "overflowing shape": npy("{'descr': '|i1', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"),
    "negative shape": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4), }", b"\0" * 64),
    "code in the header": npy("__import__('os').mkdir('/tmp/lookalike-was-here')"),
    "deep header": npy("(" * 5000 + ")" * 5000),
    "truncated": saved(np.ones((16, 256)))[:-1],
    "fields": saved(np.zeros((4, 4), dtype=[("a", "f4")])),
    "complex": saved(np.ones((16, 256), complex)),
    "text": saved(np.full((4, 4), "x")),
    "one axis": saved(np.ones(16)),
    "empty array": saved(np.ones((0, 256))),
    "too many pixels": npy("{'descr': '|i1', 'fortran_order': False, 'shape': (4096, 1025), }", b"\0" * 4096 * 1025),
    "empty": b"",
    "rubbish": bytes(range(256)) * 16,
    "zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_arrays_are_refused(served: Served, kind: str) -> None:
    before = len(served.parts.uploads)
    answer = served.post("/api/v1/query-rows", params={"name": "x.npy"}, content=HOSTILE[kind])
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"]["message"]
    assert not Path("/tmp/lookalike-was-here").exists()
    assert len(served.parts.uploads) == before


@pytest.mark.parametrize("name", ["x.exe", "", "../../x.npy.sh", "<script>", "x" * 5000])
def test_files_of_an_unknown_kind_are_refused(served: Served, name: str) -> None:
    for content in (b"x", b"", b"\0" * 100, b"\x00\x00\x00\x00\xff\xff\xff\x7f" * 10, b"\xff\xfe",
                    b"# File ID: x\n" * 50):
        answer = served.post("/api/v1/query-rows", params={"name": name}, content=content)
        assert answer.status_code in (400, 404, 501) or answer.json()["rows"] == []
        assert answer.status_code != 501 or answer.json()["error"]["code"] == "not_installed"  # pycapnp


def test_an_array_without_a_number_is_refused(served: Served) -> None:
    for power in (np.full((16, 256), np.nan), np.zeros((16, 256)), np.full((16, 256), -np.inf)):
        rows = served.post("/api/v1/query-rows", params={"name": "x.npy"}, content=saved(power)).json()["rows"]
        answer = served.post("/api/v1/searches", json=rows[0]["request"])
        assert answer.status_code in (400, 404), answer.text


def test_a_huge_body_is_refused_before_it_is_read(served: Served) -> None:
    head = f"POST /api/v1/query-rows HTTP/1.1\r\nHost: 127.0.0.1:{served.parts.port}\r\nOrigin: {served.address}\r\n" \
           f"Cookie: {served.parts.cookie}={served.client.cookies[served.parts.cookie]}\r\n"
    for length in (guard.MAX_BODY_BYTES + 1, 10**30):
        said = raw(served, f"{head}Content-Length: {length}\r\n\r\n")
        assert said.split(" ")[1] in ("400", "413"), said
    assert raw(served, f"{head}Content-Length: -5\r\n\r\n").split(" ")[1] == "400"
    piece = "10000\r\n" + "x" * 65536 + "\r\n"
    with socket.create_connection(("127.0.0.1", served.parts.port), timeout=20) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sent, got = 0, b""
        try:
            while sent < 4 * guard.MAX_BODY_BYTES:
                connection.sendall(piece.encode())
                sent += 65536
        except OSError:  # the server has closed the connection
            pass
        else:
            pytest.fail("the server took a body of any size")
        try:
            got = connection.recv(65536)
        except OSError:  # the rest that was sent has reset it
            return
        assert got == b"" or b" 413 " in got


@pytest.mark.parametrize("body", ["[" * 100_000, '{"window":' * 5000, '{"k": 1e999, "window": "a/1"}', '{"k": NaN}',
                                  '{"window": "\\ud800/1"}', '{"power": [[1, "x"]]}', '{"power": [[]]}', '"x"', "[]",
                                  '{"power": [[1,2],[3]]}', '{"filters": {"only_mhz": "x"}, "window": "a/1"}',
                                  '{"filters": {"only_file": ["' + "*a" * 2000 + '"]}, "window": "a/1"}',
                                  '{"near_frequency": 1e400, "window": "a/1"}', '{"k": ' + "9" * 5000 + "}",
                                  "\xff\xfe"])
def test_hostile_json_is_refused(served: Served, body: str) -> None:
    answer = served.post("/api/v1/searches", content=body.encode("latin-1"))
    assert answer.status_code in (400, 404, 413), answer.text
    assert answer.json()["error"]["message"]


def test_too_much_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_body, "MAX_PIXELS", 99)
    for asked in ({"window": "a/1", "k": 1001}, {"power": [[1.0] * 10] * 10}):
        answer = served.post("/api/v1/searches", json=asked)
        assert answer.status_code == 400
        assert "at most" in answer.json()["error"]["message"]


# --- slow and many clients ---

def test_slow_clients_are_cut_off(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_WAIT_S", 0.3)
    monkeypatch.setattr(guard, "BODY_WAIT_S", 0.3)
    with serving(ServeSettings(corpus=corpus, port=0)) as served:
        host = f"Host: 127.0.0.1:{served.parts.port}\r\n"
        assert raw(served, "") == ""  # says nothing at all
        assert raw(served, f"GET / HTTP/1.1\r\n{host}X: ") == ""  # never ends its head
        cookie = f"Cookie: {served.parts.cookie}={served.client.cookies[served.parts.cookie]}\r\n"
        said = raw(served, f"POST /api/v1/searches HTTP/1.1\r\n{host}{cookie}Origin: {served.address}\r\n"
                           "Content-Length: 100\r\n\r\n{")
        assert said.split(" ")[1] == "408"
        ok = f"GET /healthz HTTP/1.1\r\n{host}\r\n"
        assert raw(served, f"{ok}GET /hea").count("HTTP/1.1 200") == 1  # a second request that never comes
        with socket.create_connection(("127.0.0.1", served.parts.port), timeout=10) as connection:
            for letter in ok[:40]:
                time.sleep(0.03)
                try:
                    connection.sendall(letter.encode())
                except OSError:
                    break
            assert connection.recv(100) == b""  # one letter at a time does not help
        assert served.get("/healthz").status_code == 200


def test_a_thousand_searches_at_once(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, began = threading.Event(), []
    answer = Corpus.answer

    def slow(self: Corpus, request: Any) -> Any:
        began.append(request)
        go.wait(60)
        return answer(self, request)

    monkeypatch.setattr(Corpus, "answer", slow)
    monkeypatch.setattr("pipeline.web.app.warm_up", lambda *parts: None)
    parts = parts_of(ServeSettings(corpus=corpus, port=8470, search_workers=2, max_queued=10), KEY)
    scan_id = parts.archive.pinned.scans[0]
    window = f"{scan_id}/{parts.archive.pinned.opened.numbers(scan_id)[0]}"

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_app(parts))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8470", timeout=60,
                                     headers={"Origin": "http://127.0.0.1:8470"}) as client:
            await client.get("/login", params={"token": parts.access.new_one_time_token()})
            tasks = [asyncio.create_task(client.post("/api/v1/searches", json={"window": window})) for _ in range(1000)]
            refused: set[Any] = set()
            while len(refused) < 988:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                refused |= done
                await asyncio.sleep(0.01)
            assert (await client.get("/healthz")).status_code == 200  # others are still served
            assert parts.pool.waiting == 10
            go.set()
            answers = await asyncio.gather(*tasks)
            answers.append(await client.post("/api/v1/searches", json={"window": window}))
            return answers

    with ThreadPoolExecutor(1) as thread:  # a browser test before this one may have left a loop in this thread
        answers = thread.submit(asyncio.run, ask()).result()
    codes = [one.status_code for one in answers]
    assert (codes.count(200), codes.count(503)) == (13, 988)
    assert codes[-1] == 200
    refused = next(one for one in answers if one.status_code == 503)
    assert refused.json()["error"]["code"] == "busy"
    assert refused.headers["Retry-After"]
    assert len(began) == 13
    assert parts.pool.waiting == parts.pool.running == 0


def test_a_search_that_waits_too_long_never_runs(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, began = threading.Event(), []

    def stuck(self: Corpus, request: Any) -> Any:
        began.append(request)
        go.wait(60)
        raise AssertionError("its answer is dropped")

    monkeypatch.setattr(Corpus, "answer", stuck)
    monkeypatch.setattr("pipeline.web.app.warm_up", lambda *parts: None)
    with serving(ServeSettings(corpus=corpus, port=0, search_workers=1, max_queued=5, deadline_s=0.3)) as served:
        first = served.post("/api/v1/searches", json={"window": "a/1"})
        second = served.post("/api/v1/searches", json={"window": "a/2"})
        assert [one.status_code for one in (first, second)] == [504, 504]
        assert first.json()["error"]["code"] == "too_slow"
        go.set()
        while served.parts.pool.running:
            time.sleep(0.01)
        assert [one.window for one in began] == ["a/1"]


# --- what is written, and where ---

def test_logs_hold_no_tokens_and_no_queries(corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(ServeSettings(corpus=corpus, port=0)) as served:
        token = served.parts.access.new_one_time_token()
        served.get("/login", params={"token": token})
        served.get("/login", params={"token": "SECRET1"})
        served.get("/api/v1/status", headers={"Authorization": "Bearer SECRET2"})
        served.get("/api/v1/sources", params={"q": "SECRET3"})
        served.post("/api/v1/searches", json={"window": "SECRET4/1"})
        served.get("/api/v1/sources/SECRET5")
        served.get("/SECRET6")
        served.post("/api/v1/query-rows", params={"name": "SECRET7.npy"}, content=b"SECRET8")
        cookie = served.client.cookies[served.parts.cookie]
        metrics = served.get("/metrics").text
    said = "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith("http"))
    assert "GET /api/v1/sources 200" in said  # there is a log at all
    for text in (said, metrics):
        assert "SECRET" not in text
        assert token not in text
        assert cookie not in text


def test_an_unexpected_fault_shows_no_detail(corpus: Path, monkeypatch: pytest.MonkeyPatch,
                                             caplog: pytest.LogCaptureFixture) -> None:
    def broken(self: Corpus, request: Any) -> Any:
        raise RuntimeError(request.window)

    monkeypatch.setattr(Corpus, "answer", broken)
    monkeypatch.setattr("pipeline.web.app.warm_up", lambda *parts: None)
    with serving(ServeSettings(corpus=corpus, port=0)) as served:
        answer = served.post("/api/v1/searches", json={"window": "SECRET/1"})
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "failed"
        assert "SECRET" not in answer.text + caplog.text
        assert "RuntimeError" in caplog.text
        assert answer.headers["Content-Security-Policy"] == guard.POLICY
        assert served.get("/api/v1/status").status_code == 200


def test_nothing_in_the_corpus_changes(corpus: Path, served: Served) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(corpus.rglob("*"))}

    before = state()
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    window = f"{one['source']}/{one['window']}"
    served.search(window=window, rerank=True, on_off=True)
    for path in ("/", "/api/v1/status", "/api/v1/sources", "/metrics", "/healthz", f"/api/v1/windows/{window}.png",
                 f"/api/v1/sources/{served.scans[0]}/tiles/-4/0", "/api/v1/sessions", "/api/v1/nights"):
        assert served.get(path).status_code == 200
    assert state() == before


# --- script in names ---

@pytest.mark.parametrize("path", PAGES)
def test_names_are_never_script_on_a_page(served: Served, path: str) -> None:
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    result = served.search(window=f"{one['source']}/{one['window']}")["id"]
    filled = path.format(scan=served.scans[0], result=result)
    for address in (filled, f"{filled}?q={quote(SCRIPT)}", path.format(scan=quote(SCRIPT, safe=""),
                                                                      result=quote(SCRIPT, safe=""))):
        page = served.get(address, headers={"Accept": "text/html"})
        assert page.headers["Content-Type"].startswith("text/html")
        assert SCRIPT not in page.text
        assert "<img src=x" not in page.text


def test_names_are_never_script_elsewhere(served: Served) -> None:
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    answer = served.search(window=f"{one['source']}/{one['window']}")
    assert SCRIPT in json.dumps(answer)  # as it is: the page must show it as text
    exported = served.get(f"/api/v1/searches/{answer['id']}.html")
    assert SCRIPT not in exported.text
    assert "<img src=x onerror" not in exported.text
    assert exported.headers["Content-Disposition"].startswith("attachment")
    missing = served.get(f"/api/v1/sources/{quote(SCRIPT, safe='')}")
    assert missing.headers["Content-Type"] == "application/json"
    assert served.get("/login", params={"token": SCRIPT}).text.count(SCRIPT) == 0


def test_settings_that_cannot_be_used(corpus: Path, tmp_path: Path) -> None:
    good = ServeSettings(corpus=corpus)
    for changes in ({"tls_cert": tmp_path}, {"port": 65536}, {"search_workers": 0}, {"max_queued": 0},
                    {"deadline_s": 0.0}, {"data_roots": (tmp_path / "none",)}):
        with pytest.raises(ConfigError):
            replace(good, **changes)


@pytest.mark.parametrize(("error", "status", "code"), [
    (RunError("the cluster has no workers to search on"), 503, "no_cluster"),
    (CorpusDamaged("sources/x: array windows/cutout is altered"), 500, "corpus_damaged"),
    (CorpusLocked("labels.lock"), 503, "busy"),
    (PipelineError("something else"), 500, "failed"),
])
def test_an_error_of_the_package_says_who_can_do_what(error: PipelineError, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code, problem.message) == (status, code, str(error))
    assert problem.hint or code == "failed"


@pytest.mark.parametrize("level", ["-" + 25 * "9", 25 * "9", "-100000000", "100", "99"])
def test_a_level_of_any_size_is_refused_at_once(served: Served, level: str) -> None:
    """Four to the power of such a number would fill the memory, while nothing else is answered."""
    answer = served.get(f"/api/v1/sources/{served.scans[0]}/tiles/{level}/0", timeout=20)
    assert answer.status_code in (400, 404)
    assert served.get("/healthz", timeout=20).status_code == 200
