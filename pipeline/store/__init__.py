"""The corpus on disk: manifest generations, and immutable groups of windows and of vectors."""

from pipeline.store.commit import commit_source_group, commit_vector_group
from pipeline.store.corpus import CorpusStore, Recovered
from pipeline.store.encoder import corpus_encoder, freeze_projection, is_fitted
from pipeline.catalogue.entries import FileEntry, SegmentEntry, SourceEntry
from pipeline.store.groups import SourceGroup, VectorGroup
from pipeline.store.layout import cell_id, segment_folder, source_folder, vector_folder
from pipeline.catalogue.manifest import Manifest, removed_message
from pipeline.catalogue.source_names import source_named
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
    "FileEntry",
    "Manifest",
    "Part",
    "Recovered",
    "SegmentEntry",
    "SourceEntry",
    "SourceGroup",
    "VectorGroup",
    "cell_id",
    "commit_source_group",
    "commit_vector_group",
    "corpus_encoder",
    "freeze_projection",
    "is_fitted",
    "read_part",
    "read_part_vectors",
    "remove_parts",
    "remove_windows",
    "removed_message",
    "segment_folder",
    "source_folder",
    "source_named",
    "vector_folder",
    "write_part",
    "write_part_vectors",
]
