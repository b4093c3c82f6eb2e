"""How everything in this package is compiled: the one place that knows numba.

A *kernel* is what Python calls. It names its argument types once, is compiled for exactly these the
first time it is called (or by `warm_up`), and takes writable and read-only arrays alike: Ray hands out
read-only ones. An array of another dtype, rank or layout is a `TypeError`, never a second compilation.
An *inner* function is called by kernels only and is compiled into them.

Machine code is kept between processes: beside the sources where they can be written to, else in the user's
cache directory, in `NUMBA_CACHE_DIR` where that is set, and not at all where nothing is writable. It is kept
by the content of the whole package, since numba's own rule (the file of the kernel) would miss a change
in an inner function that another file brings.

No `fastmath`: a float is what plain Python would have computed, to the last bit.
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import caching

Function = TypeVar("Function", bound=Callable[..., Any])

INTEGER = numba.types.int64
NUMBER = numba.types.float64


def column(dtype: str, dimensions: int = 1) -> Any:
    """The type of a C-contiguous array that a kernel reads."""
    return numba.types.Array(getattr(numba.types, dtype), dimensions, "C", readonly=True)


def out(dtype: str, dimensions: int = 1) -> Any:
    """The type of a C-contiguous array that a kernel writes."""
    return numba.types.Array(getattr(numba.types, dtype), dimensions, "C")


class Kernel:
    """A compiled function. Raises `TypeError` if an argument is not of the type it was declared with."""

    def __init__(self, function: Callable[..., None], argument_types: tuple[Any, ...]) -> None:
        try:
            self._compiled = numba.njit(nogil=True, cache=True)(function)
        except RuntimeError:  # no place to keep machine code in
            self._compiled = numba.njit(nogil=True)(function)
        self._argument_types = argument_types
        self._is_ready = False

    def compile(self) -> None:
        """Compiles now, or loads what an earlier process compiled. Does nothing the second time."""
        if not self._is_ready:
            self._compiled.compile(self._argument_types)
            self._compiled.disable_compile()
            self._is_ready = True

    def __call__(self, *arguments: object) -> None:
        if not self._is_ready:
            self.compile()
        self._compiled(*arguments)


_KERNELS: list[Kernel] = []


def kernel(*argument_types: Any) -> Callable[[Callable[..., None]], Kernel]:
    """Declares a kernel with the types of its arguments, in order. It returns nothing and writes to `out`."""

    def declare(function: Callable[..., None]) -> Kernel:
        declared = Kernel(function, argument_types)
        _KERNELS.append(declared)
        return declared

    return declare


def inner(function: Function) -> Function:
    """Declares a function that kernels call; Python never does."""
    return cast(Function, numba.njit(nogil=True)(function))


def inlined(function: Function) -> Function:
    """The same, compiled into each of its callers: what such a function does with an array costs no count of who has
    it, which is most of the time of a few instructions. Only for small ones, as compiling takes longer."""
    return cast(Function, numba.njit(nogil=True, inline="always")(function))


@inner
def whole(value: Any) -> int:
    """An integer of any width as int64: an unsigned and a signed one would otherwise meet as floats."""
    return np.int64(value)  # type: ignore[return-value]  # numba's int and numpy's int64 are one


def compile_all() -> None:
    """Compiles every kernel declared so far."""
    for declared in _KERNELS:
        declared.compile()


@functools.cache
def _sources_digest() -> bytes:
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


class _StampedByPackage:
    """Makes a cache entry stale as soon as any source file of this package differs."""

    def get_source_stamp(self) -> bytes:
        return _sources_digest()


class ConfiguredCache(_StampedByPackage, caching.UserProvidedCacheLocator):
    """In `NUMBA_CACHE_DIR`."""


class PackageCache(_StampedByPackage, caching.InTreeCacheLocator):
    """In `__pycache__` beside the sources."""


class UserCache(_StampedByPackage, caching.UserWideCacheLocator):
    """In the cache directory of the user."""


_CACHES = (ConfiguredCache, PackageCache, UserCache)
if not numba.config.CACHE_LOCATOR_CLASSES:  # type: ignore[attr-defined]  # numba fills its settings at run time
    numba.config.CACHE_LOCATOR_CLASSES = ",".join(  # type: ignore[attr-defined]
        f"{cache.__module__}.{cache.__qualname__}" for cache in _CACHES
    )
