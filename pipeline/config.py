"""Settings: what a corpus is made with, and how runs work.

``corpus.toml`` in the folder of a corpus has four tables. ``[scan]`` and ``[encoder]`` are *identity*: they decide what
the corpus holds, and every run compares them. ``[scan]`` can get more views, ``[encoder]`` can name another encoder
after ``lookalike embed`` has made its vectors. ``[index]`` and ``[nightly]`` are *circumstance*: they change any time.
Flags take precedence over the file, and the file over the defaults. ``[run]`` says where and how code runs. Only the
user sets it, never a corpus, which may come from somebody else. Flags take precedence over the environment, then comes
the user's own file (:mod:`pipeline.user_settings`), then the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pipeline.errors import ConfigError
from pipeline.model import Precision, WindowGrid
from pipeline.support.toml_tables import as_toml, laid_over, read_tables, types_of
from pipeline.user_settings import PREFIX, RUN, of_environment, of_user_file, one_place, user_file
from pipeline.views import check_setting

CONFIG_FILE = "corpus.toml"
CUTOUT_VERSION = 1
"""Version of the format of cutouts (:mod:`pipeline.grid.cutouts`) and of the statistics stored with them."""
MAX_COUNT, MAX_MHZ, MAX_TRIES = 1 << 40, 1e290, 20
"""Largest count, frequency, and number of nights on which a file is tried, in any setting."""
SET_WHEN_MADE = ("cover", "channel_levels", "band_template")
"""Settings of ``[scan]`` that are true in new corpora by default, and never change. The identity of a corpus leaves out
those that are off. So corpora that were made before there were these settings keep their identity."""


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """Which windows are cut, and which of them are kept. Identity."""

    window: int = 256
    """Fine channels per window."""
    step: int = 256
    """Fine channels from one window to the next. Default: ``window``, if only that is given."""
    integrations: int = 16
    """Spectra per window."""
    cover: bool | None = None
    """Cover remainders of channels and spectra (:class:`WindowGrid`). Default: as the corpus does; True if new."""
    window_is_given: bool = False
    """True if the user chose the window. Only then may it be wider than the coarse channels of a file."""
    false_alarm: float = 0.001
    """Share of windows of pure noise that the gate keeps, with all of its thresholds together."""
    keep_all: bool = False
    """Keep every window, with or without a signal."""
    f_start_mhz: float | None = None
    """Search only windows entirely above this frequency."""
    f_stop_mhz: float | None = None
    """Search only windows entirely below this frequency."""
    coarse_width: int | None = None
    """Fine channels per coarse channel. Default: found from each file."""
    polarisation: int = 0
    """Number of the polarisation to read, counted from 0; 0 is total power."""
    views: tuple[str, ...] | None = None
    """Averaged views: names, or ``auto`` (:mod:`pipeline.views`). Default: those of the corpus; ``auto`` if new."""
    overview: bool = False
    """Make an overview of each file (:mod:`pipeline.overview`). A corpus can get them later."""
    channel_levels: bool | None = None
    """Divide channels by their levels (:mod:`pipeline.scan.channel_levels`). Default: as the corpus is; true if new."""
    band_template: bool | None = None
    """Divide narrow coarse channels by their common shape (:mod:`pipeline.scan.band_template`). Default: likewise."""

    def __post_init__(self) -> None:
        check_setting(self.views or ())
        shape = (self.window, self.step, self.integrations)
        if min(shape) < 1 or max(shape) > MAX_COUNT:
            raise ConfigError(f"window, step and integrations must be at least 1 and at most {MAX_COUNT}, got {shape}")
        if not 0 < self.false_alarm < 0.5:
            raise ConfigError(f"false_alarm must lie between 0 and 0.5, got {self.false_alarm}")
        if self.f_start_mhz is not None and self.f_stop_mhz is not None and self.f_start_mhz >= self.f_stop_mhz:
            raise ConfigError(f"f_start_mhz {self.f_start_mhz} must be below f_stop_mhz {self.f_stop_mhz}")
        if max(abs(self.f_start_mhz or 0), abs(self.f_stop_mhz or 0)) > MAX_MHZ:
            raise ConfigError(f"f_start_mhz {self.f_start_mhz} or f_stop_mhz {self.f_stop_mhz} exceeds {MAX_MHZ:g}")
        if self.coarse_width is not None and not 1 <= self.coarse_width <= MAX_COUNT:
            raise ConfigError(f"coarse_width must be at least 1 and at most {MAX_COUNT}, got {self.coarse_width}")
        if not 0 <= self.polarisation <= MAX_COUNT:
            raise ConfigError(f"polarisation must be from 0 to {MAX_COUNT}, got {self.polarisation}")

    @property
    def grid(self) -> WindowGrid:
        """The window grid these settings describe."""
        return WindowGrid(self.window, self.step, self.integrations, bool(self.cover))


PRECISIONS = ("auto", *get_args(Precision))


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Which encoder makes the vectors of the corpus. Identity. Weights are compared by digest, not by path."""

    name: str = "spectral"
    weights: str = ""
    """Local weights file. Default: the weights that the encoder ships with, if it has any."""
    precision: str = "float32"
    """One of :data:`PRECISIONS`; each makes its own vectors. A run replaces ``auto`` by its machine's fastest one."""
    version: int | None = None
    """Version of the encoder. Default: the newest whose vectors the corpus has, or else the newest there is."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if any("\ud800" <= letter <= "\udfff" for letter in self.name + self.weights):
            raise ConfigError(f"weights {self.weights!r} is not a valid UTF-8 path; rename the file")


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """How segments of the index are built. Circumstance."""

    exact_below: int = 20_000
    """With fewer vectors than this, a search compares every vector, because a graph would not be faster."""
    segment_vectors: int = 1_000_000
    """Largest number of vectors per segment."""
    compact: bool = True
    """Join segments of similar size, and rebuild segments that have many dead vectors."""
    routed_from: int = 100_000_000
    """Fewest vectors of a routed segment (:mod:`pipeline.index.routed`). With fewer, a search reads all segments."""

    def __post_init__(self) -> None:
        sizes = (self.exact_below, self.segment_vectors, self.routed_from)
        if self.exact_below < 0 or min(sizes[1:]) < 1 or max(sizes) > MAX_COUNT:
            raise ConfigError("exact_below must be 0 or more, segment_vectors and routed_from at least 1, all at most "
                              f"{MAX_COUNT}, got {sizes[0]}, {sizes[1]}, {sizes[2]}")


EmbedOn = Literal["auto", "gpu", "cpu"]
ClusterKind = Literal["local", "ssh", "slurm", "kubernetes"]


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Where and how a run works. Only the user sets it: ``corpus.toml`` may not."""

    serial: bool = False
    """Run every task in this process, without Dask. Takes precedence over ``scheduler`` and ``cluster``."""
    scheduler: str = ""
    """Address of a running Dask scheduler. Empty: the run starts its own cluster."""
    cluster: ClusterKind = "local"
    """Kind of cluster that a run without ``scheduler`` starts."""
    cluster_config: str = ""
    """Path of the file that describes the cluster. Every kind but ``local`` needs it."""
    tls_ca: str = ""
    """Path of the certificate authority to trust (PEM). Dask's own settings apply if all ``tls_…`` paths are empty."""
    tls_cert: str = ""
    """Path of the certificate of this machine (PEM)."""
    tls_key: str = ""
    """Path of the PEM private key that belongs to ``tls_cert``."""
    insecure: bool = False
    """Allow a scheduler without TLS, also on this machine. Whoever can connect to it can run code on its workers."""
    dashboard: bool = False
    """Serve the dashboard of a cluster that a run starts here. It is HTTP without a password: all users can read it."""
    workers: int = 0
    """Number of worker processes that a run starts on this machine; 0 for one per core."""
    worker_memory_gb: float = 2.0
    """Memory limit of each of these processes."""
    embed_on: EmbedOn = "auto"
    """Workers that embed. ``gpu``: those with the resource GPU. ``cpu``: all. ``auto``: those with a GPU, else all."""
    resource_wait_s: float = 30.0
    """Seconds to wait for workers, or for workers with a resource."""
    scheduler_wait_s: float = 300.0
    """Seconds to wait for a lost scheduler to return."""
    task_timeout_s: float = 1800.0
    """Seconds that a task may take before its worker is ended; 0 for no limit. Building a graph has no limit."""
    in_flight: int = 3
    """Number of submitted tasks per worker thread. More keep workers busy; fewer keep the scheduler small."""
    retries: int = 2
    """Number of further attempts for a task that fails, unless its source is the cause."""

    def __post_init__(self) -> None:
        if self.embed_on not in ("auto", "gpu", "cpu"):
            raise ConfigError(f"embed_on must be auto, gpu or cpu, got {self.embed_on!r}")
        if self.cluster not in get_args(ClusterKind):
            raise ConfigError(f"cluster must be one of {', '.join(get_args(ClusterKind))}, got {self.cluster!r}")
        if len({bool(path) for path in (self.tls_ca, self.tls_cert, self.tls_key)}) > 1:
            raise ConfigError("tls_ca, tls_cert and tls_key are given together or not at all")
        if self.workers < 0 or self.in_flight < 1 or self.retries < 0:
            raise ConfigError("workers and retries must be 0 or more, in_flight at least 1")
        if self.worker_memory_gb <= 0 or min(self.resource_wait_s, self.scheduler_wait_s, self.task_timeout_s) < 0:
            raise ConfigError("worker_memory_gb must be positive; resource_wait_s, scheduler_wait_s and task_timeout_s "
                              "must be 0 or more")


@dataclass(frozen=True, slots=True)
class NightlyConfig:
    """What a nightly run tries again, and what it calls novel. Circumstance."""

    tries: int = 6
    """Number of tries after which a failed file is left alone until it changes. Tries are 1, 2, 4, … nights apart."""
    verify: float = 0.03
    """Share of the corpus whose digests each night checks; 0 for none. Each night checks another share."""
    novel_share: float = 0.01
    """A window is novel if its best score with earlier windows is below this quantile of the best scores that earlier
    windows have with each other."""
    least_earlier: int = 500
    """Smallest number of earlier windows of a resolution. With fewer, no window is called novel."""

    def __post_init__(self) -> None:
        if not 1 <= self.tries <= MAX_TRIES or not 0 <= self.verify <= 1:
            raise ConfigError(f"tries must be from 1 to {MAX_TRIES}, verify a share from 0 to 1, got {self.tries}, "
                              f"{self.verify}")
        if not 0 < self.novel_share < 0.5 or self.least_earlier < 2:
            raise ConfigError(f"novel_share must lie between 0 and 0.5 and least_earlier be at least 2, got "
                              f"{self.novel_share}, {self.least_earlier}")


@dataclass(frozen=True, slots=True)
class Config:
    """The tables of ``corpus.toml``, and the user's settings for runs."""

    scan: ScanConfig = field(default_factory=ScanConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    run: RunConfig = field(default_factory=RunConfig)
    nightly: NightlyConfig = field(default_factory=NightlyConfig)

    @classmethod
    def load(cls, corpus: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Read ``corpus.toml`` if the folder has one, and the user's settings for runs; then apply ``overrides``.

        ``[run]`` comes from the user's file and from the environment, see :mod:`pipeline.user_settings`.

        ``overrides`` are table → key → value; None means that a flag was not given.

        Raises
        ------
        ConfigError
            A table or key is unknown, a value is not allowed, or ``corpus.toml`` sets ``[run]``.
        """
        return cls.of_corpus(corpus)._as_user_says().override(overrides or {})

    @classmethod
    def of_user(cls) -> Self:
        """Return the defaults with the user's settings for runs."""
        return cls()._as_user_says()

    @classmethod
    def of_corpus(cls, corpus: Path) -> Self:
        """Read only ``corpus.toml``, if the folder has one. Old files have ``[run]``, which may hold only defaults."""
        path = corpus / CONFIG_FILE
        tables = read_tables(path)
        _refuse_run(path, _not_default(tables.pop(RUN, {}), f"{path} [{RUN}]"))
        return cls()._with(tables, f"{path} ")

    def override(self, overrides: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return a copy with the given values: table → key → value. Values of None are left out."""
        return self._with({table: {key: value for key, value in keys.items() if value is not None}
                           for table, keys in overrides.items()}, "flags ")

    def _as_user_says(self) -> Self:
        with_file = self._with({RUN: of_user_file()}, f"{user_file()} ")
        return with_file._with({RUN: of_environment(types_of(self.run))}, f"environment ({PREFIX}…) ")

    def _with(self, tables: Mapping[str, Any], origin: str) -> Self:
        """Return a copy with the values of ``tables``; raise :class:`ConfigError` for unknown names and bad values."""
        known = [f.name for f in fields(self)]
        if unknown := sorted(set(tables) - set(known)):
            raise ConfigError(f"{origin}[{unknown[0]}]: unknown table; known: {', '.join(known)}")
        tables = {**tables, "scan": _window_alone(self.scan, tables["scan"])} if "scan" in tables else tables
        tables = {**tables, RUN: one_place(tables[RUN])} if RUN in tables else tables
        return replace(self, **{table: laid_over(getattr(self, table), keys, f"{origin}[{table}]")
                                for table, keys in tables.items()})

    def identity(self) -> dict[str, Any]:
        """Return what decides which windows a corpus holds, and their format. Every run compares it with the corpus."""
        left_out = {"window_is_given", "views", "overview"}  # none of these changes a window of any view
        left_out |= {name for name in SET_WHEN_MADE if not getattr(self.scan, name)}
        scan = {key: value for key, value in asdict(self.scan).items() if key not in left_out}
        return {"scan": scan, "cutout_version": CUTOUT_VERSION}

    def to_toml(self) -> str:
        """Return the text of ``corpus.toml``. :meth:`of_corpus` reads the same settings from it, except ``[run]``."""
        lines = ["# Written when the corpus was made. [scan] says which windows it holds and cannot change;",
                 "# `lookalike ingest --add-views` can add views, and --add-overview overviews.",
                 "# [encoder] names the encoder whose vectors ingest makes and search compares. To use another encoder",
                 "# or precision (float32, bfloat16, float16), make its vectors by `lookalike embed`; then name it.",
                 "# [index] and [nightly] may be edited any time. `lookalike --help` says how to set where code runs."]
        for table, keys in asdict(self).items():
            if table != RUN:
                lines += ["", f"[{table}]", *(as_toml(key, value) for key, value in keys.items() if value is not None)]
        return "\n".join(lines) + "\n"


def _window_alone(scan: ScanConfig, keys: Any) -> Any:
    """Complete a table that sets ``window``: mark it as given. If windows lay side by side, set ``step`` to match."""
    if not isinstance(keys, Mapping) or "window" not in keys:
        return keys
    implied = {"window_is_given": True, **({"step": keys["window"]} if scan.step == scan.window else {})}
    return {**keys, **{key: value for key, value in implied.items() if key not in keys}}


def require_no_run(corpus: Path) -> None:
    """Raise :class:`ConfigError` if ``corpus.toml`` sets ``[run]``. Other errors in the file are ignored."""
    path, said = corpus / CONFIG_FILE, {}
    with suppress(ConfigError):
        said = _not_default(read_tables(path).get(RUN, {}), f"{path} [{RUN}]")
    _refuse_run(path, said)


def _not_default(keys: Any, origin: str) -> dict[str, Any]:
    """Return the values of a table ``[run]`` that are not the defaults."""
    said, default = asdict(laid_over(RunConfig(), keys, origin)), asdict(RunConfig())
    return {key: value for key, value in said.items() if value != default[key]}


def _refuse_run(path: Path, said: Mapping[str, Any]) -> None:
    """Refuse a corpus that sets ``[run]``, because whoever made it would decide where code runs."""
    if said:
        lines = [as_toml(key, value) for key, value in said.items()]
        s, them = ("s", "them") if len(said) > 1 else ("", "it")
        raise ConfigError(f"{path}: [{RUN}] {', '.join(lines)}: you decide where and how code runs; a corpus cannot. "
                          f"Delete the line{s} there; if you wrote {them}, put {them} into {user_file()} under "
                          f"the line [{RUN}]: {' and '.join(lines)}")
