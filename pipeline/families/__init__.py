"""Families: windows that look alike, grouped, numbered for good, and stored beside the corpus."""

from pipeline.families.assignment import VOTERS, assign
from pipeline.families.grouping import MIN_MEMBERS, NONE, group
from pipeline.families.matching import matched
from pipeline.families.spacing import Spacing, spacing_of
from pipeline.families.store import (
    families_folder,
    faults_of_families,
    has_families,
    mend_families,
    read_families,
    write_families,
    writing_families,
)
from pipeline.families.summary import Family, count_not_judged, held_sources, list_families, middles_mhz
from pipeline.families.table import MAX_TEXT_LENGTH, Entry, FamilyTable, family_id

__all__ = [
    "MAX_TEXT_LENGTH",
    "MIN_MEMBERS",
    "NONE",
    "VOTERS",
    "Entry",
    "Family",
    "FamilyTable",
    "Spacing",
    "assign",
    "count_not_judged",
    "families_folder",
    "family_id",
    "faults_of_families",
    "group",
    "has_families",
    "held_sources",
    "list_families",
    "matched",
    "mend_families",
    "middles_mhz",
    "read_families",
    "spacing_of",
    "write_families",
    "writing_families",
]
