"""A reader asks for everything that there is, and must not learn where the files of the server lie."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pyarrow import parquet

from pipeline.nightly import nightly
from pipeline.run import find_families
from pipeline.web import ServeSettings, add_person, make_app
from pipeline.web.short_paths import ShortPaths, shortener
from tests.web.conftest import FILES, LINES, Served, serving
from tests.web.test_attacks import routes_of

PAGES = ("/", "/waterfall/{scan}", "/results/{result}", "/results", "/families", "/families/F1", "/nights",
         "/nights/{night}", "/hit-table")


@dataclass
class Reader:
    """A reader, and what of the server a reader must not learn."""

    served: Served
    client: httpx.Client
    secret: Path
    ids: dict[str, str]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request. Fail if the answer tells where anything lies."""
        answer = self.client.request(method, path.format_map(self.ids), **more)
        texts = [answer.text, json.dumps(dict(answer.headers))]
        if answer.headers.get("content-type", "").endswith("json"):
            texts.append(json.dumps(answer.json(), ensure_ascii=False))  # a sign may be an escape in the answer
        if "parquet" in answer.headers.get("content-type", ""):
            table = parquet.read_table(io.BytesIO(answer.content))
            texts += [repr(table.to_pylist()), repr(table.schema.metadata)]
        for text in texts:
            for place in (str(self.secret), self.secret.name, str(self.secret.parent)):
                assert place not in text, (method, path, text[max(0, text.index(place) - 200):][:400])
        return answer

    def search(self, **asked: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/api/v1/searches", json=asked)
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record


@pytest.fixture(scope="module")
def reader(corpus: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader of a corpus with families and a night, whose files lie in two folders of data and elsewhere."""
    secret = tmp_path_factory.mktemp("the secret & its place")
    root, tokens = secret / "corpus", secret / "people.toml"
    shutil.copytree(corpus, root)
    for folder in ("disk/a", "disk/b", "aside"):
        (secret / folder).mkdir(parents=True)
        shutil.copy(data / FILES[1], secret / folder / "same.fil")
    shutil.copy(data / FILES[0], secret / "disk/a")
    (secret / "disk/a/only.fil").write_bytes((data / FILES[1]).read_bytes()[:-7])
    night = nightly([secret / "disk", secret / "aside"], root, min_age_s=0, serial=True)
    find_families(root)
    headers = {"Authorization": f"Bearer {add_person(tokens, 'ben', 'reader')}"}
    settings = ServeSettings(corpus=root, port=0, tokens=tokens, data_roots=(secret / "disk/a", secret / "disk/b"))
    with serving(settings) as served, httpx.Client(base_url=served.address, headers=headers, timeout=60) as client:
        one = served.get(f"/api/v1/sources/{served.scans[1]}/windows").json()["windows"][0]
        ids = {"scan": served.scans[1], "source": one["source"], "number": str(one["window"]), "family": "F1",
               "night": night.files["json"].stem}
        yield Reader(served, client, secret, ids)


def power_file() -> bytes:
    power, file = np.random.default_rng(1).gamma(102, 1 / 102, (16, 256)), io.BytesIO()
    power[:, 100] += 3
    np.save(file, power)
    return file.getvalue()


def test_no_answer_tells_where_files_lie(reader: Reader) -> None:
    window = reader.ids["source"] + "/" + reader.ids["number"]
    found = reader.search(window=window, on_off=True, rerank=True)
    plain = reader.search(window=window)
    refined = reader.ask("POST", f"/api/v1/searches/{plain['id']}/feedback", json={"like": [window]}).json()
    rows = reader.ask("POST", "/api/v1/query-rows", params={"name": "x.csv"}, content=b"f_mhz,drift\n1,0\n").json()
    reader.ids |= {"result": found["id"], "refined": refined["id"], "table": rows.get("table", "x"), "picture": "x"}
    api = "/api/v1"
    asked: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "GET /login": [("/login", {})], "GET /healthz": [("/healthz", {})], "GET /metrics": [("/metrics", {})],
        f"GET {api}/status": [(f"{api}/status", {})],
        f"POST {api}/generation": [(f"{api}/generation", {"json": {"generation": 1}}),
                                   (f"{api}/generation", {"json": {"generation": 10_000}})],
        f"GET {api}/searches/{{result_id}}.{{form}}": [
            (f"{api}/searches/{{{which}}}.{form}", {}) for which in ("result", "refined")
            for form in ("json", "csv", "vot", "parquet", "html", "png", "svg", "exe")],
        f"GET {api}/windows": [(f"{api}/windows", {"params": {"name": window}})],
        f"PUT {api}/labels": [(f"{api}/labels", {"json": {}})],
        f"GET {api}/sources/{{source_id}}/tiles/{{level}}/{{number}}": [
            (f"{api}/sources/{{scan}}/tiles/{level}/0", {}) for level in (-1, 0, 99)],
        f"POST {api}/query-rows": [
            (f"{api}/query-rows", {"params": {"name": name}, "content": content})
            for name, content in (("x.npy", power_file()), ("x.png", b"\x89PNG"), ("x.dat", b"x"))],
    }
    names = {"{source_id}": ("{scan}", "none"), "{number}": ("{number}", "999999"), "{result_id}": ("{result}", "none"),
             "{family_id}": ("{family}", "F999"), "{name}": ("{night}", "1999-01-01"),
             "{form}": ("json", "html"),
             "{table_id}": ("{table}", "none"), "{picture_id}": ("{picture}", "none")}
    every = {f"{method} {path}" for method, path in routes_of(make_app(reader.served.parts)) if method != "HEAD"}
    good = 0
    for route in sorted(every):
        method, _, path = route.partition(" ")
        if route not in asked:
            filled = [path, path]
            for name, values in names.items():
                filled = [one.replace(name, value) for one, value in zip(filled, values, strict=True)]
            asked[route] = [(one, {"json": {"rows": [1], "like": [window]}} if method == "POST" else {})
                            for one in filled]
        for one, more in asked[route]:
            if path != "/logout":
                good += reader.ask(method, one, **more).status_code == 200
    assert good > 40, good
    for page in PAGES:
        reader.ask("GET", page, headers={"Accept": "text/html"})


def test_files_are_named_by_their_path_below_a_folder_of_data(reader: Reader) -> None:
    hits = reader.search(window=f"{reader.ids['source']}/{reader.ids['number']}")["hits"]
    assert {one["file"] for one in hits} <= {*FILES, "same.fil"}
    assert {path for one in hits for path in one["also_at"]} >= {"same.fil", FILES[0]}


def test_a_short_path_names_the_file_again(reader: Reader) -> None:
    header = reader.served.parts.archive.pinned.opened.manifest.sources[reader.ids["scan"]].header
    low, high = (header.channel_edge_mhz(LINES[3] + offset) for offset in (-100, 90))
    asked = {"f_start_mhz": low, "f_stop_mhz": high}
    found = reader.search(file="same.fil", **asked)
    assert found["query"]["source"] == reader.ids["scan"]
    assert found["hits"] == reader.search(file=reader.ids["scan"], **asked)["hits"]


@pytest.mark.parametrize("name", ["only.fil", "../b/same.fil", "none.fil", "../aside/same.fil", "{secret}/people.toml",
                                  "{secret}/aside/same.fil", "{secret}/disk/a/only.fil"])
def test_errors_about_files_do_not_tell_where_they_lie(reader: Reader, name: str) -> None:
    sent = name.format(secret=reader.secret)
    answer = reader.client.post("/api/v1/searches", json={"file": sent, "f_start_mhz": 1.0, "f_stop_mhz": 2.0})
    assert answer.status_code in (400, 404, 409), answer.text
    assert str(reader.secret) not in answer.text.replace(sent, ""), answer.text


@pytest.mark.parametrize(("filter_", "pattern"), [
    ("only_file", "{secret}/*"), ("only_file", "/*"), ("only_file", "*{name}*"), ("not_file", "*{name}*"),
    ("only_file", "*/aside/*"), ("only_file", "disk/a/same.fil")])
def test_no_pattern_tells_where_files_lie(reader: Reader, filter_: str, pattern: str) -> None:
    """A pattern that is true of folders would tell their names, one character after the other."""
    asked = {filter_: [pattern.format(secret=reader.secret, name=reader.secret.name[:6])]}
    body = {"window": f"{reader.ids['source']}/{reader.ids['number']}", "filters": asked}
    answer = reader.client.post("/api/v1/searches", json=body)
    assert answer.status_code == 400, answer.text
    assert "no source has this path" in answer.json()["error"]["message"]


def test_a_pattern_is_true_of_short_paths(reader: Reader) -> None:
    window = f"{reader.ids['source']}/{reader.ids['number']}"
    assert reader.search(window=window, filters={"only_file": ["same.*"]})["hits"]
    assert reader.search(window=window, filters={"only_file": [reader.ids["scan"]]})["hits"]


@pytest.mark.parametrize("root", ["corpus", ".", "../{name}/corpus", "link", "./corpus"])
def test_a_relative_corpus_is_named_by_its_folder(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  root: str) -> None:
    """Words that hold its path, such as ``my.corpus``, are no paths."""
    shutil.copytree(corpus, tmp_path / "corpus")
    (tmp_path / "link").symlink_to("corpus")
    monkeypatch.chdir(tmp_path / "corpus" if root == "." else tmp_path)
    with serving(ServeSettings(corpus=Path(root.format(name=tmp_path.name)), port=0)) as served:
        for name in ("xcorpus", "my.corpus-1", "1.5", "alink.x"):
            answer = served.get(f"/api/v1/sources/{name}").json()["error"]["message"]
            assert answer.startswith(f"{name}: "), answer
        found = served.post("/api/v1/searches", json={"file": "a.h5", "f_start_mhz": 1, "f_stop_mhz": 2}).text
        assert tmp_path.name not in found
        assert served.get("/api/v1/status").json()["corpus"] == ("link" if root == "link" else "corpus")


def test_a_path_of_two_folders_of_data_names_no_file(data: Path, corpus: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "in").mkdir(parents=True)
        shutil.copy(data / FILES[1], tmp_path / folder / "in" / f"{folder}.fil")
        shutil.copy(data / FILES[1], tmp_path / folder / "in" / "both.fil")
    asked = {"f_start_mhz": 1.0, "f_stop_mhz": 2.0}
    with serving(ServeSettings(corpus=corpus, port=0, data_roots=(tmp_path / "a", tmp_path / "b"))) as served:
        several = served.post("/api/v1/searches", json={"file": "in/both.fil", **asked}).json()["error"]
        assert several["code"] == "several_files"
        one = served.post("/api/v1/searches", json={"file": "in/b.fil", **asked}).json()["error"]
        assert "not within the band of in/b.fil" in one["message"]  # so it was read


@pytest.mark.parametrize(("path", "short"), [
    ("/data/night/a.fil", "night/a.fil"), ("/data/night 2/b/a.fil", "b/a.fil"), ("/database/a.fil", "a.fil"),
    ("/x/y.h5", "y.h5"), ("a.h5", "a.h5")])
def test_short_paths(path: str, short: str) -> None:
    assert ShortPaths([Path("/data"), Path("/data/night 2/")]).of_file(path) == short


@pytest.mark.parametrize(("text", "short"), [
    ("the corpus lies in /data/o'brien.", "the corpus lies in o'brien."),
    ("--corpus '/data/o'\"'\"'brien' --window", "--corpus 'o'\"'\"'brien' --window"),
    ("/data/night 2/b/a.fil: no", "b/a.fil: no"), ("/data/night/b/a.fil", "b/a.fil"),
    ("/data/night, too", "night, too"),
    ("/data/night.old", "/data/night.old"), ("3 Hz/data/night", "3 Hz/data/night"), ("/x/a(b/c.h5", "c.h5"),
    ("['/x/new\\nline/c.h5']", "['c.h5']"), ("/e/back\\\\slash/c.h5", "c.h5")])
def test_texts_without_folders(text: str, short: str) -> None:
    shorten = shortener(["/data/night", "/data/night 2/", "/data/o'brien"],
                        ["/x/a(b", "/x/new\nline", "/e/back\\slash"])
    assert shorten(text) == short
