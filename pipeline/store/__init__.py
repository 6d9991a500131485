"""The corpus on disk: generations of the manifest, and immutable groups of windows and of vectors."""

from pipeline.store.commit import commit_source_group, commit_vector_group
from pipeline.store.corpus import CorpusStore, Recovered
from pipeline.store.encoder import corpus_encoder, freeze_projection, is_fitted
from pipeline.store.groups import SourceGroup, VectorGroup
from pipeline.store.layout import segment_folder, source_folder, vector_folder
from pipeline.store.staging import (
    Part,
    read_part,
    read_part_vectors,
    remove_parts,
    remove_windows,
    write_part,
    write_part_vectors,
)

__all__ = [
    "CorpusStore",
    "Part",
    "Recovered",
    "SourceGroup",
    "VectorGroup",
    "commit_source_group",
    "commit_vector_group",
    "corpus_encoder",
    "freeze_projection",
    "is_fitted",
    "read_part",
    "read_part_vectors",
    "remove_parts",
    "remove_windows",
    "segment_folder",
    "source_folder",
    "vector_folder",
    "write_part",
    "write_part_vectors",
]
