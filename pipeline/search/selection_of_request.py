"""Which windows a request may find."""

from __future__ import annotations

from pipeline.errors import ParameterError, parameter
from pipeline.search.encoder import count_vectors
from pipeline.search.filters import Filters
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import view_named
from pipeline.views import PLAIN


def selection_of(corpus: OpenCorpus, encoder_key: str, query: Query, request: SearchRequest) -> Selection:
    """Select the resolution classes and the windows that a request asks for.

    Raises
    ------
    ParameterError
        The corpus has no vectors of the query's resolution, or the filters leave nothing to find.
    """
    vectors = count_vectors(corpus.manifest, encoder_key)
    view = view_named(request.view, corpus.manifest) or PLAIN
    of_view = count_vectors(corpus.manifest, encoder_key, view.name) or vectors
    wanted = query.resolution or max(sorted(of_view), key=lambda resolution: of_view[resolution])
    if wanted not in vectors and not request.all_resolutions:
        raise ParameterError(f"{query.description.file} has resolution {wanted}, but the corpus has only "
                             f"{', '.join(sorted(vectors))}; to compare them anyway, search with "
                             f"{parameter('all_resolutions')}")
    resolutions = frozenset(vectors if request.all_resolutions else {wanted})
    return Selection.of(corpus, encoder_key, resolutions, request.filters or Filters())
