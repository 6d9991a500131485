"""Collect facts about one process, here and on every worker.

:mod:`pipeline.doctor.checks` judges them. Nothing is raised: an error is a fact, too.
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
from pipeline import tasks
from pipeline.config import EncoderConfig, ScanConfig
from pipeline.encoders import gpu_devices, has_gpu_device, load_encoder, supported_precisions
from pipeline.filterbank import FoundFile, open_filterbank, write_filterbank
from pipeline.model import EncoderSpec, Header, SourceReport
from pipeline.store import corpus_encoder
from pipeline.support import processor
from pipeline.support.compiled import cache_folder, refused_folders

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
    """What a process is asked to examine. All processes get the same questions, except ``asks_gpu``."""

    fixtures: tuple[bytes, ...]
    """Contents of filterbank files that the client wrote from :func:`fixture_power`."""
    encoder: EncoderConfig
    scan: ScanConfig
    corpus: Path | None = None
    token: Path | None = None
    """Temporary folder that the client has made in the corpus, for the process to read from and write to."""
    data: tuple[Path, ...] = ()
    sample: Path | None = None
    """A filterbank file of the data, to open."""
    asks_gpu: bool = False
    """True for a worker that offers a GPU: it asks Keras which GPUs it can use. A process on a machine with a GPU asks
    Keras in any case."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The answers of a process."""

    host: str
    pid: int
    versions: Mapping[str, str]
    """Package → version, empty if it is not installed. Includes ``python``, and ``code``: a digest of this package."""
    spec: EncoderSpec | None = None
    vectors: NDArray[np.float32] | None = None
    """Vectors (4, dimension) of :func:`fixture_cutouts`."""
    gpus: tuple[str, ...] = ()
    """GPUs that Keras can use."""
    has_gpu: bool = False
    """True if the machine has a GPU, whether or not Keras can use it."""
    processor: str = ""
    """Name and instruction set of the processor, and limits that the environment sets."""
    precisions: tuple[str, ...] = ()
    """Number formats in which the encoder can compute on this machine."""
    entries: Mapping[str, int] = field(default_factory=dict)
    """Folder of the data → number of its entries; −1 if it cannot be read."""
    opens_sample: bool = False
    """True if a file of the data was opened. False if that failed, or if there was none."""
    open_files: int = 0
    """Limit of open files of the process."""
    corpus_free_bytes: int = -1
    """Free disk space for the corpus; −1 if unknown."""
    scratch: str = ""
    """Folder of temporary files."""
    scratch_free_bytes: int = -1
    numba_cache: str = ""
    """Folder of compiled code; empty if there is none."""
    numba_refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Folder that is not used because other users can write to it → (fault, remedy)."""
    memory_bytes: int = 0
    """Memory of the machine."""
    has_libgomp: bool = True
    is_outdated: bool = False
    """True if the package on disk is newer than the process, which still runs the older code."""
    threads: Mapping[str, str] = field(default_factory=dict)
    """Variables of :data:`THREAD_SETTINGS` that are set → value."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Name of an attempt that failed → the error."""


def fixture_power() -> NDArray[np.float32]:
    """Return the samples (spectra, channels) of the fixtures: whole numbers that fit into 8 bits."""
    shape = (FIXTURE_HEADER.nsamples, FIXTURE_HEADER.nchans)
    return np.rint(np.random.default_rng(7).gamma(102, 1, shape)).astype(np.float32)


def fixture_files() -> tuple[bytes, ...]:
    """Return two small filterbank files: one of 32 bits, decoded by this package, one of 8 bits, decoded by HDF5."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(
            write_filterbank(Path(folder) / f"{nbits}.h5", fixture_power(), replace(FIXTURE_HEADER, nbits=nbits))
            .read_bytes() for nbits in (32, 8)
        )


def fixture_cutouts(scan: ScanConfig) -> NDArray[np.uint8]:
    """Return random cutouts (4, T, F) uint8 for the encoder."""
    return np.random.default_rng(7).integers(0, 256, (4, scan.integrations, scan.window), dtype=np.uint8)


def now() -> float:
    """Return the time of this machine in Unix seconds."""
    return time.time()


def examine(questions: Questions) -> Facts:
    """Answer the questions in this process. Takes some seconds, because the encoder is loaded."""
    errors: dict[str, str] = {}

    def attempt(name: str, action: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return action()
        except Exception as error:  # any error is an answer
            errors[name] = f"{type(error).__name__}: {error}"
            return otherwise

    nothing: tuple[EncoderSpec | None, NDArray[np.float32] | None] = (None, None)
    attempt("plugins", lambda: _decode(questions.fixtures), None)
    spec, vectors = attempt("encoder", lambda: _encode(questions), nothing)
    no_precisions: tuple[str, ...] = ()
    precisions = attempt("precisions", lambda: supported_precisions(questions.encoder.name), no_precisions)
    no_devices: list[str] = []
    nothing_refused: dict[str, tuple[str, str]] = {}
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
        processor.describe(), precisions, entries, opens_sample,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        corpus_free_bytes=attempt("disk", lambda: _free(corpus), -1) if corpus is not None else -1,
        scratch=scratch,
        scratch_free_bytes=attempt("scratch", lambda: _free(Path(scratch)), -1),
        numba_cache=attempt("numba cache", cache_folder, ""),
        numba_refused=attempt("numba refused", _refused, nothing_refused),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        has_libgomp=platform.system() != "Linux" or ctypes.util.find_library("gomp") is not None,
        is_outdated=_is_outdated(),
        threads={name: os.environ[name] for name in THREAD_SETTINGS if name in os.environ},
        errors=errors,
    )


def versions() -> dict[str, str]:
    """Return the versions that must be equal on every machine."""
    return {"python": platform.python_version(), "lookalike": pipeline.__version__, "code": _code_digest(),
            **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _code_digest() -> str:
    """Return a digest of this package's source. The version number stays the same between releases."""
    root = Path(pipeline.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _is_outdated() -> bool:
    """Return True if the package was changed after this process started. Always False outside Linux."""
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
            raise ValueError("a file decodes to samples that differ from those that were written")


def _encode(questions: Questions) -> tuple[EncoderSpec, NDArray[np.float32]]:
    grid, encoder = questions.scan.grid, questions.encoder
    loaded = (load_encoder(encoder.name, grid=grid, weights=encoder.weights, precision=encoder.precision,
                           version=encoder.version)
              if questions.corpus is None else corpus_encoder(questions.corpus, encoder, grid))
    return loaded.spec, loaded.encode(fixture_cutouts(questions.scan))


def _exchange(token: Path) -> None:
    """Read the file of the client, and write another one beside it."""
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


def _refused() -> dict[str, tuple[str, str]]:
    return {str(folder): (", ".join(map(str, faults)), "; ".join(one.remedy for one in faults))
            for folder, faults in refused_folders().items()}
