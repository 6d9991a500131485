"""Simulated data: noise, instrument, signals, windows, files, and the small archive of the demo."""

from pipeline.simulate.demo import demo_corpus
from pipeline.simulate.draw import Footprint, add_signal, moments_of
from pipeline.simulate.families import FAMILIES, UNSEEN, family, log_uniform, vary
from pipeline.simulate.files import PlacedSignal, Truth, fine_header, scatter, simulate_file
from pipeline.simulate.instrument import Instrument, noise
from pipeline.simulate.kinds import KINDS, random_pattern
from pipeline.simulate.paint import add_pattern
from pipeline.simulate.patterns import Cloud, Gains, Lines, Pattern, stretched, together, vary_pattern
from pipeline.simulate.population import SNR_RANGE, mixed_signal, random_signal, sibling
from pipeline.simulate.signals import FINE, Axes, Envelope, Path, Signal, Traits
from pipeline.simulate.unrelated import cutouts_of_unrelated, every_unrelated_cutout, member
from pipeline.simulate.windows import (
    CLEAN,
    FINE_GRID,
    NOISE,
    SKY,
    Scene,
    place_in_window,
    simulate_cutouts,
    simulate_families,
    simulate_kinds,
    simulate_power,
    simulate_windows,
)

__all__ = [
    "CLEAN",
    "FAMILIES",
    "FINE",
    "FINE_GRID",
    "KINDS",
    "NOISE",
    "SKY",
    "SNR_RANGE",
    "UNSEEN",
    "Axes",
    "Cloud",
    "Envelope",
    "Footprint",
    "Gains",
    "Instrument",
    "Lines",
    "Path",
    "Pattern",
    "PlacedSignal",
    "Scene",
    "Signal",
    "Traits",
    "Truth",
    "add_pattern",
    "add_signal",
    "cutouts_of_unrelated",
    "demo_corpus",
    "every_unrelated_cutout",
    "family",
    "fine_header",
    "log_uniform",
    "member",
    "mixed_signal",
    "moments_of",
    "noise",
    "place_in_window",
    "random_pattern",
    "random_signal",
    "scatter",
    "sibling",
    "simulate_cutouts",
    "simulate_families",
    "simulate_file",
    "simulate_kinds",
    "simulate_power",
    "simulate_windows",
    "stretched",
    "together",
    "vary",
    "vary_pattern",
]
