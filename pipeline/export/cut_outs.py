"""Cut-outs of hits: small filterbank files that blimpy opens."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.model import Result
from pipeline.support.disk_faults import cause_of
from pipeline.support.text import shown


def write_cut_outs(result: Result, folder: str | Path) -> list[Path]:
    """Write one HDF5 file for each hit into a folder.

    The folder is made if it is missing. Files of the same names are replaced.

    The samples are those of the hit's own file, at its full resolution, with all windows of the hit. If the file cannot
    be read, they are recovered from the windows that the corpus has stored. The attribute ``lookalike_origin`` of the
    file's data says which of both.

    Parameters
    ----------
    result : SearchResult
    folder : path

    Returns
    -------
    list of Path
        The files, in the order of the hits, named ``RANK_SOURCE_WINDOW.h5``.

    Raises
    ------
    ConfigError
        The folder or a file cannot be written.
    QueryError
        A hit is too large to be cut out.
    """
    from pipeline.filterbank import write_filterbank

    folder, written = Path(folder), []
    digits = max(2, len(str(len(result.hits))))
    for hit in result.hits:
        path = folder / f"{hit.rank:0{digits}d}_{hit.source_id}_{hit.window.number}.h5"
        one = result.cut_out_of(hit)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_filterbank(path, one.power, one.header, {
                "lookalike_origin": one.origin, "lookalike_score": hit.score,
                "lookalike_window": f"{hit.source_id}/{hit.window.number}"})
        except OSError as error:
            raise ConfigError(f"{shown(path)}: cannot be written ({cause_of(error)}); choose another folder") from error
        written.append(path)
    return written
