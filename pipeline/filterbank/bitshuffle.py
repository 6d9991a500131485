"""Decode bitshuffle + LZ4, in which nearly all archives store float32 samples, directly into the caller's array.

HDF5 decodes a whole chunk into memory of its own, by a plugin that is compiled for the least capable processors, and
then copies the wanted part. Here only the blocks with wanted samples are decoded, each while it is in the nearest cache
of a core. Every length is checked: damage is reported, and never leads outside the chunk.

A chunk holds, with all numbers big-endian::

    u64 decoded bytes │ u32 block bytes │ (u32 length, block compressed by LZ4) … │ left-over samples, raw

The number of samples in a block is a multiple of eight. A block holds the lowest bit of all its samples, then the next
bit of all, and so on (Masui et al. 2015, https://arxiv.org/abs/1503.00638;
https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from pipeline.filterbank.chunks import GROUP, HEAD_BYTES
from pipeline.support.compiled import njit
from pipeline.support.simd import intrinsic

SAMPLE_BYTES = 4
BITS = 8 * SAMPLE_BYTES
TILE = 64
"""Number of bytes of each bit plane that are processed together."""

_compiled = njit(cache=True, nogil=True)


@intrinsic
def _copy(typing: Any, target: Any, to: Any, source: Any, start: Any, count: Any) -> Any:
    """Copy bytes between uint8 arrays that do not overlap. Runs are many and short, so any loop would be too slow."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        into, out_of = (context.make_array(signature.args[i])(context, builder, values[i]).data for i in (0, 2))
        cgutils.raw_memcpy(builder, builder.gep(into, [values[1]]), builder.gep(out_of, [values[3]]), values[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


@_compiled
def blocks_of(stored, samples):  # type: ignore[no-untyped-def]
    """Find the blocks of a chunk with this number of float32 samples.

    Returns
    -------
    (blocks, 2) int64
        First byte and end of each block. The last entry may be the left-over samples. Empty if lengths do not fit.
    int
        Number of samples in a block.
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
        blocks[i, 0], blocks[i, 1] = at, at + size  # one assignment of both takes six times as long to compile
        at += size
    if last % GROUP:
        blocks[-1, 0], at = at, at + SAMPLE_BYTES * (last % GROUP)
        blocks[-1, 1] = at
    return (blocks, block) if at == len(stored) else (damaged, 0)


@_compiled
def decode(stored, blocks, block, shape, start, stop, out, row, column):  # type: ignore[no-untyped-def]
    """Decode a part of a chunk of float32 samples.

    Parameters
    ----------
    stored : (n,) uint8
        The bytes that hold the chunk.
    blocks : (blocks, 2) int64
        First byte and end of each block in ``stored``.
    block : int
        Number of samples in a block.
    shape : (spectra, polarisations, channels)
        Shape of the chunk.
    start, stop : (spectrum, polarisation, channel)
        Corners of the part, of one polarisation, within the chunk.
    out : (spectra, channels) uint32, C-contiguous
        Array for the bits of the samples.
    row, column : int
        Place in ``out`` of the first sample.

    Returns
    -------
    bool
        False if a block does not expand to its length. The content of ``out`` is then undefined.
    """
    samples = shape[0] * shape[1] * shape[2]
    room = min(block, samples)
    planes, decoded = np.empty(SAMPLE_BYTES * room, np.uint8), np.empty(SAMPLE_BYTES * room, np.uint8)
    to = out.reshape(-1).view(np.uint8)
    done = -1
    for t in range(start[0], stop[0]):
        begin = (t * shape[1] + start[1]) * shape[2]  # first sample of this spectrum and polarisation
        first = begin + start[2]
        while first < begin + stop[2]:
            i = first // block
            count = min(block, samples - i * block)
            count = count if count < GROUP else count - count % GROUP
            if first >= i * block + count:  # left-over samples lie behind the last block
                i, count = i + 1, samples % GROUP
            at = i * block if count >= GROUP else samples - count
            stop_here = min(at + count, begin + stop[2])
            target = SAMPLE_BYTES * ((row + t - start[0]) * out.shape[1] + column + first - begin - start[2])
            is_direct = first == at and stop_here == at + count and count >= GROUP
            if i != done:
                if count < GROUP:
                    _copy(decoded, 0, stored, blocks[i, 0], SAMPLE_BYTES * count)
                elif _expand(stored, blocks[i, 0], blocks[i, 1], planes, SAMPLE_BYTES * count):
                    _unshuffle(planes, count, to if is_direct else decoded, target if is_direct else 0)
                else:
                    return False
                done = -1 if is_direct else i  # a block that went directly to its place is not needed again
            if not is_direct:
                _copy(to, target, decoded, SAMPLE_BYTES * (first - at), SAMPLE_BYTES * (stop_here - first))
            first = stop_here
    return True


@_compiled
def decode_chunks(  # type: ignore[no-untyped-def]
    stored, blocks, block, corners, shape, start, stop, out, row, column
):
    """Decode samples of one polarisation between two corners of a dataset, from chunks that follow one another.

    Parameters
    ----------
    stored : (n,) uint8
        The bytes that hold the chunks.
    blocks : (chunks, blocks, 2) int64
        First byte and end of each block of each chunk in ``stored``.
    block : int
        Number of samples in a block.
    corners : (chunks, 3) int64
        First sample of each chunk.
    shape : (spectra, polarisations, channels)
        Shape of a chunk.
    start, stop : (spectrum, polarisation, channel)
        Corners of the wanted samples in the dataset.
    out : (spectra, channels) uint32, C-contiguous
        Array for the bits of the samples.
    row, column : int
        Place in ``out`` of the first sample.

    Returns
    -------
    int
        Index of a damaged chunk; -1 if there is none.
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
    """Expand a block of LZ4 to exactly ``size`` bytes. Return False if that is impossible."""
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
        while copied < count:  # a repeated pattern is copied in pieces whose lengths double
            more = min(back + copied, count - copied)
            _copy(out, done + copied, out, done - back, more)
            copied += more
        done += count
    return False


@_compiled
def _length(stored, at, end, count):  # type: ignore[no-untyped-def]
    """Return a length and the position behind it. It has four bits; if all are set, further bytes add to it."""
    more = np.int64(255) if count == 15 else np.int64(0)
    while more == 255 and at < end:
        more = np.int64(stored[at])
        count, at = count + more, at + 1
    return count, at


@_compiled
def _unshuffle(planes, count, out, to):  # type: ignore[no-untyped-def]
    """Gather the bits of ``count`` samples into bytes of ``out``."""
    width = count // GROUP
    rest = width % TILE
    for byte in range(0, width - rest, TILE):
        _gather(planes, byte, width, out, to + BITS * byte)
    if rest:
        some, samples = np.empty(BITS * TILE, np.uint8), np.empty(BITS * TILE, np.uint8)
        for plane in range(BITS):
            _copy(some, TILE * plane, planes, width * plane + width - rest, rest)
        _gather(some, 0, TILE, samples, 0)
        _copy(out, to + BITS * (width - rest), samples, 0, BITS * rest)


@intrinsic
def _gather(typing: Any, planes: Any, at: Any, apart: Any, out: Any, to: Any) -> Any:
    """Gather the bits of 512 samples, 64 bytes of each plane, into ``out``. Planes lie ``apart`` bytes apart."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, target = (context.make_array(signature.args[i])(context, builder, values[i]).data for i in (0, 3))
        _, at, apart, _, to = values
        line = ir.VectorType(ir.IntType(8), TILE)

        def place(base: Any, first: Any, distance: Any) -> Any:
            return builder.bitcast(builder.gep(base, [builder.add(first, distance)]), line.as_pointer())

        bytes_of_samples = []
        for first in range(0, BITS, 8):
            bits = [builder.load(place(source, at, builder.mul(apart, ir.Constant(apart.type, first + k))), align=1)
                    for k in range(8)]
            bytes_of_samples.append(_transposed(context, builder, bits))
        for k, parts in enumerate(zip(*bytes_of_samples, strict=True)):
            for i, samples in enumerate(_woven(builder, parts)):
                builder.store(samples, place(target, to, ir.Constant(to.type, TILE * (len(parts) * k + i))), align=1)
        return context.get_dummy_value()

    return types.void(planes, types.intp, types.intp, out, types.intp), generate


def _transposed(context: Any, builder: Any, bits: list[Any]) -> list[Any]:
    """Make bytes, in order, from eight vectors of their bits, lowest bit first."""
    if "+gfni" in context.codegen()._tm_features and "+avx512bw" in context.codegen()._tm_features:
        # The instruction multiplies 8 × 8 bits, last row first, by a column. Unit columns transpose the bits.
        line, byte = bits[0].type, ir.IntType(8)
        units, nothing = ir.Constant(line, [1 << i for i in range(8)] * (TILE // 8)), ir.Constant(byte, 0)
        multiply = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(line, [line, line, byte]), "llvm.x86.vgf2p8affineqb.512")
        return [builder.call(multiply, [units, square, nothing]) for square in _woven(builder, bits[::-1])]
    return [_transposed_squares(builder, squares) for squares in _woven(builder, bits)]


def _transposed_squares(builder: Any, squares: Any) -> Any:
    """Transpose each 8 × 8 bits: swap single bits, then pairs, then fours (Warren, Hacker's Delight, 7-3)."""
    whole = ir.VectorType(ir.IntType(64), TILE // 8)
    turned = builder.bitcast(squares, whole)
    for apart, above in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        by = ir.Constant(whole, [apart] * whole.count)
        differ = builder.and_(builder.xor(turned, builder.lshr(turned, by)), ir.Constant(whole, [above] * whole.count))
        turned = builder.xor(builder.xor(turned, differ), builder.shl(differ, by))
    return builder.bitcast(turned, squares.type)


def _woven(builder: Any, threads: Sequence[Any]) -> list[Any]:
    """Interleave the bytes of vectors, whose number is a power of 2. Return the same number of vectors."""
    woven, bytes_each = [[thread] for thread in threads], 1
    while len(woven) > 1:
        woven = [[part for pair in zip(*pairs, strict=True) for part in _pairwise(builder, *pair, bytes_each)]
                 for pairs in zip(woven[::2], woven[1::2], strict=True)]
        bytes_each *= 2
    return woven[0]


def _pairwise(builder: Any, a: Any, b: Any, bytes_each: int) -> list[Any]:
    """Interleave groups of ``bytes_each`` bytes of ``a`` and ``b``. Return two vectors."""
    of_a = np.arange(TILE).reshape(-1, bytes_each)
    order = np.stack([of_a, of_a + TILE], axis=1).reshape(2, TILE)
    index = ir.VectorType(ir.IntType(32), TILE)
    return [builder.shuffle_vector(a, b, ir.Constant(index, half.tolist())) for half in order]
