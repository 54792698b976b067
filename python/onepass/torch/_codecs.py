"""_codecs.py - the library's compressed formats in operations of torch, for state dicts: they turn states of 8 bits and
remainders of 16-bit parameters into float32 and back. Steps never run them. include/onepass/storage/ has the formats.
"""

import torch

BLOCK = 32  # Elements that share a scale.
_ONE, _SHIFT, _NOISE = 0x3F800000, 18, 12  # Signed8: bits of 1.0, bits of y below a code, noise bits.
_SIGNED = 14.75  # Signed8::kCodes
_STEP = float.fromhex("0x1.0101p-8")  # Nonnegative8::kStep


class Shard:
    """The elements of a whole tensor that a piece of memory has: element e is first + e // run * pitch + e % run."""

    def __init__(self, numel, first=0, run=0, pitch=0):
        self.numel, self.first = numel, first
        self.run, self.pitch = (run, pitch) if run else (max(numel, 1), max(numel, 1))

    def blocks(self, device):
        """Returns the index of each element's scale."""
        element = torch.arange(self.numel, device=device)
        within = element % self.run
        block = (self.first + element // self.run * self.pitch + within) // BLOCK
        begins = within == 0
        begins[1:] |= block[1:] != block[:-1]
        return begins.cumsum(0) - 1


def _bits(x):
    return x.contiguous().view(torch.int32).to(torch.int64)


def _floats(bits):
    return torch.where(bits >= 1 << 31, bits - (1 << 32), bits).to(torch.int32).view(torch.float32)


def decode8(codes, scales, shard, signed):
    """Returns the float32 numbers that codes stand for, exactly. `codes` and the result are one-dimensional."""
    scale = scales.float()[shard.blocks(codes.device)]
    if signed:
        code = codes.view(torch.int8).to(torch.int64)
        curve = _floats((code.abs() << _SHIFT) + _ONE) - 1.0
        x = curve * (scale * torch.tensor(1.0 / _SIGNED, dtype=torch.float32, device=codes.device))
        return torch.copysign(x, torch.where(code < 0, -1.0, 1.0).to(x))
    root = codes.float() * (scale * _STEP)
    return root * root


def encode8(x, shard, signed):
    """Returns codes (uint8) and scales (bfloat16) of float32 numbers, rounded to the nearest code."""
    staged = x if signed else x.sqrt()
    block = shard.blocks(x.device)
    count = int(block[-1]) + 1 if len(block) else 0
    magnitude = _bits(staged) & 0x7FFFFFFF
    largest = torch.zeros(count, dtype=torch.int64, device=x.device).scatter_reduce(0, block, magnitude, "amax")
    # The scale is not below any magnitude, but for the 4 last places that decoding may have added: so a block that was
    # decoded has its scale again if one of its codes was the largest.
    scale_bits = torch.where(largest < 0x7F800000, ((largest - 4).clamp(min=0) + 0xFFFF) >> 16, 0x7FC0)
    if signed:
        scale_bits = torch.where(largest < (127 - 120) << 23, 0, scale_bits)
    scale = _floats(scale_bits << 16)
    factor = torch.where(scale > 0, torch.tensor(_SIGNED if signed else 255.0, device=x.device) / scale, 0.0)[block]
    if signed:
        curve = _bits(torch.addcmul(torch.ones_like(x), x.abs(), factor)) - _ONE
        code = torch.where(x < 0, -1, 1) * ((curve + (1 << (_SHIFT - 1))) >> _SHIFT).clamp(max=127)
    else:
        code = torch.where(staged > 0, (staged * factor).round().clamp(1, 255), 0.0).to(torch.int64)
    code = torch.where(scale.isfinite()[block], code, 0)
    codes = (code & 0xFF).to(torch.uint8)
    return codes, scale_bits.to(torch.int32).to(torch.int16).view(torch.bfloat16)


def _element(parameter):
    return parameter.contiguous().view(torch.int16).to(torch.int64) & 0xFFFF


def join(parameter, remainder):
    """Returns the float32 number that a 16-bit parameter and its remainder of 16 or 8 bits stand for, exactly."""
    element, wide = _element(parameter), remainder.dtype == torch.int16
    low = remainder.to(torch.int64) if wide else remainder.view(torch.int8).to(torch.int64)
    if parameter.dtype == torch.float16:
        stored = ((element & 0x7FFF) * 256 + low).clamp(min=0)
        exponent, mantissa = stored >> 18, stored & 0x3FFFF
        value = torch.ldexp(torch.where(exponent > 0, mantissa + (1 << 18), mantissa).double(),
                            (exponent.clamp(min=1) - 33).double())
        value = torch.where(exponent == 31, torch.where(mantissa == 0, torch.inf, torch.nan).double(), value)
        return torch.where(element >= 0x8000, -value, value).float()
    rounded = element << 16
    joined = (rounded + (low if wide else low * 256)) & 0xFFFFFFFF
    return _floats(torch.where((joined ^ rounded) >> 31 == 1, rounded, joined))


def split(parameter, master, dtype):
    """Returns the remainder of a parameter (int16, or uint8 for 8 bits) that restores a float32 master. Where the
    master does not round to the parameter, somebody has written the parameter since: it counts, and the remainder is
    0."""
    bits = _bits(master.float())
    if parameter.dtype == torch.float16:
        whole = _binary24(master.double())
    elif dtype == torch.int16:
        whole = bits
    else:
        whole = ((bits + 0x80) >> 8) & 0xFFFFFF
    below = 16 if dtype == torch.int16 else 8
    element = ((whole + (1 << (below - 1))) >> below) & 0xFFFF
    low = torch.where((element == _element(parameter)) & ~master.isnan(), whole & ((1 << below) - 1), 0)
    if dtype == torch.uint8:
        return low.to(torch.uint8)
    return torch.where(low >= 1 << 15, low - (1 << 16), low).to(torch.int16)


def _binary24(x):
    """Returns sign, 5 bits of exponent and 18 of mantissa of a float64, rounded to nearest."""
    exponent = torch.frexp(x)[1].clamp(min=-13) - 1  # x = m * 2^(exponent + 1), 0.5 <= |m| < 1
    mantissa = torch.ldexp(x.abs(), 18 - exponent).round()
    stored = torch.where(mantissa >= 1 << 18, (exponent + 14).double() * (1 << 18), 0.0) + mantissa
    stored = stored.nan_to_num(0, 31 << 18, 0).clamp(max=31 << 18).to(torch.int64)
    return stored | (torch.signbit(x).to(torch.int64) << 23)


def stale(parameter, master):
    """Returns where a float32 master does not round to its 16-bit parameter: somebody has written the parameter
    since."""
    rounded = master.to(parameter.dtype)
    return (parameter != rounded) & ~(parameter.isnan() & rounded.isnan())
