"""A digest of everything that a kernel is compiled from, whatever file it stands in."""

from __future__ import annotations

import dis
import enum
import hashlib
import sys
import types
from collections.abc import Iterator
from functools import cache
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.types import Type

from qa_suite.core.errors import InputError

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), Type, enum.Enum)
_OUTSIDE = ("numpy", "math", "cmath", "numba", "builtins", "operator")  # told by their versions
_COMPILER_SETTINGS = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")


def short_digest(text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def kernel_digest(kernel: Any) -> str:
    """Digest of a kernel's code, options and constants, and of the same of all that it calls.

    Parameters
    ----------
    kernel
        What numba's ``njit`` returned.

    Returns
    -------
    str
        16 hex digits. It is equal in every process and place where the kernel would compile to
        the same, and does not depend on the time or place of a file.

    Raises
    ------
    InputError
        If the kernel reads a module's variable whose value has no digest, such as a list.
    """
    told: dict[int, int] = {}
    parts = [*_tools(), *_of_kernel(kernel, told)]
    return short_digest("\x00".join(parts))


@cache
def _tools() -> tuple[str, ...]:
    """List the versions and settings that the same source compiles differently with."""
    settings = [f"{name}={getattr(numba.config, name, None)}" for name in _COMPILER_SETTINGS]
    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    return (sys.implementation.cache_tag or "", *versions, *settings)


def _of_kernel(kernel: Any, told: dict[int, int]) -> Iterator[str]:
    if id(kernel) in told:  # it calls itself, or is called twice
        yield f"kernel {told[id(kernel)]}"
        return
    told[id(kernel)] = len(told)
    yield repr(sorted(kernel.targetoptions.items(), key=lambda item: item[0]))
    yield from _of_function(kernel.py_func, told)


def _of_function(function: Any, told: dict[int, int]) -> Iterator[str]:
    yield f"function {function.__module__}.{function.__qualname__}"
    yield from _of_code(function.__code__, told)
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()):
        yield from _of_value(value, told, function)
    for cell in function.__closure__ or ():
        yield from _of_value(cell.cell_contents, told, function)
    names = set(_names(function.__code__))
    for name in sorted(names & function.__globals__.keys()):
        yield name
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType):
            yield from _of_module(value, names, told, function)
        elif _has_digest(value) or name in _read(function.__code__):
            yield from _of_value(value, told, function)


def _of_module(
    module: types.ModuleType, names: set[str], told: dict[int, int], function: Any
) -> Iterator[str]:
    """Go through what a kernel may read of a module: every attribute that it names."""
    yield f"module {module.__name__}"
    if module.__name__.partition(".")[0] in _OUTSIDE:
        return
    for name in sorted(names & vars(module).keys()):
        if _has_digest(vars(module)[name]):
            yield from _of_value(vars(module)[name], told, function)


def _of_code(code: types.CodeType, told: dict[int, int]) -> Iterator[str]:
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars}"
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from _of_code(value, told)
        else:
            yield from _of_value(value, told, code)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from _names(value)


def _read(code: types.CodeType) -> set[str]:
    """Find the names that are read as variables of the module, not as attributes."""
    read = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            read |= _read(value)
    return read


def _has_digest(value: Any) -> bool:
    kinds = (*_PLAIN, tuple, frozenset, slice, np.ndarray, np.generic, np.dtype, Dispatcher, type)
    return isinstance(value, kinds) or callable(value)


def _of_value(value: Any, told: dict[int, int], reader: Any) -> Iterator[str]:
    """Write a constant as text: its type and its value to the last bit."""
    kind = type(value).__name__
    if isinstance(value, Dispatcher):
        yield from _of_kernel(value, told)
    elif isinstance(value, (*_PLAIN, slice, np.dtype)):
        yield f"{kind} {value!r}"
    elif isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        yield f"{kind} {array.dtype} {array.shape} {array.tobytes().hex()}"
    elif isinstance(value, tuple):
        yield f"{kind} of {len(value)}"
        for part in value:
            yield from _of_value(part, told, reader)
    elif isinstance(value, frozenset):
        yield f"{kind} {sorted(map(repr, value))}"
    elif isinstance(value, types.FunctionType):  # numba knows it by an overload of its own
        yield f"{kind} {value.__module__}.{value.__qualname__}"
        yield from _of_code(value.__code__, told)
    elif callable(value):  # a class, a function of NumPy: told by its name
        yield f"{kind} {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', kind)}"
        yield repr(getattr(value, "_fields", ""))
    else:
        where = getattr(reader, "__qualname__", getattr(reader, "co_name", "a kernel"))
        raise InputError(
            f"{where} reads a variable of type {kind}, whose changes cannot be noticed in compiled "
            "code: hand it over as an argument, or make it a number, a tuple or an array."
        )
