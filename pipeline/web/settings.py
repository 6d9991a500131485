"""What a server is asked to do: which corpus, where it listens, and its limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Addresses that only this machine reaches."""
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names of this machine in addresses."""
MAX_BODY_BYTES = 8 << 20
"""Largest body of a request."""
MAX_HITS = 1000
"""Largest ``k`` of a search."""
MAX_PIXELS = 1 << 22
"""Largest number of pixels of an array that is searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Settings of one server.

    Parameters
    ----------
    corpus : Path
        Folder of the corpus.
    data_roots : tuple of Path
        Folders whose files may be searched for, beside the files of the corpus.
    host : str
        Address to listen at. Other machines can reach the server only if it is not a loopback address.
    port : int
        Port to listen at; 0 for any free one.
    names : tuple of str
        Further names under which browsers may reach the server, as ``NAME`` or ``NAME:PORT``.
    tls_cert, tls_key : Path, optional
        Certificate and key. Demanded if ``host`` is not a loopback address, unless ``behind_proxy``.
    behind_proxy : bool
        A proxy on this machine or in the same container network does the encryption.
    tokens : Path, optional
        File of named tokens (:mod:`pipeline.web.access`).
    report_dir : Path, optional
        Folder of the nightly reports. Default: ``CORPUS-reports`` beside the corpus.
    search_workers, max_queued : int
        Searches that run at once, and searches that may wait.
    deadline_s : float
        Longest time that a search may wait and run, in seconds.
    """

    corpus: Path
    data_roots: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8470
    names: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    tokens: Path | None = None
    report_dir: Path | None = None
    search_workers: int = 2
    max_queued: int = 32
    deadline_s: float = 60.0

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("--tls-cert and --tls-key go together: give both, or neither")
        if self.host not in LOOPBACK and self.tls_cert is None and not self.behind_proxy:
            raise ConfigError(f"--host {self.host}: other machines could reach the page, so it must be encrypted: give "
                              "--tls-cert and --tls-key, or --behind-proxy if a proxy encrypts it")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port must be from 0 to 65535, got {self.port}")
        for name in ("search_workers", "max_queued"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.deadline_s < 86_400:
            raise ConfigError(f"--deadline must be above 0 and below a day, in seconds, got {self.deadline_s:g}")
        for root in self.data_roots:
            if not root.is_dir():
                raise ConfigError(f"--data {root}: is not a folder; name the folder of the files that may be searched "
                                  "for")

    def scheme_of(self, host: str) -> str:
        """Return the scheme by which browsers reach the server under a name: ``https``, or ``http`` on this machine.

        A proxy encrypts what comes from other machines. What comes from this one may come without it.
        """
        is_local = host.rpartition(":")[0] in _LOCAL_NAMES or host in _LOCAL_NAMES
        return "https" if self.tls_cert is not None or (self.behind_proxy and not is_local) else "http"

    @property
    def reports(self) -> Path:
        """Folder of the nightly reports, which may not exist."""
        root = Path(os.path.abspath(self.corpus))
        return self.report_dir or root.with_name(f"{root.name}-reports")

    def allowed_hosts(self, port: int) -> frozenset[str]:
        """Return the values of ``Host`` that requests may have, for the port that the server listens at."""
        own = set(_LOCAL_NAMES) if self.host in LOOPBACK else {
            f"[{self.host}]" if ":" in self.host else self.host}
        standard = 443 if self.tls_cert else 80
        hosts = {f"{name}:{port}" for name in own} | (own if port == standard else set())
        for name in self.names:
            lower = name.lower()
            hosts |= {lower} if ":" in lower else {lower, f"{lower}:{port}"}
        return frozenset(hosts)
