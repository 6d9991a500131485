"""A corpus with names that hold script and lines at known channels, and a real server on it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pipeline.config import Config
from pipeline.filterbank import write_filterbank
from pipeline.model import Header
from pipeline.run import ingest
from pipeline.web import Parts, ServeSettings, parts_of
from pipeline.web.server import server_of
from tests.run.small import COARSE, ENCODER, N_COARSE, SCAN, header

SCRIPT = "<script>alert(1)</script>"
"""Name of the target of every scan."""
FILES = (os.fsdecode(b"up\xff<img src=x onerror=alert(1)>.h5"), "down.fil")
"""The first file ascends in frequency, the second one descends. The name of the first one is not UTF-8."""
LINES = (700, 3000, 5001, 9555, 12_345, 16_000)
"""Ascending channels of narrow lines that do not drift, the strongest of each quarter of the band first."""
KEY = b"k" * 32


def scan_with_lines(scan_no: int, foff_mhz: float) -> tuple[np.ndarray, Header]:
    """Return power, channels ascending, and the header. Line k has a power of 2 + k over the noise."""
    like = header(scan_no, source_name=SCRIPT)
    rng = np.random.default_rng(scan_no)
    power = rng.gamma(102, 1 / 102, (like.nsamples, like.nchans))
    for k, channel in enumerate(LINES):
        power[:, channel] += 2 + k
    return power.astype(np.float32), replace(like, foff_mhz=foff_mhz)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the two files of the corpus. Tests must not change it."""
    folder = tmp_path_factory.mktemp("web") / "data"
    folder.mkdir()
    for scan_no, (name, sign) in enumerate(zip(FILES, (1, -1), strict=True)):
        power, like = scan_with_lines(scan_no, sign * 2.7939677238464355e-06)
        write_filterbank(folder / name, power, like)
    return folder


@pytest.fixture(scope="session")
def corpus(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus. Tests must not change it."""
    root = tmp_path_factory.mktemp("web") / "corpus"
    report = ingest([data], root, config=Config(scan=replace(SCAN, views=("f4",)), encoder=ENCODER), serial=True,
                    add_overview=True)
    assert [one.status for one in report.reports] == ["done", "done"]
    return root


def dat(mjd: float, *f_mhz: float) -> str:
    """Return a table of turboSETI with hits at some frequencies in the scan of ``down.fil``."""
    names = "Top_Hit_#\tDrift_Rate\tSNR\tUncorrected_Frequency\tCorrected_Frequency\tIndex\tfreq_start\tfreq_end\t" \
            "SEFD\tSEFD_freq\tCoarse_Channel_Number\tFull_number_of_hits"
    rows = "".join("\t".join(f"{one}" for one in (1, 0.0, 30.0, f, f, 0, f, f, 0.0, 0.0, 0, 1)) + "\n" for f in f_mhz)
    return f"# ----\n# File ID: down.fil\n# ----\n# Source:x\n# MJD: {mjd:.12f}\tRA: 1\tDEC: 2\n" \
           f"# DELTAT: 18.253611\tDELTAF(Hz): 2.79\tmax_drift_rate: 4\tobs_length: 292.06\n# ----\n# {names}\n" \
           f"# ----\n{rows}"


@dataclass
class Served:
    """A server that runs in a thread."""

    parts: Parts
    client: httpx.Client
    """Logged in with the cookie of the owner. It sends no ``Origin``."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.parts.port}"

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """Send a request as a page of the server does."""
        return self.client.post(path, **{"headers": {"Origin": self.address}, **more})

    def search(self, **asked: Any) -> dict[str, Any]:
        answer = self.post("/api/v1/searches", json=asked)
        assert answer.status_code == 200, answer.text
        record = answer.json()
        assert isinstance(record, dict)
        return record

    @property
    def scans(self) -> list[str]:
        """Id of the scan that ascends, and of the one that descends."""
        found = {one["file"]: one["id"] for one in self.get("/api/v1/sources").json()["sources"]}
        return [found[name] for name in FILES]


@contextmanager
def serving(settings: ServeSettings) -> Iterator[Served]:
    """Run a server at a free port, and log in."""
    parts = parts_of(settings, KEY)
    server, listener = server_of(parts)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{parts.port}", timeout=60) as client:
            token = parts.access.new_one_time_token()
            assert client.get("/login", params={"token": token}).status_code == 303
            yield Served(parts, client)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def served(corpus: Path, data: Path) -> Iterator[Served]:
    """A server that all tests share. They must not move its generation."""
    with serving(ServeSettings(corpus=corpus, port=0, data_roots=(data,))) as one:
        yield one


HIGH_SPECTRA = 299
BURSTS = (0, 40, 41, 155, 290, 298)
"""Spectra of the high scan with a burst."""
BURST_CHANNELS = (3500, 3516)
"""First of its channels with the bursts, and the one after the last."""


@pytest.fixture(scope="session")
def high(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with one scan of many spectra and of few channels. Rows of its overview have five spectra."""
    folder = tmp_path_factory.mktemp("high")
    like = header(9, nsamples=HIGH_SPECTRA, nchans=2 * COARSE, tsamp_s=1.5)
    power = np.random.default_rng(9).gamma(102, 1 / 102, (like.nsamples, like.nchans))
    power[list(BURSTS), BURST_CHANNELS[0] : BURST_CHANNELS[1]] += 6
    write_filterbank(folder / "high.fil", power.astype(np.float32), like)
    ingest([folder / "high.fil"], folder / "corpus", config=Config(scan=replace(SCAN, overview=True), encoder=ENCODER),
           serial=True)
    with serving(ServeSettings(corpus=folder / "corpus", port=0)) as one:
        yield one


assert LINES[-1] < COARSE * N_COARSE
