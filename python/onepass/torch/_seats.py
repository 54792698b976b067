"""_seats.py - a seat holds what an optimizer knows of one parameter between two steps."""

import ctypes
import typing

import torch

from ._walk import DTYPES, OTHER, STEPPED, WAITING, local


class Place(typing.NamedTuple):
    """Where a shard lies in its tensor: element e of it is element first + e // run * pitch + e % run of the whole."""

    first: int = 0
    run: int = 0
    pitch: int = 0


def is_dense(tensor):
    """Returns whether the elements of a tensor fill a stretch of memory, in any order of the dimensions."""
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape) if n != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def is_ours(parameter):
    """Returns whether the library steps such a parameter. torch's own formulas step the others."""
    if parameter.layout is not torch.strided or parameter.dtype not in DTYPES:
        return False
    memory = local(parameter)
    if memory is not parameter and place_of(parameter) is None:
        return False
    return memory.device.type in ("cpu", "cuda") and type(memory).__torch_dispatch__ is _PLAIN and not _overlaps(memory)


_PLAIN = torch._C._disabled_torch_dispatch_impl if hasattr(torch._C, "_disabled_torch_dispatch_impl") else None
if torch.nn.Parameter.__torch_dispatch__ is not _PLAIN:  # An older torch
    _PLAIN = torch.nn.Parameter.__torch_dispatch__


def _overlaps(tensor):
    return any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape))


def place_of(parameter):
    """Returns the Place of a parameter, of a DTensor that of its local part; None if the local part is no rectangle of
    runs at one pitch."""
    if local(parameter) is parameter:
        return Place()
    from ._distributed import place_of_shard

    return place_of_shard(parameter)


_NOTHING = ctypes.addressof(_ROOM := ctypes.create_string_buffer(128)) + 63 & ~63


class Seat:
    """One parameter. `kind` says who steps it."""

    def __init__(self, parameter, group, index, name):
        self.parameter, self.group, self.index, self.name = parameter, group, index, name
        self.kind, self.state, self.address = OTHER, None, 0
        self.value = self.shadow = self.gradient = self.counter = self.held = None
        self.unfit = self.keeps_variance = False
        self.lines = {}  # Spelling.lines of the optimizer.

    def is_read(self, memory):
        """Returns whether steps read this memory of the parameter: it is dense, and lies row by row where that
        counts."""
        in_order = self.lines and memory.dim() > 1 or local(self.parameter) is not self.parameter
        return memory.is_contiguous() if in_order else is_dense(memory)

    def shape_of_matrices(self):
        """Returns the shape of a parameter that has states of rows and columns; () of any other one."""
        return tuple(self.value.shape) if self.lines and self.value.dim() > 1 else ()

    def take(self, states, storage, keeps_step):
        """Makes the seat one that the library steps, or that waits for its first gradient."""
        memory = local(self.parameter.detach())
        self.address = memory.data_ptr()
        if self.parameter.grad is None and not states.get(self.parameter):
            self.kind = WAITING
            return
        self.kind, self.state, self.storage = STEPPED, states.get(self.parameter, {}), storage
        # A state without "step" says only whether it has begun: the first step of
        # SGD's momentum takes the gradient undamped.
        self.began = int(self.state.get("momentum_buffer") is not None)
        self.shard = place_of(self.parameter)
        self.keeps_step = keeps_step or storage[1:] != ("float32", "nearest") or storage[0] == "remainder8"
        self.value = memory
        if not self.is_read(memory):
            self.value = self.shadow = torch.empty_like(memory, memory_format=torch.contiguous_format).copy_(memory)

    def stand_in(self):
        """Returns the address that stands for the memory of an empty parameter, its states and gradient; else None."""
        return None if self.value is None or self.value.numel() else _NOTHING

    def hold_gradient(self, gradient=None):
        """Copies a gradient that the kernels cannot read to dense memory. Returns False if it is none of their
        kinds."""
        gradient = self.parameter.grad if gradient is None else gradient
        if gradient.layout is not torch.strided or gradient.dtype not in (self.value.dtype, torch.float32):
            return False
        gradient = local(gradient.detach())
        self.held = torch.empty_like(self.value, dtype=gradient.dtype).copy_(gradient)
        self.gradient.data, self.gradient.dtype = self.held.data_ptr(), DTYPES[self.held.dtype]
        return True

    def read_shadow(self):
        self.shadow.copy_(local(self.parameter.detach()))

    def write_shadow(self):
        local(self.parameter.detach()).copy_(self.shadow)
