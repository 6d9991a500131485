"""The corpus on disk: generations of the manifest, and immutable groups of windows and of vectors."""

from pipeline.store.commit import (
    SourceCommit,
    commit_source_group,
    commit_source_groups,
    commit_vector_group,
    commit_vector_groups,
)
from pipeline.store.corpus import CorpusStore
from pipeline.store.encoder import (
    corpus_encoder,
    embedding,
    encoder_config,
    forget_unused,
    freeze_projection,
    is_fitted,
)
from pipeline.store.generations import current_generation, is_in_current_format
from pipeline.store.groups import SourceGroup, VectorGroup, count_old_groups
from pipeline.store.identity import fingerprint, is_identity_in_current_format, write_identity
from pipeline.store.layout import (
    CURRENT,
    IDENTITY,
    LOCK,
    STAGING,
    mending,
    overview_folder,
    pasted,
    segment_folder,
    source_folder,
    undoing,
    vector_folder,
)
from pipeline.store.lease import Lease
from pipeline.store.overviews import StoredOverview, commit_overview, write_overview_part
from pipeline.store.recovery import Recovered
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
    "CURRENT",
    "IDENTITY",
    "LOCK",
    "STAGING",
    "CorpusStore",
    "Lease",
    "Part",
    "Recovered",
    "SourceCommit",
    "SourceGroup",
    "StoredOverview",
    "VectorGroup",
    "commit_overview",
    "commit_source_group",
    "commit_source_groups",
    "commit_vector_group",
    "commit_vector_groups",
    "corpus_encoder",
    "count_old_groups",
    "current_generation",
    "embedding",
    "encoder_config",
    "fingerprint",
    "forget_unused",
    "freeze_projection",
    "is_fitted",
    "is_identity_in_current_format",
    "is_in_current_format",
    "mending",
    "overview_folder",
    "pasted",
    "read_part",
    "read_part_vectors",
    "remove_parts",
    "remove_windows",
    "segment_folder",
    "source_folder",
    "undoing",
    "vector_folder",
    "write_identity",
    "write_overview_part",
    "write_part",
    "write_part_vectors",
]
