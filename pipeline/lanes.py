"""Numbers side by side, for compiled loops: what a processor loads, adds or compares at once, spelled out.

A compiler makes such loops of plain ones by itself, but where a loop reads and writes many arrays it first asks, each
time anew, whether they overlap, and it gives up on those that fold four numbers into one. Code in terms of lanes is
the same on every processor: wider registers take them in fewer steps.

Indices are not checked, and a load or store reaches :data:`COUNT` numbers far.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, register_model

COUNT = 32
"""Numbers side by side."""


def obey_environment() -> None:
    """Let numba read its settings again: by itself it does so when it next compiles, which may be after it has begun.

    Threads that were started by another number than the environment's end that compilation with an error.
    """
    config.reload_config()


class Lanes(types.Type):  # type: ignore[misc]
    """The type of :data:`COUNT` numbers of a kind."""

    def __init__(self, of: Any) -> None:
        self.of = of
        super().__init__(name=f"Lanes({of})")


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(manager.lookup(lanes.of).get_value_type(), COUNT))


def intrinsic(function: Any) -> Any:
    """Make a function that is called in compiled code of one that says how to generate it."""
    return _intrinsic(function)


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return the numbers of a one-dimensional, contiguous array from an index on."""
    lanes = Lanes(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, signature, values, context.get_value_type(lanes))
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return lanes(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write numbers into a one-dimensional, contiguous array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, signature, values, values[2].type)
        builder.store(values[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


def _pointer(context: Any, builder: Any, signature: Any, values: Any, to: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, values[0]).data
    return builder.bitcast(builder.gep(data, [values[1]]), to.as_pointer())


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask for a number of an array to be brought near, wherever it is; nothing happens where there is none."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        pointer = builder.bitcast(builder.gep(data, [values[1]]), ir.IntType(8).as_pointer())
        whole = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, whole, whole, whole])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, *(ir.Constant(whole, value) for value in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """Return a number in all lanes."""
    lanes = Lanes(number)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        of = context.get_value_type(lanes)
        first = builder.insert_element(ir.Constant(of, ir.Undefined), values[0], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), COUNT), None)
        return builder.shuffle_vector(first, ir.Constant(of, ir.Undefined), everywhere)

    return lanes(number), generate


@intrinsic
def backwards(typing: Any, a: Any) -> Any:
    """Return the numbers in the opposite order."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        order = ir.Constant(ir.VectorType(ir.IntType(32), COUNT), [*range(COUNT)][::-1])
        return builder.shuffle_vector(values[0], ir.Constant(values[0].type, ir.Undefined), order)

    return a(a), generate


def _of_two(whole: str, floating: str) -> Any:
    """Return an operation on two lanes of a kind."""

    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return getattr(builder, floating if isinstance(a.of, types.Float) else whole)(*values)

        return a(a, b), generate

    return intrinsic(operation)


add, subtract, multiply = _of_two("add", "fadd"), _of_two("sub", "fsub"), _of_two("mul", "fmul")


def _chosen(relation: str) -> Any:
    """Return an operation that chooses one of two, lane by lane; neither may be NaN."""

    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            compare = builder.fcmp_ordered if isinstance(a.of, types.Float) else builder.icmp_signed
            return builder.select(compare(relation, *values), *values)

        return a(a, b), generate

    return intrinsic(operation)


larger, smaller = _chosen(">"), _chosen("<")


@intrinsic
def counted(typing: Any, count: Any, a: Any, least: Any) -> Any:
    """Return counts, one more where whole numbers reach ``least``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        reaches = builder.icmp_signed(">=", values[1], values[2])
        return builder.sub(values[0], builder.sext(reaches, values[0].type))

    return count(count, a, least), generate


@intrinsic
def truncated(typing: Any, a: Any) -> Any:
    """Return floating numbers cut towards zero, as 16-bit ones, which must hold them."""
    to = Lanes(types.int16)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        whole = builder.fptosi(values[0], ir.VectorType(ir.IntType(32), COUNT))
        return builder.trunc(whole, context.get_value_type(to))

    return to(a), generate


@intrinsic
def store_quarters(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write a quarter, rounded down, of the sum of each four neighbours of 16 bits: a fourth as many numbers."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        fours = _sums_of_pairs(builder, _sums_of_pairs(builder, values[2], 16), 32)
        quarters = builder.trunc(builder.ashr(fours, ir.Constant(fours.type, [2] * fours.type.count)),
                                 ir.VectorType(ir.IntType(16), fours.type.count))
        builder.store(quarters, _pointer(context, builder, signature, values, quarters.type), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


def _sums_of_pairs(builder: Any, numbers: Any, bits: int) -> Any:
    """Add neighbours, of so many bits, in numbers of twice as many."""
    wide = ir.VectorType(ir.IntType(2 * bits), numbers.type.count // 2)
    pairs, by = builder.bitcast(numbers, wide), ir.Constant(wide, [bits] * wide.count)
    return builder.add(builder.ashr(builder.shl(pairs, by), by), builder.ashr(pairs, by))
