"""What a corpus is made with, and how a run is carried out.

``corpus.toml`` in the corpus folder has two halves. ``[scan]`` and ``[encoder]`` are *identity*: they decide what is
in the corpus and are compared on every reopening. ``[scan]`` cannot change; another ``[encoder]`` can be named once
``lookalike embed`` has made its vectors. ``[index]`` and ``[nightly]`` are *circumstance*: any run may set them anew.
Flags beat the file, the file beats the defaults.

Where and how code runs, ``[run]``, is said by the user alone, never by a corpus, which may be somebody else's: flags
beat the environment, that beats the user's own file (:mod:`pipeline.user_settings`), and that the defaults.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pipeline.errors import ConfigError
from pipeline.model import Precision, WindowGrid
from pipeline.tables import as_toml, laid_over, read_tables, types_of
from pipeline.user_settings import PREFIX, RUN, of_environment, of_user_file, user_file

CONFIG_FILE = "corpus.toml"
CUTOUT_VERSION = 1
"""Version of the cutouts' format (:mod:`pipeline.cutouts`) and of the statistics stored with them."""


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """Which windows are cut and which of them are kept. Identity."""

    window: int = 256
    """Fine channels a window."""
    step: int = 256
    """Fine channels from window to window. Where ``corpus.toml`` or flags give a window alone, its width."""
    integrations: int = 16
    """Spectra a window."""
    window_is_given: bool = False
    """True where the user chose the window: only then may it be wider than the coarse channels of a product."""
    false_alarm: float = 0.001
    """Share of pure-noise windows the gate lets pass, all its statistics together."""
    keep_all: bool = False
    """Keep every window, signal or not."""
    f_start_mhz: float | None = None
    """Only windows wholly above this frequency."""
    f_stop_mhz: float | None = None
    """Only windows wholly below this frequency."""
    coarse_width: int | None = None
    """Fine channels a coarse channel, where it is known better than the files tell."""
    polarisation: int = 0
    """Which product of a file with several; 0 is total power."""

    def __post_init__(self) -> None:
        if min(self.window, self.step, self.integrations) < 1:
            raise ConfigError(f"window, step and integrations must be at least 1, got {self.window}, {self.step}, "
                              f"{self.integrations}")
        if not 0 < self.false_alarm < 0.5:
            raise ConfigError(f"false_alarm must lie between 0 and 0.5, got {self.false_alarm}")
        if self.f_start_mhz is not None and self.f_stop_mhz is not None and self.f_start_mhz >= self.f_stop_mhz:
            raise ConfigError(f"f_start_mhz {self.f_start_mhz} must be below f_stop_mhz {self.f_stop_mhz}")
        if self.coarse_width is not None and self.coarse_width < 1:
            raise ConfigError(f"coarse_width must be at least 1, got {self.coarse_width}")
        if self.polarisation < 0:
            raise ConfigError(f"polarisation must be 0 or more, got {self.polarisation}")

    @property
    def grid(self) -> WindowGrid:
        """The window grid these settings describe."""
        return WindowGrid(self.window, self.step, self.integrations)


PRECISIONS = ("auto", *get_args(Precision))
"""What a network may be told to compute with."""


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Which encoder makes the corpus' vectors. Identity (by the weights' digest, not by their path)."""

    name: str = "spectral"
    weights: str = ""
    """A local weights file, for encoders that have weights."""
    precision: str = "float32"
    """One of :data:`PRECISIONS`. Each makes other vectors, with a key and a tolerance of their own. ``auto`` is the
    fastest on the machine that starts a run; a run settles it once, and nothing it writes says ``auto``."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if any("\ud800" <= letter <= "\udfff" for letter in self.name + self.weights):
            raise ConfigError(f"weights {self.weights!r} is no UTF-8 path and cannot be written down; rename the file")


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """How segments are built. Circumstance."""

    exact_below: int = 20_000
    """Fewer vectors than this are scanned exactly: a graph would not be faster."""
    segment_vectors: int = 1_000_000
    """Most vectors a segment."""
    compact: bool = True
    """Join segments of about one size, and build anew those of which much was removed."""
    routed_from: int = 100_000_000
    """So many vectors together become one routed segment: they are divided into cells of what is alike, about half as
    large as a segment, and a search asks those near its query. Fewer are asked sooner than routed."""

    def __post_init__(self) -> None:
        if self.exact_below < 0 or min(self.segment_vectors, self.routed_from) < 1:
            raise ConfigError(f"exact_below must be 0 or more, segment_vectors and routed_from at least 1, got "
                              f"{self.exact_below}, {self.segment_vectors}, {self.routed_from}")


EmbedOn = Literal["auto", "gpu", "cpu"]
ClusterKind = Literal["local", "ssh", "slurm", "kubernetes"]


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How a run is carried out. The user's own: a ``corpus.toml`` may not say it."""

    scheduler: str = ""
    """Address of a running Dask scheduler; empty for a cluster of the run's own."""
    cluster: ClusterKind = "local"
    """Where a run without ``scheduler`` starts its own cluster."""
    cluster_config: str = ""
    """File that says what to start, for all but ``local``."""
    tls_ca: str = ""
    """Authority whose certificates are trusted; where all three are empty, Dask's own configuration says so."""
    tls_cert: str = ""
    """This machine's certificate."""
    tls_key: str = ""
    """Its key."""
    insecure: bool = False
    """Allow a scheduler without TLS, on this machine, too: who reaches it can run code on its workers."""
    workers: int = 0
    """Worker processes of the embedded cluster; 0 for one a core."""
    worker_memory_gb: float = 2.0
    """Bound on each embedded worker process."""
    embed_on: EmbedOn = "auto"
    """``gpu``: only workers that offer the resource GPU; ``auto``: those, where there are any."""
    resource_wait_s: float = 30.0
    """How long to wait for workers, or for a resource, that nobody offers."""
    scheduler_wait_s: float = 300.0
    """How long to wait for a scheduler that has gone to come back."""
    task_timeout_s: float = 1800.0
    """A worker is ended that has been at one task for longer; 0 for no limit. Graphs may take as long as they take."""
    in_flight: int = 3
    """Tasks submitted a worker thread: enough to keep it busy, few enough to keep the scheduler small."""
    retries: int = 2
    """Further attempts for a task that fails for no fault of its source."""

    def __post_init__(self) -> None:
        if self.embed_on not in ("auto", "gpu", "cpu"):
            raise ConfigError(f"embed_on must be auto, gpu or cpu, got {self.embed_on!r}")
        if self.cluster not in get_args(ClusterKind):
            raise ConfigError(f"cluster must be one of {', '.join(get_args(ClusterKind))}, got {self.cluster!r}")
        if len({bool(path) for path in (self.tls_ca, self.tls_cert, self.tls_key)}) > 1:
            raise ConfigError("tls_ca, tls_cert and tls_key are given together or not at all")
        if self.workers < 0 or self.in_flight < 1 or self.retries < 0:
            raise ConfigError("workers and retries must be 0 or more, in_flight at least 1")
        if self.worker_memory_gb <= 0:
            raise ConfigError("worker_memory_gb must be positive")
        if min(self.resource_wait_s, self.scheduler_wait_s, self.task_timeout_s) < 0:
            raise ConfigError("resource_wait_s, scheduler_wait_s and task_timeout_s must be 0 or more")


@dataclass(frozen=True, slots=True)
class NightlyConfig:
    """What a nightly run tries again, and what it calls new. Circumstance."""

    tries: int = 6
    """A file that failed so often is left alone until it changes. Between tries it rests 1, 2, 4, 8 … nights."""
    verify: float = 0.03
    """Share of the corpus that is compared with its digests, another one each night; 0 for nothing."""
    novel_share: float = 0.01
    """A window is novel whose nearest earlier one scores less than this share of earlier windows' nearest others do."""
    least_earlier: int = 500
    """With fewer earlier windows of a resolution, nothing is said about what is new."""

    def __post_init__(self) -> None:
        if self.tries < 1 or not 0 <= self.verify <= 1:
            raise ConfigError(f"tries must be at least 1 and verify a share from 0 to 1, got {self.tries}, "
                              f"{self.verify}")
        if not 0 < self.novel_share < 0.5 or self.least_earlier < 2:
            raise ConfigError(f"novel_share must lie between 0 and 0.5 and least_earlier be at least 2, got "
                              f"{self.novel_share}, {self.least_earlier}")


@dataclass(frozen=True, slots=True)
class Config:
    """The tables of ``corpus.toml``, and what the user says of runs."""

    scan: ScanConfig = field(default_factory=ScanConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    run: RunConfig = field(default_factory=RunConfig)
    nightly: NightlyConfig = field(default_factory=NightlyConfig)

    @classmethod
    def load(cls, corpus: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Read ``corpus.toml`` if the folder has one, and what the user says; then lay ``overrides`` over both.

        ``[run]`` is read from the user's own ``$XDG_CONFIG_HOME/lookalike/config.toml`` (``~/.config/…``), then from
        the environment: ``LOOKALIKE_RUN_SCHEDULER``, and so on for every key of :class:`RunConfig`. ``overrides`` are
        table → key → value; values of ``None`` mean "flag not given". Unknown tables and keys raise
        :class:`ConfigError`, and so does a ``corpus.toml`` that says how runs are carried out.
        """
        return cls.of_corpus(corpus)._as_user_says().override(overrides or {})

    @classmethod
    def of_user(cls) -> Self:
        """Return the defaults, and what the user says of runs."""
        return cls()._as_user_says()

    @classmethod
    def of_corpus(cls, corpus: Path) -> Self:
        """Read ``corpus.toml`` alone, if the folder has one. Of runs it may say what is the default, and nothing else.

        Every corpus had a whole table ``[run]`` once.
        """
        path = corpus / CONFIG_FILE
        tables = read_tables(path)
        _refuse_run(path, _not_default(tables.pop(RUN, {}), f"{path} [{RUN}]"))
        return cls()._with(tables, f"{path} ")

    def override(self, overrides: Mapping[str, Mapping[str, Any]]) -> Self:
        """Lay given values (not ``None``) over this configuration."""
        given = {table: {k: v for k, v in keys.items() if v is not None} for table, keys in overrides.items()}
        return self._with(given, "flags ")

    def _as_user_says(self) -> Self:
        with_file = self._with({RUN: of_user_file()}, f"{user_file()} ")
        return with_file._with({RUN: of_environment(types_of(self.run))}, f"environment ({PREFIX}…) ")

    def _with(self, tables: Mapping[str, Any], origin: str) -> Self:
        """Lay ``tables`` over this configuration, rejecting unknown names, wrong types and impossible values."""
        known = [f.name for f in fields(self)]
        if unknown := sorted(set(tables) - set(known)):
            raise ConfigError(f"{origin}[{unknown[0]}]: unknown table; known: {', '.join(known)}")
        tables = {**tables, "scan": _window_alone(self.scan, tables["scan"])} if "scan" in tables else tables
        tables = {**tables, RUN: _cluster_alone(tables[RUN])} if RUN in tables else tables
        return replace(self, **{table: laid_over(getattr(self, table), keys, f"{origin}[{table}]")
                                for table, keys in tables.items()})

    def identity(self) -> dict[str, Any]:
        """What decides which windows a corpus holds, and how: compared on every reopening."""
        scan = asdict(self.scan)
        del scan["window_is_given"]  # says who chose the window, not which
        return {"scan": scan, "cutout_version": CUTOUT_VERSION}

    def to_toml(self) -> str:
        """The file that :meth:`of_corpus` reads back to an equal configuration, but for what the user says of runs."""
        lines = ["# Written when the corpus was made. [scan] says which windows it holds and cannot change.",
                 "# [encoder] is the one whose vectors ingest makes and search compares. Another, or another precision",
                 "# (float32, bfloat16, float16), may be named here once `lookalike embed` has made its vectors.",
                 "# [index] and [nightly] may be edited at any time. What says where code runs: `lookalike --help`."]
        for table, keys in asdict(self).items():
            if table != RUN:
                lines += ["", f"[{table}]"]
                lines += [as_toml(key, value) for key, value in keys.items() if value is not None]
        return "\n".join(lines) + "\n"


def _window_alone(scan: ScanConfig, keys: Any) -> Any:
    """Complete a table that gives a window: it is given, and windows that lay side by side still do."""
    if not isinstance(keys, Mapping) or "window" not in keys:
        return keys
    implied = {"window_is_given": True}
    if scan.step == scan.window:
        implied["step"] = keys["window"]
    return {**keys, **{key: value for key, value in implied.items() if key not in keys}}


def _cluster_alone(keys: Any) -> Any:
    """Complete a table that names a cluster: it beats a scheduler that was named where less counts."""
    if isinstance(keys, Mapping) and keys.get("cluster") and "scheduler" not in keys:
        return {**keys, "scheduler": ""}
    return keys


def require_no_run(corpus: Path) -> None:
    """Raise :class:`ConfigError` where ``corpus.toml`` says how runs are carried out; whatever else is wrong passes."""
    path, said = corpus / CONFIG_FILE, {}
    with suppress(ConfigError):
        said = _not_default(read_tables(path).get(RUN, {}), f"{path} [{RUN}]")
    _refuse_run(path, said)


def _not_default(keys: Any, origin: str) -> dict[str, Any]:
    """Return what a table ``[run]`` says that is not the default."""
    said, default = asdict(laid_over(RunConfig(), keys, origin)), asdict(RunConfig())
    return {key: value for key, value in said.items() if value != default[key]}


def _refuse_run(path: Path, said: Mapping[str, Any]) -> None:
    """Refuse a corpus that says how runs are carried out: whoever made it would say where code runs."""
    if said:
        lines = [as_toml(key, value) for key, value in said.items()]
        s, them = ("s", "them") if len(said) > 1 else ("", "it")
        raise ConfigError(f"{path}: [{RUN}] {', '.join(lines)}: where and how code runs is said by you, not by a "
                          f"corpus. Delete the line{s} there; if you wrote {them}, put {them} into {user_file()} under "
                          f"the line [{RUN}]: {' and '.join(lines)}")


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Short digest of an identity: equal dictionaries, equal digests, whatever the order of keys."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
