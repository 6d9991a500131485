"""Reads the power back from a picture of a waterfall plot, so that the plot can be searched for."""

from pipeline.plot_reader.reading import DEFAULT_RANGE_DB, PlotReading, Scale, TimeRuns, parse_numbers, read_plot

__all__ = ["DEFAULT_RANGE_DB", "PlotReading", "Scale", "TimeRuns", "parse_numbers", "read_plot"]
