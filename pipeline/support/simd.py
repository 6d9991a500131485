"""Fixed-width vectors for compiled loops: loads, stores and arithmetic on many neighbouring numbers at once.

A vector holds :data:`LANES` numbers. LLVM splits it into the registers that the processor has, so the same code runs on
every processor. Wider registers need fewer instructions.

Compilers can vectorise plain loops by themselves. Two cases need this module. If a loop reads and writes many arrays,
the compiler adds a check, repeated on every entry, that the arrays do not overlap. If a loop combines four neighbouring
numbers into one, the compiler does not vectorise it at all.

Nothing checks indices. A load or a store touches as many consecutive elements as the vector has lanes. The caller must
make sure that they are inside the array.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, register_model

LANES = 32
"""Number of lanes in a vector."""
CACHE_LINE_BYTES = 64
"""Bytes in one cache line: the amount of memory that a cache loads at once."""


def obey_environment() -> None:
    """Make numba read its settings from the environment again.

    numba reads them only when it next compiles a function, which may be after its threads have started. If the number
    of threads in the environment then differs from the number of running threads, that compilation fails.
    """
    config.reload_config()


class Vector(types.Type):  # type: ignore[misc]
    """numba type of a vector.

    Parameters
    ----------
    element : numba type
        Type of the number in each lane.
    """

    def __init__(self, element: Any) -> None:
        self.element, self.count = element, LANES
        super().__init__(name=f"Vector({element})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    """Tells numba that a vector is one LLVM value."""

    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.element).get_value_type(), vector.count))


def intrinsic(function: Any) -> Any:
    """Turn a code generator into a function that compiled code can call.

    Parameters
    ----------
    function : callable
        Takes numba's typing context and the argument types. Returns the signature and the function that emits LLVM
        code.
    """
    return _intrinsic(function)


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Load a vector from a one-dimensional contiguous array, starting at ``index``."""
    vector = Vector(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = element_pointer(context, builder, signature, values, context.get_value_type(vector))
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Store a vector into a one-dimensional contiguous array, starting at ``index``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = element_pointer(context, builder, signature, values, values[2].type)
        builder.store(values[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


def element_pointer(context: Any, builder: Any, signature: Any, values: Any, to: Any) -> Any:
    """Emit a pointer to an array element, cast to a pointer to LLVM type ``to``.

    The array and the index are the first two arguments of the intrinsic that calls this.
    """
    data = context.make_array(signature.args[0])(context, builder, values[0]).data
    return builder.bitcast(builder.gep(data, [values[1]]), to.as_pointer())


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask the processor to move one array element into its caches.

    The index may be out of range. The processor then ignores the request.
    """

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
def broadcast(typing: Any, number: Any) -> Any:
    """Return a vector with ``number`` in every lane."""
    vector = Vector(number)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return fill(builder, values[0], vector.count)

    return vector(number), generate


def fill(builder: Any, number: Any, count: int) -> Any:
    """Emit a vector with ``number`` in each of ``count`` lanes."""
    nowhere = ir.Constant(ir.VectorType(number.type, count), ir.Undefined)
    first = builder.insert_element(nowhere, number, ir.Constant(ir.IntType(32), 0))
    return shuffle(builder, first, [0] * count)


@intrinsic
def reverse(typing: Any, a: Any) -> Any:
    """Return the vector with its lanes in reverse order."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return shuffle(builder, values[0], range(a.count)[::-1])

    return a(a), generate


def _make_binary(whole: str, floating: str) -> Any:
    """Return an intrinsic for an operation on two vectors of the same type.

    Parameters
    ----------
    whole, floating : str
        Names of llvmlite's builder methods for integers and for floating-point numbers.
    """

    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return getattr(builder, floating if isinstance(a.element, types.Float) else whole)(*values)

        return a(a, b), generate

    return intrinsic(operation)


subtract, multiply, divide = _make_binary("sub", "fsub"), _make_binary("mul", "fmul"), _make_binary("sdiv", "fdiv")


@intrinsic
def add(typing: Any, a: Any, b: Any) -> Any:
    """Return the sum of two vectors. Integer sums saturate: they stop at the largest or smallest value of the type."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fadd(*values) if isinstance(a.element, types.Float) else saturated_sum(builder, *values)

    return a(a, b), generate


def saturated_sum(builder: Any, a: Any, b: Any) -> Any:
    """Emit a saturating sum of two integer vectors."""
    kind, bits = ir.FunctionType(a.type, [a.type, a.type]), a.type.element.width
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sadd.sat.v{a.type.count}i{bits}")
    return builder.call(function, [a, b])


def _make_choice(relation: str) -> Any:
    """Return an intrinsic that picks one of two numbers in each lane. Neither number may be NaN."""

    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            compare = builder.fcmp_ordered if isinstance(a.element, types.Float) else builder.icmp_signed
            return builder.select(compare(relation, *values), *values)

        return a(a, b), generate

    return intrinsic(operation)


maximum, minimum = _make_choice(">"), _make_choice("<")


@intrinsic
def where_positive(typing: Any, a: Any, b: Any) -> Any:
    """Return ``b`` in lanes where ``a`` is positive, and 0 in the others (zero, negative or NaN)."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        nothing = ir.Constant(values[0].type, [0] * a.count)
        return builder.select(builder.fcmp_ordered(">", values[0], nothing), values[1], nothing)

    return a(a, b), generate


@intrinsic
def is_any_outside(typing: Any, a: Any, low: Any, high: Any) -> Any:
    """Tell whether any lane is outside the interval (``low``, ``high``]. NaN counts as outside."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        low, high = (fill(builder, value, a.count) for value in values[1:])
        outside = builder.or_(*(builder.fcmp_unordered(relation, values[0], end)
                                for relation, end in (("<=", low), (">", high))))
        whole = builder.bitcast(outside, ir.IntType(a.count))
        return builder.icmp_unsigned("!=", whole, ir.Constant(whole.type, 0))

    return types.boolean(a, low, high), generate


@intrinsic
def max_of(typing: Any, a: Any) -> Any:
    """Return the largest number in the vector. No lane may be NaN."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        compare = builder.fcmp_ordered if isinstance(a.element, types.Float) else builder.icmp_signed
        vector = values[0]
        while vector.type.count > 1:
            half = vector.type.count // 2
            parts = [shuffle(builder, vector, range(first, first + half)) for first in (0, half)]
            vector = builder.select(compare(">", *parts), *parts)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return a.element(a), generate


@intrinsic
def sum_of(typing: Any, a: Any) -> Any:
    """Return the sum of the numbers in the vector, added up in pairs of halves. Integers must not overflow."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = values[0]
        while vector.type.count > 1:
            half = vector.type.count // 2
            halves = (shuffle(builder, vector, range(first, first + half)) for first in (0, half))
            vector = (builder.fadd if isinstance(a.element, types.Float) else builder.add)(*halves)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return a.element(a), generate


def shuffle(builder: Any, vector: Any, order: Any) -> Any:
    """Emit a vector of some lanes of ``vector``. ``order`` lists their indices."""
    order = [*order]
    chosen = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), chosen)


@intrinsic
def count_at_least(typing: Any, count: Any, a: Any, least: Any) -> Any:
    """Add 1 to each lane of ``count`` if the integer in that lane of ``a`` is at least ``least``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        reaches = builder.icmp_signed(">=", values[1], values[2])
        return builder.sub(values[0], builder.sext(reaches, values[0].type))

    return count(count, a, least), generate


@intrinsic
def multiply_subtract(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a · b − c for floating-point numbers, rounded once if the processor can, otherwise twice."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        product = builder.fmul(*values[:2], flags=["contract"])
        return builder.fsub(product, values[2], flags=["contract"])

    return a(a, b, c), generate


@intrinsic
def truncate_to_int16(typing: Any, a: Any) -> Any:
    """Round floating-point numbers towards zero and return them as 16-bit integers.

    Numbers outside the 16-bit range become its largest or smallest value. They must be in the 32-bit range.
    """
    to = Vector(types.int16)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        whole = builder.fptosi(values[0], ir.VectorType(ir.IntType(32), LANES))
        for relation, end in (("<", 2**15 - 1), (">", -(2**15))):
            ends = ir.Constant(whole.type, [end] * LANES)
            whole = builder.select(builder.icmp_signed(relation, whole, ends), whole, ends)
        return builder.trunc(whole, context.get_value_type(to))

    return to(a), generate
