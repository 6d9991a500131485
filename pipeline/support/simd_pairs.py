"""Sums of neighbouring lanes, without leaving the registers. The vectors are those of :mod:`pipeline.support.simd`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from pipeline.support.simd import intrinsic


@intrinsic
def add_pairs(typing: Any, a: Any, b: Any) -> Any:
    """Return the sums of neighbouring numbers: those of ``a`` in the first half, those of ``b`` in the second one.

    The sums of integers must be in their range.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        is_floating = isinstance(values[0].type.element, ir.FloatType)
        return (builder.fadd if is_floating else builder.add)(*_sides(builder, values, a.count))

    return a(a, b), generate


@intrinsic
def add_half_pairs(typing: Any, a: Any, b: Any) -> Any:
    """Return half of each sum of :func:`add_pairs`, rounded down. The sums may have one bit more than the integers."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, right = _sides(builder, values, a.count)
        one = _ones(left.type)
        carried = builder.and_(builder.and_(left, right), one)
        return builder.add(builder.add(builder.ashr(left, one), builder.ashr(right, one)), carried)

    return a(a, b), generate


@intrinsic
def half(typing: Any, a: Any) -> Any:
    """Return half of each integer, rounded down."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ashr(values[0], _ones(values[0].type))

    return a(a), generate


def _sides(builder: Any, vectors: Any, count: int) -> list[Any]:
    """Emit the left and the right number of each pair of two vectors."""
    places = (ir.Constant(ir.VectorType(ir.IntType(32), count), [*range(first, 2 * count, 2)]) for first in (0, 1))
    return [builder.shuffle_vector(*vectors, side) for side in places]


def _ones(kind: Any) -> Any:
    return ir.Constant(kind, [1] * kind.count)
