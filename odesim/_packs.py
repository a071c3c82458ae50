"""Packs: WIDTH neighbouring numbers of an array as one value, for kernels whose loops over lanes are spelled out.

A loop over lanes vectorises only if its body is short, so a chain of formulas becomes many loops with a pass over
memory and a check for overlap each: five times the arithmetic itself. A kernel on packs reads like the formula for one
lane, keeps what it computes in registers and means vectors on every machine, without asking the compiler to find them.
Every lane's arithmetic is that of its own numbers, the same in all lanes, to the bit. Tables and flags stay scalars.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

WIDTH = 16
"""Numbers in a pack: two registers of AVX-512, whose chains of formulas fill each other's gaps, or four of AVX2.

Measured: 8, 16 and 32 take 3.6, 3.0 and 3.3 ms in benchmarks/thousand_neurons.py.
"""

FEW = 8
"""Numbers in a short pack: a cache line."""

MANTISSA, ONE_BITS = (1 << 52) - 1, 1023 << 52
ROOT_HALF = 0x3FE6A09E667F3BCD
"""The bits of √½."""
MAGIC_ROOT = 0x5FE6EB50C7B537A9
"""Less half of a number's bits: those of its inverse square root, to 3.5 %."""
INTO_MANTISSA = 3.0 * 2.0**51
"""Added to an integer below 2^51: a number whose last bits are the integer's."""


class PackType(types.Type):
    """``width`` numbers of a floating-point type, float64 unless said."""

    def __init__(self, width, element=types.float64):
        super().__init__(f"pack{width}_{element}")
        self.width, self.element = width, element
        self.vector = ir.VectorType(ir.FloatType() if element == types.float32 else ir.DoubleType(), width)


class MaskType(types.Type):
    """``width`` truth values."""

    def __init__(self, width):
        super().__init__(f"mask{width}")
        self.width = width


pack, few = PackType(WIDTH), PackType(FEW)


@register_model(PackType)
class _PackModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.vector)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), kind.width))


DOUBLES, INTEGERS = ir.VectorType(ir.DoubleType(), WIDTH), ir.VectorType(ir.IntType(64), WIDTH)


def _same(builder, number, kind):
    """A pack of one number."""
    undefined = ir.Constant(kind.vector, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), kind.width), None))


def _numbers(value, kind=DOUBLES):
    return ir.Constant(kind, [value] * kind.count)


@lower_cast(types.Number, PackType)
def _from_number(context, builder, source, target, value):
    return _same(builder, context.cast(builder, value, source, target.element), target)


def _type_of_packs(args):
    """The one pack type among arguments that are otherwise numbers, or None."""
    found = {one for one in args if isinstance(one, PackType)}
    fits = len(found) == 1 and all(isinstance(one, (PackType, types.Number)) for one in args)
    return found.pop() if fits else None


def _operator(function, emit, gives=None):
    """Let numba take an operator on packs, or on a pack and a number, which gives a pack or, if said, a mask."""
    many = 1 if function is operator.neg else 2

    class Typing(AbstractTemplate):
        def generic(self, args, keywords):
            kind = _type_of_packs(args)
            return kind and signature(gives(kind.width) if gives else kind, *[kind] * many)

    infer_global(function)(Typing)
    lower_builtin(function, *[PackType] * many)(lambda context, builder, sig, args: emit(builder, *args))


for _functions, _emit in (
    ((operator.add, operator.iadd), lambda builder, a, b: builder.fadd(a, b)),
    ((operator.sub, operator.isub), lambda builder, a, b: builder.fsub(a, b)),
    ((operator.mul, operator.imul), lambda builder, a, b: builder.fmul(a, b)),
    ((operator.truediv,), lambda builder, a, b: builder.fdiv(a, b)),
    ((operator.neg,), lambda builder, a: builder.fsub(_numbers(-0.0, a.type), a)),
):
    for _function in _functions:
        _operator(_function, _emit)

# a comparison with NaN is false
_operator(operator.lt, lambda builder, a, b: builder.fcmp_ordered("<", a, b), MaskType)
_operator(operator.le, lambda builder, a, b: builder.fcmp_ordered("<=", a, b), MaskType)
_operator(operator.gt, lambda builder, a, b: builder.fcmp_ordered(">", a, b), MaskType)


@infer_global(operator.and_)
class _And(AbstractTemplate):
    def generic(self, args, keywords):
        fits = isinstance(args[0], MaskType) and args[0] == args[1]
        return signature(args[0], *args) if fits else None


@lower_builtin(operator.and_, MaskType, MaskType)
def _and(context, builder, sig, args):
    return builder.and_(*args)


def _place(context, builder, sig, args, kind):
    """Where the pack of ``args`` = (array, index, …) begins."""
    array_type, index_type = sig.args[:2]
    found = context.make_array(array_type)(context, builder, args[0])
    indices = [
        context.cast(builder, one, kind, types.intp)
        for one, kind in zip(cgutils.unpack_tuple(builder, args[1]), index_type, strict=True)
    ]
    shape = cgutils.unpack_tuple(builder, found.shape, array_type.ndim)
    strides = cgutils.unpack_tuple(builder, found.strides, array_type.ndim)
    place = cgutils.get_item_pointer2(context, builder, found.data, shape, strides, array_type.layout, indices)
    return builder.bitcast(place, kind.vector.as_pointer())


def _loading(kind, array, index):
    """What `load` and its kin return to numba."""

    def code(context, builder, sig, args):
        return builder.load(_place(context, builder, sig, args, kind), align=kind.element.bitwidth // 8)

    return kind(array, index), code


@intrinsic
def load(typing, array, index):
    """load(x, (i, …, lane)): the pack x[i, …, lane : lane + WIDTH] of a contiguous array; no bound is checked."""
    return _loading(pack, array, index)


@intrinsic
def load_few(typing, array, index):
    """The same of a short pack."""
    return _loading(few, array, index)


@intrinsic
def load_single(typing, array, index):
    """The same of a float32 array, as float64."""

    def code(context, builder, sig, args):
        place = _place(context, builder, sig, args, PackType(WIDTH, types.float32))
        return builder.fpext(builder.load(place, align=4), DOUBLES)

    return pack(array, index), code


@intrinsic
def store(typing, array, index, value):
    """store(x, (i, …, lane), a): write a pack, short or long, there."""

    def code(context, builder, sig, args):
        kind = sig.args[2]
        builder.store(args[2], _place(context, builder, sig, args, kind), align=kind.element.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, index, value), code


@intrinsic
def filled(typing, number):
    """A pack of one number."""
    return pack(types.float64), lambda context, builder, sig, args: _same(builder, args[0], pack)


@intrinsic
def choose(typing, where, yes, no):
    """Lane by lane: yes where the mask is true, no elsewhere."""
    return yes(where, yes, yes), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def count(typing, where):
    """In how many lanes a mask is true."""

    def code(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(sig.args[0].width))
        return builder.zext(builder.ctpop(bits), ir.IntType(64))

    return types.int64(where), code


@intrinsic
def rarely(typing, truth):
    """The same truth, false in nearly all cases: what then happens keeps no register from what else does."""

    def code(context, builder, sig, args):
        bit = ir.IntType(1)
        kind = ir.FunctionType(bit, [bit, bit])
        expect = cgutils.get_or_insert_function(builder.module, kind, "llvm.expect.i1")
        return builder.call(expect, [args[0], ir.Constant(bit, 0)])

    return types.boolean(types.boolean), code


def _of_library(name):
    """A function of LLVM on packs."""

    def code(context, builder, sig, args):
        kind = ir.FunctionType(DOUBLES, [DOUBLES])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f64"), args)

    return pack(pack), code


@intrinsic
def fma(typing, x, y, z):
    """x y + z, rounded once."""

    def code(context, builder, sig, args):
        packs = [
            context.cast(builder, value, kind, sig.return_type) for value, kind in zip(args, sig.args, strict=True)
        ]
        kind = ir.VectorType(ir.DoubleType(), sig.return_type.width)
        name = f"llvm.fma.v{sig.return_type.width}f64"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, packs)

    kind = _type_of_packs((x, y, z))
    return kind(x, y, z), code


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
