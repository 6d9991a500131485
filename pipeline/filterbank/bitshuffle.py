"""Decode bitshuffle + LZ4, as nearly all archives store float32 samples, straight to where they are wanted.

HDF5's own way decodes a whole chunk into memory of its own, by a plugin that is built for the least of processors, and
copies what is wanted from there. Here only the blocks that hold wanted samples are decoded, each while it is in a
core's nearest cache, and every length is checked: damage is told, it never leads outside the chunk.

A chunk is, all numbers big-endian::

    u64 decoded bytes │ u32 block bytes │ (u32 length, block compressed by LZ4) … │ left-over samples, raw

A block holds, of a multiple of eight samples, first the lowest bit of all, then the next bit of all, and so on
(Masui et al. 2015, https://arxiv.org/abs/1503.00638; https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

HEAD_BYTES = 12
GROUP = 8
"""Samples that bitshuffle handles together."""
SAMPLE_BYTES = 4

_compiled = njit(cache=True, nogil=True)


@intrinsic  # type: ignore[untyped-decorator]
def _copy(typing: Any, target: Any, to: Any, source: Any, start: Any, count: Any) -> Any:
    """Copy bytes between uint8 arrays, which must not overlap: many short runs, so a loop of any kind is too slow."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        into, out_of = (context.make_array(signature.args[i])(context, builder, values[i]).data for i in (0, 2))
        cgutils.raw_memcpy(builder, builder.gep(into, [values[1]]), builder.gep(out_of, [values[3]]), values[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


@_compiled
def decode(stored, shape, start, stop, out, row, column):  # type: ignore[no-untyped-def]
    """Decode a part of a chunk of float32 samples.

    Parameters
    ----------
    stored : (n,) uint8
        The chunk as it is stored.
    shape : (spectra, products, channels)
        Of the chunk.
    start, stop : (spectrum, product, channel)
        Corners of the part, of one product, within the chunk.
    out : (spectra, channels) uint32, C-contiguous
        The bits of the samples go here …
    row, column : int
        … from this place on.

    Returns
    -------
    bool
        False where the chunk is damaged, as far as that can be told; ``out`` then holds anything.
    """
    samples, of_a_spectrum = shape[0] * shape[1] * shape[2], shape[1] * shape[2]
    if len(stored) < HEAD_BYTES or _number(stored, 0, 8) != SAMPLE_BYTES * samples:
        return False
    block = _number(stored, 8, 4) // SAMPLE_BYTES
    if block == 0 or _number(stored, 8, 4) % (SAMPLE_BYTES * GROUP):
        return False
    room = min(block, samples)
    planes, scratch = np.empty(SAMPLE_BYTES * room, np.uint8), np.empty((SAMPLE_BYTES, room // GROUP), np.uint64)
    decoded = np.empty(room, np.uint32)
    at, first = HEAD_BYTES, 0
    while first < samples:
        count = min(block, samples - first)
        is_left_over = count < GROUP
        count -= 0 if is_left_over else count % GROUP
        size = SAMPLE_BYTES * count
        if not is_left_over:
            if at + 4 > len(stored):
                return False
            size, at = _number(stored, at, 4), at + 4
        if size > len(stored) - at:
            return False
        is_decoded = False
        for t in range(max(start[0], first // of_a_spectrum), min(stop[0], (first + count - 1) // of_a_spectrum + 1)):
            begin = (t * shape[1] + start[1]) * shape[2]  # of this spectrum and product
            low, high = max(first, begin + start[2]), min(first + count, begin + stop[2])
            if low < high:
                if not is_decoded:
                    if is_left_over:
                        _copy(decoded.view(np.uint8), 0, stored, at, size)
                    elif not _expand(stored, at, at + size, planes, SAMPLE_BYTES * count):
                        return False
                    else:
                        _unshuffle(planes, scratch, decoded, count)
                    is_decoded = True
                to = out[row + t - start[0]].view(np.uint8)
                _copy(to, SAMPLE_BYTES * (column + low - begin - start[2]), decoded.view(np.uint8),
                      SAMPLE_BYTES * (low - first), SAMPLE_BYTES * (high - low))
        at, first = at + size, first + count
    return at == len(stored)


@_compiled
def _number(stored, at, count):  # type: ignore[no-untyped-def]
    value = np.int64(0)
    for i in range(at, at + count):
        value = (value << 8) | np.int64(stored[i])
    return value


@_compiled
def _expand(stored, at, end, out, size):  # type: ignore[no-untyped-def]
    """Expand a block of LZ4 to exactly ``size`` bytes; return False if it is no such block."""
    done = np.int64(0)
    while at < end:
        token = np.int64(stored[at])
        count, at = _length(stored, at + 1, end, token >> 4)
        if count > end - at or count > size - done:
            return False
        _copy(out, done, stored, at, count)
        done, at = done + count, at + count
        if at == end:
            return done == size
        if end - at < 2:
            return False
        back = np.int64(stored[at]) | (np.int64(stored[at + 1]) << 8)
        count, at = _length(stored, at + 2, end, token & 15)
        count += 4
        if back == 0 or back > done or count > size - done:
            return False
        copied = np.int64(0)
        while copied < count:  # what repeats itself is copied in lengths that double
            more = min(back + copied, count - copied)
            _copy(out, done + copied, out, done - back, more)
            copied += more
        done += count
    return False


@_compiled
def _length(stored, at, end, count):  # type: ignore[no-untyped-def]
    """Return a length of four bits, continued in further bytes where all are set, and where it ends."""
    more = np.int64(255) if count == 15 else np.int64(0)
    while more == 255 and at < end:
        more = np.int64(stored[at])
        count, at = count + more, at + 1
    return count, at


@_compiled
def _unshuffle(planes, scratch, out, count):  # type: ignore[no-untyped-def]
    """Gather the bits of ``count`` samples: eight planes at a time are turned in squares of 8 × 8 bits."""
    width = count // GROUP
    bits = planes[: SAMPLE_BYTES * count].reshape(SAMPLE_BYTES * 8, width)
    for k in range(SAMPLE_BYTES):
        p0, p1, p2, p3 = bits[8 * k], bits[8 * k + 1], bits[8 * k + 2], bits[8 * k + 3]
        p4, p5, p6, p7 = bits[8 * k + 4], bits[8 * k + 5], bits[8 * k + 6], bits[8 * k + 7]
        turned = scratch[k][:width]
        for j in range(len(turned)):
            x = np.uint64(p0[j]) | np.uint64(p1[j]) << np.uint64(8) | np.uint64(p2[j]) << np.uint64(16)
            x |= np.uint64(p3[j]) << np.uint64(24) | np.uint64(p4[j]) << np.uint64(32)
            x |= np.uint64(p5[j]) << np.uint64(40) | np.uint64(p6[j]) << np.uint64(48)
            x |= np.uint64(p7[j]) << np.uint64(56)
            swapped = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
            x = x ^ swapped ^ (swapped << np.uint64(7))
            swapped = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
            x = x ^ swapped ^ (swapped << np.uint64(14))
            swapped = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
            turned[j] = x ^ swapped ^ (swapped << np.uint64(28))
    b0, b1, b2, b3 = (scratch[0].view(np.uint8), scratch[1].view(np.uint8), scratch[2].view(np.uint8),
                      scratch[3].view(np.uint8))
    out = out[:count]
    for i in range(len(out)):
        low = np.uint32(b0[i]) | np.uint32(b1[i]) << np.uint32(8)
        out[i] = low | np.uint32(b2[i]) << np.uint32(16) | np.uint32(b3[i]) << np.uint32(24)
