"""Filterbank files, read and written: HDF5 (``.h5``, ``.hdf5``) and sigproc (``.fil``) behind one door.

Ascending frequency and float32 leave this package, whatever the file holds. The only home of h5py and blimpy.
An HDF5 file that comes from outside is parsed in another process, which may crash.
"""

from pipeline.filterbank.fetched import Room
from pipeline.filterbank.find import FoundFile, find_files
from pipeline.filterbank.header import require_spectra
from pipeline.filterbank.parser_client import start as start_parser
from pipeline.filterbank.reader import Ascending, Filterbank, open_filterbank, source_of
from pipeline.filterbank.waterfall import read_waterfall
from pipeline.filterbank.writer import FilterbankWriter, write_filterbank

__all__ = [
    "Ascending",
    "Filterbank",
    "FilterbankWriter",
    "FoundFile",
    "Room",
    "find_files",
    "open_filterbank",
    "read_waterfall",
    "require_spectra",
    "source_of",
    "start_parser",
    "write_filterbank",
]
