"""Vector stores for compiled loops that round or combine numbers on the way to memory.

:mod:`pipeline.support.simd` has the plain ones. As there, nothing checks indices.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from pipeline.support.simd import element_pointer, fill, intrinsic, saturated_sum, shuffle

__all__ = ["store_half_sums_of_four", "store_rounded", "store_sums_of_four"]


@intrinsic
def store_rounded(typing: Any, array: Any, index: Any, vector: Any, shift: Any) -> Any:
    """Divide 16-bit integers by 2^``shift``, round them, and store them into an array of 16-bit or 8-bit integers.

    Halves are rounded up. Numbers outside the range of the array's type become its largest or smallest value.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        one, shift = ir.Constant(ir.IntType(16), 1), builder.trunc(values[3], ir.IntType(16))
        half = builder.lshr(builder.shl(one, shift), one)
        half, shift = (fill(builder, value, vector.count) for value in (half, shift))
        numbers = builder.ashr(saturated_sum(builder, values[2], half), shift)
        if array.dtype is types.int8:
            for relation, end in (("<", 127), (">", -128)):
                ends = ir.Constant(numbers.type, [end] * vector.count)
                numbers = builder.select(builder.icmp_signed(relation, numbers, ends), numbers, ends)
            numbers = builder.trunc(numbers, ir.VectorType(ir.IntType(8), vector.count))
        pointer = element_pointer(context, builder, signature, values, numbers.type)
        builder.store(numbers, pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


@intrinsic
def store_sums_of_four(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Store the sum of every four neighbouring floating-point numbers.

    The first two and the last two are added first, then both sums. The order matters for the rounding of the result.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums = values[2]
        for _ in range(2):
            count = sums.type.count
            sums = builder.fadd(*(shuffle(builder, sums, range(first, count, 2)) for first in (0, 1)))
        pointer = element_pointer(context, builder, signature, values, sums.type)
        builder.store(sums, pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def store_half_sums_of_four(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Store half the sum of every four neighbouring 16-bit integers, rounded down. The result must fit into 16 bits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        fours = _add_pairs(builder, _add_pairs(builder, values[2], 16), 32)
        halves = builder.trunc(builder.ashr(fours, ir.Constant(fours.type, [1] * fours.type.count)),
                               ir.VectorType(ir.IntType(16), fours.type.count))
        builder.store(halves, element_pointer(context, builder, signature, values, halves.type), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


def _add_pairs(builder: Any, numbers: Any, bits: int) -> Any:
    """Emit the sums of neighbouring integers of ``bits`` bits, as integers of twice as many bits."""
    wide = ir.VectorType(ir.IntType(2 * bits), numbers.type.count // 2)
    pairs, by = builder.bitcast(numbers, wide), ir.Constant(wide, [bits] * wide.count)
    return builder.add(builder.ashr(builder.shl(pairs, by), by), builder.ashr(pairs, by))
