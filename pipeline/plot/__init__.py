"""Pictures of a search: waterfalls of the query and the hits, in blimpy's style (viridis, dB, time upwards)."""

from pipeline.plot.gallery import MAX_HITS, draw_gallery, png_of_hits
from pipeline.plot.occurrence import plot_occurrence
from pipeline.plot.palette import colour_maps
from pipeline.plot.panel import Extent, Panel, Piece, Shown
from pipeline.plot.saved import Picture, save_figure
from pipeline.plot.understood import draw_understood

__all__ = [
    "MAX_HITS",
    "Extent",
    "Panel",
    "Picture",
    "Piece",
    "Shown",
    "colour_maps",
    "draw_gallery",
    "draw_understood",
    "plot_occurrence",
    "png_of_hits",
    "save_figure",
]
