"""Known interference: where allocations, emitters and filters of receivers lie in frequency."""

from pipeline.interference.bands import KnownBand, band_list, bands_named, known_bands, known_names, names_at, touching

__all__ = ["KnownBand", "band_list", "bands_named", "known_bands", "known_names", "names_at", "touching"]
