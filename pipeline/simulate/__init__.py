"""Simulated data: noise, instrument, signals, windows, files, and the demo's small archive."""

from pipeline.simulate.demo import demo_corpus
from pipeline.simulate.families import (
    FAMILIES,
    NOISE,
    family,
    place_in_window,
    simulate_families,
    simulate_windows,
    vary,
)
from pipeline.simulate.files import Placed, Truth, fine_header, scatter, simulate_file
from pipeline.simulate.instrument import Instrument, noise
from pipeline.simulate.signals import Axes, Envelope, Footprint, Signal, add_signal

__all__ = [
    "FAMILIES",
    "NOISE",
    "Axes",
    "Envelope",
    "Footprint",
    "Instrument",
    "Placed",
    "Signal",
    "Truth",
    "add_signal",
    "demo_corpus",
    "family",
    "fine_header",
    "noise",
    "place_in_window",
    "scatter",
    "simulate_families",
    "simulate_file",
    "simulate_windows",
    "vary",
]
