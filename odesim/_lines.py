"""Lines: 64 bytes of a float32 or float64 array as one pack, for kernels that stream through long rows.

A loop over numbers whose sums the compiler spreads over vectors works on half vectors where it thinks those are safer,
and rounds a product and a sum apart or at once as it likes. On lines both are said.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from odesim._packs import PackType, _loading, _same

BYTES = 64
"""Bytes in a line: a register of AVX-512, two of AVX2, and what memory hands over at a time."""


def _line_of(array):
    """The line of an array's numbers."""
    return PackType(BYTES * 8 // array.dtype.bitwidth, array.dtype)


@intrinsic
def load_line(typing, array, index):
    """load_line(x, (i, …, k)): the line x[i, …, k : k + 64 bytes] of a contiguous array; no bound is checked."""
    return _loading(_line_of(array), array, index)


@intrinsic
def fill_line(typing, array, number):
    """A line of one number, rounded to the dtype of the array, which only gives that."""
    kind = _line_of(array)

    def code(context, builder, sig, args):
        return _same(builder, context.cast(builder, args[1], sig.args[1], kind.element), kind)

    return kind(array, number), code


@intrinsic
def multiply_add(typing, a, b, c):
    """a · b + c, rounded once where the machine can."""

    def code(context, builder, sig, args):
        form = sig.return_type.vector
        name = f"llvm.fmuladd.v{form.count}f{sig.return_type.element.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(form, [form] * 3), name)
        return builder.call(function, args)

    return c(a, b, c), code


@intrinsic
def total(typing, line):
    """The sum of a line's numbers, half onto half."""

    def code(context, builder, sig, args):
        (value,) = args
        while value.type.count > 1:
            half = value.type.count // 2
            parts = [
                builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), half), lanes))
                for lanes in (list(range(half)), list(range(half, 2 * half)))
            ]
            value = builder.fadd(*parts)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return line.element(line), code
