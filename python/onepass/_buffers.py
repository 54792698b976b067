"""_buffers.py - parameters over Python's own memory: array.array, NumPy, ctypes, memoryview."""

import ctypes
import math

from onepass._interface import DTYPES, Parameter
from onepass._library import Error
from onepass._optimizer import dims_of

# The types of elements by the codes of memoryview.format. Python has no bfloat16: its bits are 16-bit integers.
FORMATS = {"f": ("float32",), "e": ("float16",), "H": ("bfloat16", "float16")}


def view_of(memory, what, dtype):
    """Returns the address of memory, its shape, the type of its elements, and an object that keeps it from moving."""
    try:
        view = memoryview(memory)
    except TypeError:
        raise Error(f"onepass: {what} is of {type(memory).__name__}; it must have Python's buffer protocol, as "
                    "array.array and NumPy have, or be an address in a Parameter") from None
    if view.readonly or not view.c_contiguous:
        raise Error(f"onepass: {what} is {'read-only' if view.readonly else 'not contiguous'}")
    found = FORMATS.get(view.format.lstrip("<=@"), ())
    if dtype is not None and dtype not in found or len(found) != 1 and dtype is None:
        raise Error(f"onepass: {what} has elements of the format {view.format!r}, which are not "
                    f"{dtype or 'float32 or float16; name the type of 16-bit integers with dtype='}")
    exported = (ctypes.c_char * view.nbytes).from_buffer(memory) if view.nbytes else memory
    address = ctypes.addressof(exported) if view.nbytes else None
    return address, view.shape, dtype or found[0], exported


def parameter(value, grad=None, name=None, dtype=None, grad_dtype=None, shape=None, **members):
    """Returns a Parameter over memory with Python's buffer protocol, which it keeps alive.

    `grad` has as many elements as `value`; without one, steps leave the parameter out. `name` is a str. `dtype` and
    `grad_dtype` are "bfloat16" or "float16" where the memory has 16-bit integers. `shape`, (out, in), is for rules that
    keep numbers for rows and columns; without one it is that of `value`, or of a shard (`first`, `run`) unknown.
    Further members are those of Parameter. Raises Error for memory that is read-only, not contiguous, of another type
    or of another length."""
    called = f'"{name}"' if name is not None else "a parameter"
    address, own, kind, kept = view_of(value, f"the value of {called}", dtype)
    if shape is None:
        shape = () if members.get("first") or members.get("run") else own
    made = Parameter(value=address, numel=math.prod(own), dtype=DTYPES[kind], grad_dtype=DTYPES[kind],
                     **{**dims_of(shape), **members})
    made.owners = [kept]
    if name is not None:
        made.name = name.encode()
    if grad is not None:
        made.grad, own, kind, kept = view_of(grad, f"the gradient of {called}", grad_dtype)
        made.grad_dtype = DTYPES[kind]
        made.owners.append(kept)
        if math.prod(own) != made.numel:
            raise Error(f"onepass: the gradient of {called} has {math.prod(own)} elements, but its value has "
                        f"{made.numel}")
    return made
