"""Numbers side by side, for compiled loops: what a processor loads, adds or compares at once, spelled out.

A compiler makes such loops of plain ones by itself, but where a loop reads and writes many arrays it first asks, each
time anew, whether they overlap, and it gives up on those that fold four numbers into one. Code in terms of lanes is
the same on every processor: wider registers take them in fewer steps.

Indices are not checked, and a load or store reaches as many numbers far as there are lanes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, register_model

COUNT = 32
"""Numbers side by side …"""
COUNT_OF_BYTES = 64
"""… where they are of 8 bits."""
LINE_BYTES = 64
"""What a cache holds together."""


def obey_environment() -> None:
    """Let numba read its settings again: by itself it does so when it next compiles, which may be after it has begun.

    Threads that were started by another number than the environment's end that compilation with an error.
    """
    config.reload_config()


class Lanes(types.Type):  # type: ignore[misc]
    """The type of so many numbers of a kind."""

    def __init__(self, of: Any) -> None:
        self.of = of
        self.count = COUNT_OF_BYTES if of is types.int8 else COUNT
        super().__init__(name=f"Lanes({of})")


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(manager.lookup(lanes.of).get_value_type(), lanes.count))


def intrinsic(function: Any) -> Any:
    """Make a function that is called in compiled code of one that says how to generate it."""
    return _intrinsic(function)


@intrinsic
def count_of(typing: Any, array: Any) -> Any:
    """Return how many numbers of an array lie side by side."""
    count = Lanes(array.dtype).count
    return types.intp(array), lambda context, *_: context.get_constant(types.intp, count)


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
        builder.call(function, [pointer, *(ir.Constant(whole, value) for value in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """Return a number in all lanes."""
    lanes = Lanes(number)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _everywhere(builder, values[0], lanes.count)

    return lanes(number), generate


def _everywhere(builder: Any, number: Any, count: int) -> Any:
    nowhere = ir.Constant(ir.VectorType(number.type, count), ir.Undefined)
    first = builder.insert_element(nowhere, number, ir.Constant(ir.IntType(32), 0))
    return _chosen_lanes(builder, first, [0] * count)


@intrinsic
def backwards(typing: Any, a: Any) -> Any:
    """Return the numbers in the opposite order."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _chosen_lanes(builder, values[0], range(a.count)[::-1])

    return a(a), generate


def _of_two(whole: str, floating: str) -> Any:
    """Return an operation on two lanes of a kind."""

    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return getattr(builder, floating if isinstance(a.of, types.Float) else whole)(*values)

        return a(a, b), generate

    return intrinsic(operation)


subtract, multiply, divide = _of_two("sub", "fsub"), _of_two("mul", "fmul"), _of_two("sdiv", "fdiv")


@intrinsic
def add(typing: Any, a: Any, b: Any) -> Any:
    """Return sums; whole ones that are too large for their bits, or too small, become the largest or the least."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fadd(*values) if isinstance(a.of, types.Float) else _saturated_sum(builder, *values)

    return a(a, b), generate


def _saturated_sum(builder: Any, a: Any, b: Any) -> Any:
    kind, bits = ir.FunctionType(a.type, [a.type, a.type]), a.type.element.width
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sadd.sat.v{a.type.count}i{bits}")
    return builder.call(function, [a, b])


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
def where_positive(typing: Any, a: Any, b: Any) -> Any:
    """Return ``b`` where ``a`` is positive, 0 where it is not or is no number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        nothing = ir.Constant(values[0].type, [0] * a.count)
        return builder.select(builder.fcmp_ordered(">", values[0], nothing), values[1], nothing)

    return a(a, b), generate


@intrinsic
def is_any_outside(typing: Any, a: Any, low: Any, high: Any) -> Any:
    """Tell whether any number is not above ``low`` or not up to ``high``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        low, high = (_everywhere(builder, value, a.count) for value in values[1:])
        outside = builder.or_(*(builder.fcmp_unordered(relation, values[0], end)
                                for relation, end in (("<=", low), (">", high))))
        whole = builder.bitcast(outside, ir.IntType(a.count))
        return builder.icmp_unsigned("!=", whole, ir.Constant(whole.type, 0))

    return types.boolean(a, low, high), generate


@intrinsic
def largest_of(typing: Any, a: Any) -> Any:
    """Return the largest of the numbers, of which none may be NaN."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        compare = builder.fcmp_ordered if isinstance(a.of, types.Float) else builder.icmp_signed
        lanes = values[0]
        while lanes.type.count > 1:
            half = lanes.type.count // 2
            parts = [_chosen_lanes(builder, lanes, range(first, first + half)) for first in (0, half)]
            lanes = builder.select(compare(">", *parts), *parts)
        return builder.extract_element(lanes, ir.Constant(ir.IntType(32), 0))

    return a.of(a), generate


def _chosen_lanes(builder: Any, lanes: Any, order: Any) -> Any:
    order = [*order]
    chosen = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    return builder.shuffle_vector(lanes, ir.Constant(lanes.type, ir.Undefined), chosen)


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
def store_rounded(typing: Any, array: Any, index: Any, lanes: Any, shift: Any) -> Any:
    """Write numbers of 16 bits, divided by 2^``shift`` and rounded, into an array of 16 or 8 bits.

    What is too large for these, or too small, becomes the largest or the least of them.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        one, shift = ir.Constant(ir.IntType(16), 1), builder.trunc(values[3], ir.IntType(16))
        half = builder.lshr(builder.shl(one, shift), one)
        half, shift = (_everywhere(builder, value, lanes.count) for value in (half, shift))
        numbers = builder.ashr(_saturated_sum(builder, values[2], half), shift)
        if array.dtype is types.int8:
            for relation, end in (("<", 127), (">", -128)):
                ends = ir.Constant(numbers.type, [end] * lanes.count)
                numbers = builder.select(builder.icmp_signed(relation, numbers, ends), numbers, ends)
            numbers = builder.trunc(numbers, ir.VectorType(ir.IntType(8), lanes.count))
        pointer = _pointer(context, builder, signature, values, numbers.type)
        builder.store(numbers, pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes, types.intp), generate


@intrinsic
def store_fours(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write the sum of each four floating neighbours: the first two, the last two, then both."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums = values[2]
        for _ in range(2):
            count = sums.type.count
            sums = builder.fadd(*(_chosen_lanes(builder, sums, range(first, count, 2)) for first in (0, 1)))
        pointer = _pointer(context, builder, signature, values, sums.type)
        builder.store(sums, pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def store_halves(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write half, rounded down, of the sum of each four neighbours of 16 bits, which must hold it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        fours = _sums_of_pairs(builder, _sums_of_pairs(builder, values[2], 16), 32)
        halves = builder.trunc(builder.ashr(fours, ir.Constant(fours.type, [1] * fours.type.count)),
                               ir.VectorType(ir.IntType(16), fours.type.count))
        builder.store(halves, _pointer(context, builder, signature, values, halves.type), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


def _sums_of_pairs(builder: Any, numbers: Any, bits: int) -> Any:
    """Add neighbours, of so many bits, in numbers of twice as many."""
    wide = ir.VectorType(ir.IntType(2 * bits), numbers.type.count // 2)
    pairs, by = builder.bitcast(numbers, wide), ir.Constant(wide, [bits] * wide.count)
    return builder.add(builder.ashr(builder.shl(pairs, by), by), builder.ashr(pairs, by))
