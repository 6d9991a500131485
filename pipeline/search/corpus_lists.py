"""The methods of an open corpus that list what it holds."""

from __future__ import annotations

from pipeline.catalogue import Session
from pipeline.errors import QueryError
from pipeline.search.encoder import encoder_key
from pipeline.search.families import Families, FamilyMembers, families_of, family_members
from pipeline.search.labelled import CorpusLabels
from pipeline.search.listing import ListedScan, ListedWindow, list_scans, list_windows
from pipeline.search.session_table import sessions_in
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.status import CorpusStatus, status_of
from pipeline.views import scan_of


class CorpusLists:
    """The part of :class:`pipeline.search.Corpus` that lists what it holds."""

    _corpus: OpenCorpus
    _encoder: str | None

    @property
    def labels(self) -> CorpusLabels:
        """The user's labels, beside the corpus. What was appended meanwhile counts, too."""
        return CorpusLabels(self._corpus)

    def status(self) -> CorpusStatus:
        """Count what is in the corpus."""
        try:
            default = encoder_key(self._corpus, self._encoder)
        except QueryError:  # the corpus has no vectors that a search would compare
            default = ""
        return status_of(self._corpus.root, self._corpus.manifest, default, self._corpus.config.scan.grid)

    def sessions(self) -> list[Session]:
        """Group the scans into sessions (:mod:`pipeline.catalogue.cadences`), with the user's corrections.

        Raises
        ------
        ConfigError
            The file of corrections, ``CORPUS-cadences.csv`` beside the corpus, cannot be used.
        """
        return sessions_in(self._corpus.root, self._corpus.manifest)

    def scans(self) -> list[ListedScan]:
        """List the scans, by id."""
        return list_scans(self._corpus)

    def kept_windows(self, scan: str, f_start_mhz: float | None = None, f_stop_mhz: float | None = None,
                     ) -> list[ListedWindow]:
        """List the kept windows of a scan and of its averaged views, by frequency.

        Parameters
        ----------
        scan : str
            Its id, the beginning of its id, or a file name.
        f_start_mhz, f_stop_mhz : float, optional
            Only windows that touch this range. Default: the band of the scan.

        Raises
        ------
        ParameterError
            The range is empty.
        QueryError
            There is no such scan.
        CorpusDamaged
            Windows are missing or altered.
        """
        with self._corpus.outlived():
            return list_windows(self._corpus, scan_of(self._corpus.find_source(scan)), f_start_mhz, f_stop_mhz)[0]

    def families(self, new_since: str | int | None = None, min_windows: int = 1) -> Families:
        """List the families that :func:`pipeline.run.find_families` has found, those with most windows first.

        Parameters
        ----------
        new_since : str or int, optional
            Only families first found in this generation or later, or first seen on this date (UTC) or later.
        min_windows : int
            Only families of at least this number of windows.

        Raises
        ------
        QueryError
            No families were found yet; the message says how to find them. Or ``new_since`` is no date.
        CorpusDamaged
            The families are missing or altered.
        """
        with self._corpus.outlived():
            return families_of(self._corpus, new_since, min_windows)

    def family(self, name: str, k: int | None = 100) -> FamilyMembers:
        """Return a family with its windows, and the spacing of their frequencies.

        Parameters
        ----------
        name : str
            Id, such as ``F12``, or the user's name of it.
        k : int, optional
            Maximum number of windows, those most like the exemplar; None for all.

        Raises
        ------
        QueryError
            There is no such family, or the corpus holds none of its windows any more.
        CorpusDamaged
            Something is missing or altered.
        """
        with self._corpus.outlived():
            return family_members(self._corpus, name, k)
