"""Hit tables of other programs: turboSETI, seticore, bliss and hyperseti. Reads them; knows nothing of searches."""

from pipeline.hit_tables.read import MAX_TABLE_BYTES, parse_hit_table, read_hit_table
from pipeline.hit_tables.rows import HitRow, HitTable, Pixels, ScanHint, UnusableRow

__all__ = ["MAX_TABLE_BYTES", "HitRow", "HitTable", "Pixels", "ScanHint", "UnusableRow", "parse_hit_table",
           "read_hit_table"]
