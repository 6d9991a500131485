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
def blocks_of(stored, samples):  # type: ignore[no-untyped-def]
    """Find the blocks of a chunk of so many float32 samples.

    Returns
    -------
    (blocks, 2) int64
        Where each begins and ends, the last perhaps what is left over; none where lengths do not fit together.
    int
        Samples a block.
    """
    damaged = np.empty((0, 2), np.int64)
    if len(stored) < HEAD_BYTES or _number(stored, 0, 8) != SAMPLE_BYTES * samples:
        return damaged, 0
    size = _number(stored, 8, 4)
    if size == 0 or size % (SAMPLE_BYTES * GROUP):
        return damaged, 0
    block = size // SAMPLE_BYTES
    whole, last = samples // block, samples % block
    compressed = whole + (last >= GROUP)
    blocks = np.empty((compressed + (last % GROUP > 0), 2), np.int64)
    at = HEAD_BYTES
    for i in range(compressed):
        if at + 4 > len(stored):
            return damaged, 0
        size, at = _number(stored, at, 4), at + 4
        blocks[i] = at, at + size
        at += size
    if last % GROUP:
        blocks[-1] = at, at + SAMPLE_BYTES * (last % GROUP)
        at = blocks[-1, 1]
    return (blocks, block) if at == len(stored) else (damaged, 0)


@_compiled
def decode(stored, blocks, block, shape, start, stop, out, row, column):  # type: ignore[no-untyped-def]
    """Decode a part of a chunk of float32 samples.

    Parameters
    ----------
    stored : (n,) uint8
        Where the chunk lies.
    blocks : (blocks, 2) int64
        Where each block begins and ends in it.
    block : int
        Samples a block.
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
        False where a block does not expand to its length; ``out`` then holds anything.
    """
    samples = shape[0] * shape[1] * shape[2]
    room = min(block, samples)
    planes, scratch = np.empty(SAMPLE_BYTES * room, np.uint8), np.empty((SAMPLE_BYTES, room // GROUP), np.uint64)
    decoded = np.empty(room, np.uint32)
    of_bytes, to = decoded.view(np.uint8), out.reshape(-1).view(np.uint8)
    done = -1
    for t in range(start[0], stop[0]):
        begin = (t * shape[1] + start[1]) * shape[2]  # of this spectrum and product
        first = begin + start[2]
        while first < begin + stop[2]:
            i = first // block
            count = min(block, samples - i * block)
            count = count if count < GROUP else count - count % GROUP
            if first >= i * block + count:  # what is left over lies behind the last block
                i, count = i + 1, samples % GROUP
            at = i * block if count >= GROUP else samples - count
            if i != done:
                if count < GROUP:
                    _copy(of_bytes, 0, stored, blocks[i, 0], SAMPLE_BYTES * count)
                elif _expand(stored, blocks[i, 0], blocks[i, 1], planes, SAMPLE_BYTES * count):
                    _unshuffle(planes, scratch, decoded, count)
                else:
                    return False
                done = i
            stop_here = min(at + count, begin + stop[2])
            target = (row + t - start[0]) * out.shape[1] + column + first - begin - start[2]
            _copy(to, SAMPLE_BYTES * target, of_bytes, SAMPLE_BYTES * (first - at), SAMPLE_BYTES * (stop_here - first))
            first = stop_here
    return True


@_compiled
def decode_chunks(  # type: ignore[no-untyped-def]
    stored, blocks, block, corners, shape, start, stop, out, row, column
):
    """Decode what lies between two corners of a dataset, of one product, out of chunks behind one another.

    Parameters
    ----------
    stored : (n,) uint8
    blocks : (chunks, blocks, 2) int64
        Where each block of each chunk begins and ends in it.
    block : int
        Samples a block.
    corners : (chunks, 3) int64
        First sample of each chunk.
    shape : (spectra, products, channels)
        Of a chunk.
    out : (spectra, channels) uint32, C-contiguous
        The bits of the samples go here …
    row, column : int
        … from this place on.

    Returns
    -------
    int
        Which chunk is damaged; -1 if none is.
    """
    for k in range(len(corners)):
        corner = corners[k]
        first = (max(start[0] - corner[0], 0), start[1] - corner[1], max(start[2] - corner[2], 0))
        last = (min(stop[0] - corner[0], shape[0]), stop[1] - corner[1], min(stop[2] - corner[2], shape[2]))
        if first[0] >= last[0] or first[2] >= last[2]:
            continue
        to_row, to_column = row + max(corner[0] - start[0], 0), column + max(corner[2] - start[2], 0)
        if not decode(stored, blocks[k], block, shape, first, last, out, to_row, to_column):
            return k
    return -1


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
