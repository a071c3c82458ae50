"""``@kernel``: the one numba decorator, with flags in one place and a cache that knows all kernel sources.

A kernel is compiled in the form that is asked for, each cached by itself: for Python, for other kernels, or as a
`Pointer`, which hands it to another one as data, so that the second compiles without the first.
"""

import contextlib
import functools
import hashlib
import importlib
from pathlib import Path

import numba.experimental.function_type  # noqa: F401 - tells numba of functions as arguments
import numpy as np
from numba import njit, types
from numba.core.caching import CacheImpl, CompileResultCacheImpl, FunctionCache
from numba.core.cpu import CPUTargetOptions
from numba.core.types import WrapperAddressProtocol

ROOT = Path(__file__).parent

NO, YES = np.int64(0), np.int64(1)
"""Flags for calls between kernels: a literal 0 or 1 there would compile the callee once more, for that number."""

# Everything fast-math allows except nnan and ninf: with those isnan() compiles to False and a diverging run
# goes unseen. Even so math.isfinite(x) is not safe: it tests x - x, which `reassoc` may fold to 0. Compare
# with a bound instead (NaN compares false).
FASTMATH = {"reassoc", "contract", "nsz", "arcp", "afn"}


def _spare_scipy():
    """Load numba's array functions without their check for a BLAS: it imports scipy.linalg, 0.15 s in every process.

    No kernel of ours calls a BLAS; for a user's that does, numba makes the same check again when it compiles it.
    """
    with contextlib.suppress(ImportError, AttributeError):  # no documented names: without them a start is only slower
        linalg = importlib.import_module("numba.np.linalg")
        check, linalg.ensure_blas = linalg.ensure_blas, lambda: None
        try:
            importlib.import_module("numba.np.arraymath").ensure_blas = check
        finally:
            linalg.ensure_blas = check


_spare_scipy()


@functools.cache
def source_stamp() -> str:
    """Return a hash of every kernel file (``_*.py``) of the package: an edit in any of them recompiles all."""
    digest = hashlib.sha256()
    for path in sorted(ROOT.rglob("_*.py")):
        if path.name != "__init__.py":
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamped(locator: type) -> type:
    """numba's locator, with all kernel sources as the stamp in place of the function's own file."""
    return type(f"Stamped{locator.__name__}", (locator,), {"get_source_stamp": lambda self: source_stamp()})


class _Implementation(CompileResultCacheImpl):
    # NUMBA_CACHE_DIR, the folder of the source, the user's cache folder: numba's own order.
    _locator_classes = [_stamped(each) for each in CacheImpl._locator_classes[:3]]  # type: ignore[misc]  # noqa: RUF012


def _named(form, function):
    found = _Implementation(function)
    found._filename_base += form
    return found


class _KernelCache(FunctionCache):
    """The cache of one form of a kernel; ``form`` ends the names of its files."""

    def __init__(self, function, form):
        self._impl_class = functools.partial(_named, form)
        super().__init__(function)

    def load_overload(self, sig, target_context):
        """Load, and clear an index that names classes which an older version had elsewhere."""
        try:
            return super().load_overload(sig, target_context)
        except (AttributeError, ImportError):
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        """Save if the disk allows it: a full disk costs the next start some seconds, never this run."""
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()


class _KnownTypes:
    """Remember the types of the last few arguments that numba has no quick way to type.

    Those are tuples with a `Pointer` in them: looking through the arrays of a flow's problem takes 0.7 ms, as long as
    a whole short integration, and through the constants of SGD as long as 50 steps. A tuple does not change, so the
    same object is of the same type.
    """

    MOST = 4

    def __init__(self, typeof):
        self._typeof, self._known = typeof, ()

    def __call__(self, value):
        """Return numba's type."""
        if type(value).__base__ is not tuple:
            return self._typeof(value)
        for known, type_ in self._known:
            if value is known:
                return type_
        type_ = self._typeof(value)
        self._known = ((value, type_), *self._known[: self.MOST - 1])  # one assignment: threads may lose, not mix
        return type_


def kernel(function=None, *, counted=True, **options):
    """Compile lazily with the package's flags; cached on disk where a folder can be written, uncached elsewhere.

    The error model is NumPy's: a division by zero gives inf instead of a branch that stops vectorisation.
    Options override njit's, as in ``@kernel(inline="always")``. ``counted=False`` is for kernels that run for
    microseconds: arrays are then not reference counted, of which each costs two atomic operations wherever it is
    taken from a tuple, passed on or cut into a view. The caller keeps them alive; the kernel must neither make nor
    return an array, nor assign to a whole one (``x[:] = 0``), or it does not compile.
    """
    if function is None:
        return functools.partial(kernel, counted=counted, **options)
    flags = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True, **options}
    if hasattr(CPUTargetOptions, "_nrt"):  # no documented option: without it kernels are only slower
        flags["_nrt"] = counted  # also where True: a kernel inherits the flag of the one that compiles it first
    dispatcher = _form(function, "", no_cfunc_wrapper=True, **flags)
    dispatcher.typeof_pyval = _KnownTypes(dispatcher.typeof_pyval)
    # To unpack the arguments that Python gives takes longer to compile than most kernels: other kernels go without.
    part = functools.cache(lambda: _form(function, ".part", no_cpython_wrapper=True, no_cfunc_wrapper=True, **flags))
    dispatcher.part = part
    dispatcher.get_call_template = lambda args, kws: part().get_call_template(args, kws)
    dispatcher.get_overload = lambda signature: part().get_overload(signature)
    dispatcher.pointed = functools.cache(lambda: _form(function, ".pointer", no_cpython_wrapper=True, **flags))
    return dispatcher


def _form(function, form, **flags):
    dispatcher = njit(**flags)(function)
    with contextlib.suppress(RuntimeError):  # a read-only install without a writable home
        dispatcher._cache = _KernelCache(function, form)
    return dispatcher


class Pointer(WrapperAddressProtocol):
    """A kernel as an argument of others: compiled once by itself, called through its address (0.1 µs a call).

    What calls it knows its signature alone and stays cached on disk. Without a ``dispatcher`` it only fills the
    place of one that is never called.
    """

    def __init__(self, arguments, dispatcher=None):
        self._signature = types.none(*arguments)
        self._address = 1  # not 0, which numba takes for a function without an address
        if dispatcher is not None:
            form = dispatcher.pointed()
            form.compile(tuple(arguments))
            # the compiled code lives as long as its dispatcher, a module's
            found = form.overloads[tuple(arguments)]
            self._address = found.library.get_pointer_to_function(found.fndesc.llvm_cfunc_wrapper_name)

    def __wrapper_address__(self):
        """Return the address; numba asks for it when it unboxes the argument."""
        return self._address

    def signature(self):
        """Return the type of the function."""
        return self._signature
