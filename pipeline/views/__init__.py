"""Views of a scan: averages over channels and spectra, each with windows of its own."""

from pipeline.views.choice import AUTO, check_setting, views_of
from pipeline.views.view import (
    FREQUENCY_FACTORS,
    PLAIN,
    SUFFIX,
    View,
    is_plain,
    scan_of,
    shown_view,
    split_id,
    view_of,
)

__all__ = [
    "AUTO", "FREQUENCY_FACTORS", "PLAIN", "SUFFIX", "View", "check_setting", "is_plain", "scan_of", "shown_view",
    "split_id", "view_of", "views_of",
]
