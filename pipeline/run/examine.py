"""What one process of an installation can do: facts, gathered on the client and on every worker alike.

:mod:`pipeline.run.doctor` compares and judges them. Nothing is raised: what fails is a fact, too.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import platform
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

import pipeline
from pipeline import processor, tasks
from pipeline.config import EncoderConfig, ScanConfig
from pipeline.encoders import gpu_devices, has_gpu_device, load_encoder, precisions_here
from pipeline.filterbank import FoundFile, open_filterbank, write_filterbank
from pipeline.model import EncoderSpec, Header, SourceReport
from pipeline.store import corpus_encoder

PACKAGES = ("numpy", "h5py", "hdf5plugin", "keras", "tensorflow", "openvino", "numba", "zarr", "pynndescent", "dask",
            "distributed", "cloudpickle", "msgpack")
FIXTURE_HEADER = Header(
    fch1_mhz=8419.5, foff_mhz=-2.7939677238464355e-06, nchans=4096, nifs=1, nbits=32, tsamp_s=18.253611008,
    nsamples=16, tstart_mjd=57_436.5, source_name="DOCTOR", telescope_id=6,
)
THREAD_SETTINGS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Questions:
    """What a process is asked. The same for all."""

    fixtures: tuple[bytes, ...]
    """Files as the client writes them, of :func:`fixture_power`."""
    encoder: EncoderConfig
    scan: ScanConfig
    corpus: Path | None = None
    token: Path | None = None
    """A folder that the client has made in the corpus, for others to find and write into."""
    data: tuple[Path, ...] = ()
    sample: Path | None = None
    """A file of the data."""
    asks_gpu: bool = False
    """True for a worker that says it has one; where the machine shows one, Keras is asked anyway."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a process answers."""

    host: str
    pid: int
    versions: Mapping[str, str]
    """Package → version; ``python`` and this package's own ``code`` among them. Empty for what is not installed."""
    spec: EncoderSpec | None = None
    vectors: NDArray[np.float32] | None = None
    """What the encoder makes of :func:`fixture_cutouts`."""
    gpus: tuple[str, ...] = ()
    has_gpu: bool = False
    """True where the machine shows a GPU, whether or not Keras can use it."""
    processor: str = ""
    """Its name, its instruction set, and what the environment holds down."""
    precisions: tuple[str, ...] = ()
    """What the encoder can compute in here."""
    entries: Mapping[str, int] = field(default_factory=dict)
    """Data folder → how many entries it lists."""
    opens_sample: bool = False
    """True where a file of the data was opened; False where none could be, or there was none to open."""
    open_files: int = 0
    corpus_free_bytes: int = -1
    """−1 where that is not known."""
    scratch: str = ""
    scratch_free_bytes: int = -1
    numba_cache: str = ""
    """Folder that compiled code can be kept in; empty where there is none."""
    memory_bytes: int = 0
    """Of the machine."""
    has_libgomp: bool = True
    is_outdated: bool = False
    """True where the package on disk is newer than the process, which still runs what it has loaded."""
    threads: Mapping[str, str] = field(default_factory=dict)
    """Those of :data:`THREAD_SETTINGS` that are set."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What could not be done, and why."""


def fixture_power() -> NDArray[np.float32]:
    """Samples (spectra, channels) of the fixtures: whole numbers that 8 bits hold."""
    shape = (FIXTURE_HEADER.nsamples, FIXTURE_HEADER.nchans)
    return np.rint(np.random.default_rng(7).gamma(102, 1, shape)).astype(np.float32)


def fixture_files() -> tuple[bytes, ...]:
    """Return small filterbank files of 32 bits, decoded by this package, and of 8, decoded by HDF5's plugin."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(
            write_filterbank(Path(folder) / f"{nbits}.h5", fixture_power(), replace(FIXTURE_HEADER, nbits=nbits))
            .read_bytes() for nbits in (32, 8)
        )


def fixture_cutouts(scan: ScanConfig) -> NDArray[np.uint8]:
    """Return windows (4, T, F) for the encoder."""
    return np.random.default_rng(7).integers(0, 256, (4, scan.integrations, scan.window), dtype=np.uint8)


def now() -> float:
    """Return this machine's time, in Unix seconds."""
    return time.time()


def examine(questions: Questions) -> Facts:
    """Answer questions in this process; takes the seconds in which the encoder loads."""
    errors: dict[str, str] = {}

    def attempt(name: str, action: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return action()
        except Exception as error:  # whatever it is, it is what is to be told
            errors[name] = f"{type(error).__name__}: {error}"
            return otherwise

    nothing: tuple[EncoderSpec | None, NDArray[np.float32] | None] = (None, None)
    attempt("plugins", lambda: _decode(questions.fixtures), None)
    spec, vectors = attempt("encoder", lambda: _encode(questions), nothing)
    no_precisions: tuple[str, ...] = ()
    precisions = attempt("precisions", lambda: precisions_here(questions.encoder.name), no_precisions)
    no_devices: list[str] = []
    gpus = attempt("gpu", gpu_devices, no_devices) if questions.asks_gpu or has_gpu_device() else no_devices
    corpus = questions.corpus
    if questions.token is not None:
        token = questions.token
        attempt("corpus", lambda: _exchange(token), None)
    entries = {str(path): attempt(f"data {path}", lambda path=path: _entries(path), -1)  # type: ignore[misc]
               for path in questions.data}
    opens_sample = attempt("sample", lambda: _probe(questions), False)
    scratch = tempfile.gettempdir()
    return Facts(
        socket.gethostname(), os.getpid(), versions(), spec, vectors, tuple(gpus), has_gpu_device(),
        processor.described(), precisions, entries, opens_sample,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        corpus_free_bytes=attempt("disk", lambda: _free(corpus), -1) if corpus is not None else -1,
        scratch=scratch,
        scratch_free_bytes=attempt("scratch", lambda: _free(Path(scratch)), -1),
        numba_cache=_numba_cache(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        has_libgomp=platform.system() != "Linux" or ctypes.util.find_library("gomp") is not None,
        is_outdated=_is_outdated(),
        threads={name: os.environ[name] for name in THREAD_SETTINGS if name in os.environ},
        errors=errors,
    )


def versions() -> dict[str, str]:
    """Return versions of all that must be alike on every machine."""
    return {"python": platform.python_version(), "lookalike": pipeline.__version__, "code": _code_digest(),
            **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _code_digest() -> str:
    """Digest of this package's own source: a version is the same for weeks of changes."""
    root = Path(pipeline.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _is_outdated() -> bool:
    """Compare when the package was changed with when this process began, where the system tells (Linux)."""
    began = Path(f"/proc/{os.getpid()}")
    changed = max(path.stat().st_mtime for path in Path(pipeline.__file__).parent.rglob("*.py"))
    return began.exists() and began.stat().st_ctime < changed


def _decode(contents: Sequence[bytes]) -> None:
    for content in contents:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fixture.h5"
            path.write_bytes(content)
            with open_filterbank(path) as filterbank:
                power = filterbank.read(0, FIXTURE_HEADER.nsamples, 0, FIXTURE_HEADER.nchans)
        if not np.array_equal(power, fixture_power()):
            raise ValueError("a file decodes to other samples than were written")


def _encode(questions: Questions) -> tuple[EncoderSpec, NDArray[np.float32]]:
    grid, encoder = questions.scan.grid, questions.encoder
    loaded = (load_encoder(encoder.name, grid=grid, weights=encoder.weights, precision=encoder.precision)
              if questions.corpus is None else corpus_encoder(questions.corpus, encoder, grid))
    return loaded.spec, loaded.encode(fixture_cutouts(questions.scan))


def _exchange(token: Path) -> None:
    """Find what the client has written and write something beside it."""
    (token / "client").read_bytes()
    (token / uuid4().hex).write_bytes(f"{socket.gethostname()} {os.getpid()}".encode())


def _entries(path: Path) -> int:
    if path.is_dir():
        return len(os.listdir(path))
    with path.open("rb") as file:
        file.read(1)
    return 1


def _probe(questions: Questions) -> bool:
    if questions.sample is None:
        return False
    found = tasks.probe(FoundFile(questions.sample, questions.sample.parent), questions.scan)
    if isinstance(found, SourceReport):
        raise OSError(found.message)
    return True


def _free(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _numba_cache() -> str:
    """Return the first of the folders in which numba keeps compiled code that can be written to."""
    own = Path(pipeline.__file__).parent / "__pycache__"
    candidates = [Path(os.environ["NUMBA_CACHE_DIR"])] if os.environ.get("NUMBA_CACHE_DIR") else [
        own, Path.home() / ".cache" / "numba"]
    for folder in candidates:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except OSError:
            continue
    return ""


