"""Packs: WIDTH neighbouring numbers of an array as one value, for kernels whose loops over lanes are spelled out.

A loop over lanes vectorises only if its body is short, so a chain of formulas becomes many loops with a pass over
memory and a check for overlap each: five times the arithmetic itself. A kernel on packs reads like the formula for one
lane, keeps what it computes in registers and means vectors on every machine, without asking the compiler to find them.
Every lane's arithmetic is that of its own numbers, the same in all lanes, to the bit. Tables and flags stay scalars.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

WIDTH = 16
"""Numbers in a pack: a register of AVX-512, two of AVX2."""

DOUBLES, INTEGERS, FLAGS = (ir.VectorType(one, WIDTH) for one in (ir.DoubleType(), ir.IntType(64), ir.IntType(1)))
MANTISSA, ONE_BITS = (1 << 52) - 1, 1023 << 52
ROOT_HALF = 0x3FE6A09E667F3BCD
"""The bits of √½."""
MAGIC_ROOT = 0x5FE6EB50C7B537A9
"""Less half of a number's bits: those of its inverse square root, to 3.5 %."""
INTO_MANTISSA = 3.0 * 2.0**51
"""Added to an integer below 2^51: a number whose last bits are the integer's."""


class PackType(types.Type):
    """WIDTH float64 numbers."""


class MaskType(types.Type):
    """WIDTH truth values."""


pack, mask = PackType("pack"), MaskType("mask")


@register_model(PackType)
class _PackModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, DOUBLES)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, FLAGS)


def _same(builder, number):
    """A pack of one number."""
    first = builder.insert_element(ir.Constant(DOUBLES, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
    return builder.shuffle_vector(first, ir.Constant(DOUBLES, ir.Undefined), zeros)


def _numbers(value, kind=DOUBLES):
    return ir.Constant(kind, [value] * WIDTH)


@lower_cast(types.Number, PackType)
def _from_number(context, builder, source, target, value):
    return _same(builder, context.cast(builder, value, source, types.float64))


def _arithmetic(function, emit):
    """Let numba take an operator on packs, or on a pack and a number."""

    class Typing(AbstractTemplate):
        def generic(self, args, keywords):
            if any(isinstance(one, PackType) for one in args) and all(
                isinstance(one, (PackType, types.Number)) for one in args
            ):
                return signature(pack, *[pack] * len(args))
            return None

    infer_global(function)(Typing)
    arguments = [PackType] * (1 if function is operator.neg else 2)
    lower_builtin(function, *arguments)(lambda context, builder, sig, args: emit(builder, *args))


def _comparison(function, symbol):
    """The same of a comparison; one with NaN is false."""

    class Typing(AbstractTemplate):
        def generic(self, args, keywords):
            if any(isinstance(one, PackType) for one in args):
                return signature(mask, pack, pack)
            return None

    infer_global(function)(Typing)
    lower_builtin(function, PackType, PackType)(
        lambda context, builder, sig, args: builder.fcmp_ordered(symbol, *args)
    )


_arithmetic(operator.add, lambda builder, a, b: builder.fadd(a, b))
_arithmetic(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_arithmetic(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_arithmetic(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))
_arithmetic(operator.iadd, lambda builder, a, b: builder.fadd(a, b))
_arithmetic(operator.isub, lambda builder, a, b: builder.fsub(a, b))
_arithmetic(operator.imul, lambda builder, a, b: builder.fmul(a, b))
_arithmetic(operator.neg, lambda builder, a: builder.fsub(_numbers(-0.0), a))
for _function, _symbol in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
    _comparison(_function, _symbol)


@infer_global(operator.and_)
class _And(AbstractTemplate):
    def generic(self, args, keywords):
        return signature(mask, mask, mask) if args == (mask, mask) else None


@lower_builtin(operator.and_, MaskType, MaskType)
def _and(context, builder, sig, args):
    return builder.and_(*args)


def _place(context, builder, array_type, array, index_type, index):
    """Where a pack begins in a contiguous array."""
    found = context.make_array(array_type)(context, builder, array)
    indices = [
        context.cast(builder, one, kind, types.intp)
        for one, kind in zip(cgutils.unpack_tuple(builder, index), index_type, strict=True)
    ]
    shape = cgutils.unpack_tuple(builder, found.shape, array_type.ndim)
    strides = cgutils.unpack_tuple(builder, found.strides, array_type.ndim)
    place = cgutils.get_item_pointer2(context, builder, found.data, shape, strides, array_type.layout, indices)
    return builder.bitcast(place, DOUBLES.as_pointer())


@intrinsic
def load(typing, array, index):
    """load(x, (i, …, lane)): the pack x[i, …, lane : lane + WIDTH] of a contiguous array; no bound is checked."""

    def code(context, builder, sig, args):
        place = _place(context, builder, sig.args[0], args[0], sig.args[1], args[1])
        return builder.load(place, align=8)

    return pack(array, index), code


@intrinsic
def store(typing, array, index, value):
    """store(x, (i, …, lane), a): write a pack there."""

    def code(context, builder, sig, args):
        place = _place(context, builder, sig.args[0], args[0], sig.args[1], args[1])
        builder.store(args[2], place, align=8)
        return context.get_dummy_value()

    return types.none(array, index, pack), code


@intrinsic
def filled(typing, number):
    """A pack of one number."""
    return pack(types.float64), lambda context, builder, sig, args: _same(builder, args[0])


@intrinsic
def choose(typing, where, yes, no):
    """Lane by lane: yes where the mask is true, no elsewhere."""
    return pack(mask, pack, pack), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def count(typing, where):
    """In how many lanes a mask is true."""

    def code(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.zext(builder.ctpop(bits), ir.IntType(64))

    return types.int64(mask), code


def _of_library(name):
    """A function of LLVM on packs."""

    def code(context, builder, sig, args):
        kind = ir.FunctionType(DOUBLES, [DOUBLES])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f64"), args)

    return pack(pack), code


@intrinsic
def root(typing, x):
    """√x."""
    return _of_library("sqrt")


@intrinsic
def size_of(typing, x):
    """|x|."""
    return _of_library("fabs")


@intrinsic
def nearest(typing, x):
    """The integer next to x, as a float."""
    return _of_library("rint")


@intrinsic
def power_of_two(typing, n):
    """2^n of integers |n| < 1000 held as floats."""

    def code(context, builder, sig, args):
        bits = builder.bitcast(builder.fadd(args[0], _numbers(INTO_MANTISSA)), INTEGERS)
        shifted = builder.shl(bits, _numbers(52, INTEGERS))
        return builder.bitcast(builder.add(shifted, _numbers(ONE_BITS, INTEGERS)), DOUBLES)

    return pack(pack), code


@intrinsic
def exponent(typing, x):
    """The integer e, as a float, with x = 2^e m and m in [√½, √2); x normal and positive."""

    def code(context, builder, sig, args):
        bits = builder.bitcast(args[0], INTEGERS)
        raised = builder.add(bits, _numbers(ONE_BITS - ROOT_HALF, INTEGERS))
        shifted = builder.lshr(raised, _numbers(52, INTEGERS))
        held = builder.or_(shifted, _numbers((1023 + 52) << 52, INTEGERS))
        return builder.fsub(builder.bitcast(held, DOUBLES), _numbers(2.0**52 + 1023.0))

    return pack(pack), code


@intrinsic
def fraction(typing, x):
    """That m."""

    def code(context, builder, sig, args):
        bits = builder.sub(builder.bitcast(args[0], INTEGERS), _numbers(ROOT_HALF, INTEGERS))
        kept = builder.and_(bits, _numbers(MANTISSA, INTEGERS))
        return builder.bitcast(builder.add(kept, _numbers(ROOT_HALF, INTEGERS)), DOUBLES)

    return pack(pack), code


@intrinsic
def rough_inverse_root(typing, x):
    """1/√x of a normal positive number to 3.5 %."""

    def code(context, builder, sig, args):
        half = builder.lshr(builder.bitcast(args[0], INTEGERS), _numbers(1, INTEGERS))
        return builder.bitcast(builder.sub(_numbers(MAGIC_ROOT, INTEGERS), half), DOUBLES)

    return pack(pack), code
