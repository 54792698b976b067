"""_digest.py - eight digits that are equal wherever the bits of a model and of its optimizer are: on the CPU and on a
GPU, in one process and in many, however the tensors are cut."""

import zlib

import torch

from . import _codecs, _distributed
from ._formats import SCALARS, SIGNED, flat_of, scales_of
from ._seats import Place, is_dense, place_of
from ._walk import local

_AT_ONCE = 1 << 22  # Elements; the temporary memory is some of their 8 bytes.
_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _signed(number):
    """Returns the int64 with the bits of a number below 2^64."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _mixed(x):
    """Returns a bijection of int64 in which every bit depends on all (the finaliser of SplitMix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> shift & (1 << 64 - shift) - 1)) * _signed(factor)
    return x ^ (x >> 31 & (1 << 33) - 1)


def _sum(name, flat, place):
    """Returns the sum over elements of a function of name, place in the whole tensor, and bits: an int64 that wraps."""
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    key, total = _signed(zlib.crc32(name.encode()) * 0x9E3779B97F4A7C15 % (1 << 64)), 0
    for begin in range(0, flat.numel(), _AT_ONCE):
        part = flat[begin:begin + _AT_ONCE]
        element = torch.arange(begin, begin + part.numel(), device=flat.device)
        if place.run:
            element = element // place.run * place.pitch + element % place.run
        bits = part.contiguous().view(_WHOLE[part.element_size()]).to(torch.int64)
        if part.is_floating_point():
            bits = torch.where(part.isnan(), 0x7FC0_0000, bits)  # Any NaN equals any NaN.
        total += int(_mixed(_mixed(element + place.first + key) + bits).sum())
    return total


def _numbers(key, tensor, place):
    """Returns the elements of a tensor in their order; of a state of 8 bits the numbers that it stands for."""
    memory = local(tensor.detach())
    flat = flat_of(memory) if is_dense(memory) else memory.contiguous().reshape(-1)
    scales = scales_of(tensor)
    return flat if scales is None else _codecs.decode8(flat, scales, _codecs.Shard(flat.numel(), *place), key in SIGNED)


def digest(model, optimizer=None):
    """Returns eight hexadecimal digits of a model, an iterable of (name, tensor) or a module, and of the states of its
    optimizer. They are equal if all bits are, whatever device, number of ranks and cut; else they differ, but for one
    case in 4e9. All ranks call it together if parameters are DTensors. Waits for the device."""
    named = list(model.named_parameters() if hasattr(model, "named_parameters") else model)
    reduction = _distributed.Reduction([tensor for _, tensor in named], None)
    total = 0
    for name, parameter in named:
        place = place_of(parameter)
        states = optimizer.state.get(parameter, {}) if optimizer is not None else {}
        for key, tensor in {"": parameter, **states}.items():
            alone = key == "step" or key in SCALARS
            counted = reduction.is_first() if alone else reduction.is_counted(parameter)
            if counted and torch.is_tensor(tensor):
                total += _sum(f"{name}/{key}", _numbers(key, tensor, place), Place() if alone else place)
    sums = torch.tensor(_signed(total % (1 << 64)), device=reduction.device())
    whole = int(reduction.all_reduce(sums)) % (1 << 64)
    return f"{whole >> 32 ^ whole & 0xFFFFFFFF:08x}"
