"""Reads the power back from a picture of a waterfall plot, so that the plot can be searched for."""

from pipeline.plot_reader.reading import PlotReading, Scale, TimeRuns, parse_numbers, read_plot

__all__ = ["PlotReading", "Scale", "TimeRuns", "parse_numbers", "read_plot"]
