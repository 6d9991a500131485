"""Read and write filterbank files: HDF5 (``.h5``, ``.hdf5``) and sigproc (``.fil``).

Readers return float32 in ascending frequency, whatever the file holds. Only this package imports h5py and blimpy. HDF5
files are parsed in another process, because a damaged file may crash the HDF5 library.
"""

from pipeline.filterbank.fetched import Buffer
from pipeline.filterbank.find import SUFFIXES, FoundFile, find_files
from pipeline.filterbank.header import may_be_observed, require_spectra
from pipeline.filterbank.identity import scan_key
from pipeline.filterbank.parser_client import start as start_parser
from pipeline.filterbank.reader import Ascending, Filterbank, open_filterbank, source_of
from pipeline.filterbank.waterfall import read_waterfall
from pipeline.filterbank.writer import FilterbankWriter, write_filterbank

__all__ = [
    "SUFFIXES",
    "Ascending",
    "Buffer",
    "Filterbank",
    "FilterbankWriter",
    "FoundFile",
    "find_files",
    "may_be_observed",
    "open_filterbank",
    "read_waterfall",
    "require_spectra",
    "scan_key",
    "source_of",
    "start_parser",
    "write_filterbank",
]
