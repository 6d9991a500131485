"""Averages of samples over channels and spectra, made while the samples are in the caches of a core.

Dead pixels are left out of an average, by the rules of flattening: power that is not finite or not positive, and
channels whose value never changes within a time block. Values that are not power are dead only if they are not finite.
An averaged pixel that lacks too many of its pixels is dead, and becomes NaN.

Four neighbours are added pairwise, and four sums again. So the average of a pixel is the same to the last bit, whether
or not other pixels are dead, and however the channels were divided into chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank import Buffer, Filterbank
from pipeline.flatten.flattened import in_memory_order
from pipeline.flatten.signed import is_signed
from pipeline.model import Header
from pipeline.scan.cutting import STRETCH_CHANNELS
from pipeline.scan.means_of_four import are_all_alive, average_living, mean_of_four, which_are_alive
from pipeline.support.memory import take_floats
from pipeline.views import View

MIN_ALIVE = 0.875
"""Minimum share of pixels that are not dead in an averaged pixel."""
Image = list[NDArray[np.float32]]
"""(spectra, channels) float32 for each stretch of a coarse channel, in the order of the file within a stretch."""
Spare = dict[tuple[int, int], list[NDArray[np.float32]]]
"""Arrays that can be used again, by shape."""


class Averages:
    """Averages of one coarse channel, for several views, over as many time blocks as the longest view spans.

    Parameters
    ----------
    views : sequence of View
    shape : (int, int)
        Spectra in a time block, and channels of the coarse channel.
    limits : (float, float)
        Smallest and largest value that a sample of the file can have; infinite if there are none.
    spare : dict of lists of arrays, optional
        Memory to average into, by shape. It is taken from there, and :meth:`give_back` puts it back.
    """

    def __init__(
        self, views: Sequence[View], shape: tuple[int, int], limits: tuple[float, float] = (-np.inf, np.inf),
        spare: Spare | None = None,
    ) -> None:
        self._spectra, self._channels = shape
        self._limits, self._spare = limits, {} if spare is None else spare
        self._done = 0
        self._images = {view: self._take_image(view) for view in views}
        self._factors = sorted({view.frequency for view in views})

    def _take_image(self, view: View) -> Image:
        """Return memory for a view: one array for each stretch, as :func:`flattened_stretches` reads it."""
        channels = self._channels // view.frequency
        shapes = [(self._spectra, min(STRETCH_CHANNELS, channels - start))
                  for start in range(0, channels, STRETCH_CHANNELS)]
        return [self._spare[shape].pop() if self._spare.get(shape) else take_floats(shape[0] * shape[1]).reshape(shape)
                for shape in shapes]

    def give_back(self) -> None:
        """Return the memory to the spare arrays. The averages are lost."""
        for image in self._images.values():
            for stretch in image:
                self._spare.setdefault((stretch.shape[0], stretch.shape[1]), []).append(stretch)
        self._images.clear()

    def watch(self, power: NDArray[np.float32], start: int, block: int, shared: int = 0) -> None:
        """Average what is new of some channels that were read.

        Channels are averaged in chunks of :data:`STRETCH_CHANNELS`, from low frequency. Reads that do not continue the
        last chunk are ignored.

        Parameters
        ----------
        power : (spectra, channels) float32
            The samples, ascending.
        start : int
            First channel, counted in the coarse channel.
        block : int
            Time block. Blocks follow one another, and each is averaged to its end (:meth:`end_block`).
        shared : int
            Number of its first spectra that the block before holds, too. Views that average spectra have them already.
        """
        stop = start + power.shape[1]
        while start <= self._done < self._channels:
            end = min(self._done + STRETCH_CHANNELS, self._channels)
            if end > stop:
                return
            self._add(power[:, self._done - start : end - start], self._done, block, shared)
            self._done = end

    def end_block(self) -> None:
        """Begin again at the lowest channel. Raise ``RuntimeError`` if channels of the block are missing."""
        if self._done < self._channels:
            raise RuntimeError(f"only {self._done} of {self._channels} channels were averaged")
        self._done = 0

    def _add(self, power: NDArray[np.float32], start: int, block: int, shared: int) -> None:
        """Average a chunk that begins at channel ``start``: over four channels, again over four, and over time."""
        stored, is_mirrored = in_memory_order(power)
        places = {view: self._place(view, start, stored.shape[1], block, shared, is_mirrored)
                  for view in self._images}
        means, shares, factor = _Area.of(stored), None, 1
        made = {}
        if self._factors[0] > 1:
            made = means.over_channels_if_alive(places.get(View(4)), places.get(View(16)))  # nearly always
        if not made and not are_all_alive(stored):
            alive = which_are_alive(stored, is_signed(stored), np.float32(self._limits[1]))
            means = _Area.of(np.where(alive, stored, np.float32(0)))
            shares = _Area.of(alive.astype(np.float32))
        for wanted in self._factors:
            while factor < wanted:
                factor *= 4
                is_last = shares is None  # these means are not changed any more, so they are made in their place
                means = made.get(factor) or means.over_channels(
                    is_mirrored, places.get(View(factor)) if is_last else None)
                shares = None if shares is None else shares.over_channels(is_mirrored)
            for view, place in places.items():
                if view.frequency == wanted and place is not means and place.rows:
                    new = slice(None) if view.time == 1 else slice(shared, shared + place.rows * view.time)
                    place.values[:] = _finished(_over_time(means.values[new], view.time),
                                                None if shares is None else _over_time(shares.values[new], view.time))

    def _place(self, view: View, start: int, channels: int, block: int, shared: int, is_mirrored: bool) -> _Area:
        """Return where the averages of a chunk belong, in the order of the file.

        If spectra are averaged, the averages of the longest time replace the oldest ones.
        """
        first, count = start // view.frequency, channels // view.frequency
        stretch, first = self._images[view][first // STRETCH_CHANNELS], first % STRETCH_CHANNELS
        if is_mirrored:
            first = stretch.shape[1] - first - count
        row = block % view.time * (self._spectra // view.time)
        rows = self._spectra if view.time == 1 else (self._spectra - shared) // view.time
        return _Area(stretch, row, rows, first, count)

    def samples(self, view: View, header: Header, spectrum: int) -> AveragedSamples:
        """Return one time block of a view, to be read like samples of a file with this ``header``.

        ``spectrum`` is the first averaged spectrum of the block. The block ends with the last one that was averaged.
        """
        image, oldest = self._images[view], spectrum % self._spectra if view.time > 1 else 0
        if oldest:
            image = [np.concatenate([stretch[oldest:], stretch[:oldest]]) for stretch in image]
        return AveragedSamples(image, header.foff_mhz < 0, view.pixels, self._limits)


@dataclass(frozen=True, slots=True)
class AveragedSamples:
    """Averages of one time block of one coarse channel, read like samples of a file."""

    image: Image
    is_mirrored: bool
    averaged: int
    """Number of samples of the file in each average."""
    limits: tuple[float, float]
    """Smallest and largest value that a sample of the file can have, and so an average, too."""
    channel: int = 0
    """First ascending channel."""

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a range, which must be of all spectra; a view of the averages if it is one of their stretches."""
        first, stop = channel_start - self.channel, channel_stop - self.channel
        pieces = []
        for k in range(first // STRETCH_CHANNELS, -(-stop // STRETCH_CHANNELS)):
            stretch = self.image[k][:, ::-1] if self.is_mirrored else self.image[k]
            at = k * STRETCH_CHANNELS
            pieces.append(stretch[:, max(0, first - at) : stop - at])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)


@dataclass(frozen=True, slots=True)
class _Area:
    """A part of a contiguous array. Compiled code is fast for whole arrays and for parts of their rows."""

    array: NDArray[np.float32]
    row: int
    rows: int
    column: int
    columns: int

    @classmethod
    def of(cls, array: NDArray[np.float32]) -> _Area:
        """Return the area that is the whole array."""
        return cls(array, 0, array.shape[0], 0, array.shape[1])

    @property
    def values(self) -> NDArray[np.float32]:
        """The numbers of the area."""
        return self.array[self.row : self.row + self.rows, self.column : self.column + self.columns]

    def over_channels(self, is_mirrored: bool, into: _Area | None = None) -> _Area:
        """Average every four neighbouring channels, in the given place. A rest at high frequency is left out."""
        columns, rest = divmod(self.columns, 4)
        into = _Area.of(np.empty((self.rows, columns), np.float32)) if into is None else into
        mean_of_four(self.array, self.row, self.column + (rest if is_mirrored else 0), self.rows, columns, into.array,
                     into.row, into.column)
        return into

    def over_channels_if_alive(self, fours: _Area | None, sixteens: _Area | None) -> dict[int, _Area]:
        """Average as :meth:`over_channels` does if no sample of the whole array is dead, in one pass over the samples.

        Parameters
        ----------
        fours, sixteens : _Area, optional
            Places for the means of four channels and of sixteen. Means of sixteen are made only if they have a place.

        Returns
        -------
        dict
            Number of channels → their means; empty if a sample may be dead. What is at the places is then undefined.
        """
        fours = _Area.of(np.empty((self.rows, self.columns // 4), np.float32)) if fours is None else fours
        wide = _Area.of(np.empty((0, 0), np.float32)) if sixteens is None else sixteens
        if not average_living(self.array, fours.array, fours.row, fours.column, wide.array, wide.row, wide.column):
            return {}
        return {4: fours} if sixteens is None else {4: fours, 16: sixteens}


def _over_time(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Return the mean of every ``factor`` spectra, a power of four."""
    while factor > 1:
        fours = values.reshape(-1, 4, values.shape[1])
        values = ((fours[:, 0] + fours[:, 1]) + (fours[:, 2] + fours[:, 3])) * np.float32(0.25)
        factor //= 4
    return values


def _finished(means: NDArray[np.float32], alive: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return the means of living pixels, given the means with 0 for dead ones, and the share of living ones."""
    if alive is None:
        return means
    with np.errstate(all="ignore"):  # a file may hold any value
        return np.where(alive >= np.float32(MIN_ALIVE), means / alive, np.float32(np.nan))


class AveragedFile:
    """One view of an open file, from which windows are cut like from a file of its own.

    Parameters
    ----------
    filterbank : Filterbank
    view : View
    spectra : int
        Spectra in a time block.
    """

    def __init__(self, filterbank: Filterbank, view: View, spectra: int) -> None:
        self._filterbank, self._view, self._spectra = filterbank, view, spectra

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Buffer) -> AveragedSamples:
        """Read and average one time block of one coarse channel.

        Parameters and errors are those of :meth:`pipeline.filterbank.Filterbank.fetch`, in averaged channels and
        spectra.
        """
        view, spectra = self._view, self._spectra
        low, channels = channel_start * view.frequency, (channel_stop - channel_start) * view.frequency
        averages = Averages([view], (spectra, channels), self._filterbank.limits)
        memory = np.empty(spectra * min(channels, STRETCH_CHANNELS), np.float32)
        nsamples = self._filterbank.header.nsamples
        for block in self._blocks(spectrum_start):
            first = min(block * spectra, nsamples - spectra)
            last, shared = first + spectra, block * spectra - first
            fetched = self._filterbank.fetch(first, last, low, low + channels, room)
            for start in range(0, channels, STRETCH_CHANNELS):
                stop = min(start + STRETCH_CHANNELS, channels)
                averages.watch(fetched.read(first, last, low + start, low + stop, memory), start, block,
                               shared)
            averages.end_block()
        return replace(averages.samples(view, self._filterbank.header, spectrum_start), channel=channel_start)

    def _blocks(self, spectrum: int) -> range:
        """Return the time blocks of the file that hold the time block of the view that begins at ``spectrum``."""
        time, spectra = self._view.time, self._spectra
        if spectrum % spectra == 0:
            return range(spectrum // spectra * time, (spectrum // spectra + 1) * time)
        # the last block of the view, which ends with the last one of the file
        stop = -(-self._filterbank.header.nsamples // spectra)
        return range(stop - 1 if time == 1 else spectrum * time // spectra, stop)
