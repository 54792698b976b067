"""_formats.py - the numbers that an optimizer keeps for a parameter, and their formats: from the arguments `master`,
`states` and `rounding` to tensors in optimizer.state.
"""

import ctypes
import functools
import mmap
import typing

import torch

from .. import _interface
from .._library import library
from . import _codecs
from ._walk import DTYPES, local

HUGE = 1 << 21  # Bytes of a huge page.
MASTERS = (None, "none", "float32", "split", "remainder8")
STATES = {None: "float32", "float32": "float32", "bfloat16": "bfloat16", "8bit": "quantized8"}
ROUNDINGS = ("nearest", "stochastic")
# Steps keep this master beside a 16-bit parameter by default.
_OWN_MASTER = {torch.bfloat16: "split", torch.float16: "float32"}
_BITS = {"uint16": torch.int16, "uint8": torch.uint8, "float32": torch.float32, "bfloat16": torch.bfloat16,
         "float16": torch.float16, "int64": torch.int64, "float64": torch.float64}
# States that are one number for a parameter, in float64.
SCALARS = {"mu_product", "eta", "exp_avg_lr_1", "weight_sum", "lr_max", "exp_avg_norm_sq",
           "d", "d_max", "d_numerator", "k"}
# States with a sign: they have the signed 8-bit codec.
SIGNED = {"exp_avg", "exp_avg_fast", "exp_avg_diff", "momentum_buffer", "grad_avg", "prev"}


class Stored(typing.NamedTuple):
    """Formats below 32 bits keep another number than a state: functions of tensors, there and back."""

    kept: typing.Callable
    restored: typing.Callable


# Adamax keeps squares; of Rprop's gradient only the sign counts.
STORED = {"exp_inf": Stored(torch.square, torch.sqrt), "prev": Stored(torch.sign, lambda number: number)}


class Choice(typing.NamedTuple):
    """What a user chose for a group, in the user's words. None is the default."""

    master: str | None = None
    states: str | None = None
    rounding: str = "nearest"

    def check(self):
        """Raises ValueError for a word that is none of the known ones."""
        for name, known in (("master", MASTERS), ("states", tuple(STATES)), ("rounding", ROUNDINGS)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, known))}")
        return self

    def of_group(self, group):
        """Returns the choice for a group, whose own keys `master`, `states` and `rounding` go before the
        optimizer's."""
        return Choice(*(group.get(name, getattr(self, name)) for name in self._fields)).check()

    def storage(self, dtype):
        """Returns the library's names (master, states, rounding) for a parameter of a dtype."""
        master = "none" if dtype == torch.float32 else self.master or _OWN_MASTER[dtype]
        return master, STATES[self.states], self.rounding


def storage_struct(names):
    """Returns the Storage of three names."""
    master, states, rounding = names
    return _interface.Storage(master=_interface.MASTERS[master], states=_interface.STATES[states],
                              rounding=_interface.ROUNDINGS[rounding])


def lookahead_struct(pair):
    """Returns the Lookahead of a pair (k, alpha), or None for None."""
    return None if pair is None else _interface.Lookahead(k=pair[0], alpha=pair[1])


class Stream(typing.NamedTuple):
    """A stream of numbers that the library keeps for a parameter."""

    name: str  # The library's: "exp_avg", "exp_avg.scales", "master", "remainder", "step".
    dtype: torch.dtype
    numel: int


@functools.lru_cache(maxsize=4096)
def streams_of(rule, settings, dtype, storage, numel, shard, shape=(), lookahead=None):
    """Returns the streams of a parameter with a rule, hyperparameters (a tuple of pairs), a storage and the pair of
    Lookahead, if any. `shape`: of matrices."""
    from .._optimizer import dims_of, settings_of

    calls, made = library().calls, settings_of(dict(settings))
    group = _interface.Group(rule=rule.encode(), settings=made, setting_count=len(made))
    parameter = _interface.Parameter(dtype=DTYPES[dtype], grad_dtype=DTYPES[dtype], name=b"parameter", numel=numel,
                                     storage=storage_struct(storage), **dims_of(shape), **shard._asdict())
    listed = _interface.HANDLE()
    options = _interface.Options(lookahead=lookahead_struct(lookahead))
    library().check(calls.onepass_required_memory(group, 1, parameter, 1, _interface.CPU, options, listed))
    try:
        count, info, found = _interface.LONG(), _interface.StreamInfo(), []
        library().check(calls.onepass_streams_count(listed, count))
        names = {number: name for name, number in _interface.DTYPES.items()}
        for index in range(count.value):
            library().check(calls.onepass_streams_at(listed, index, info))
            found.append(Stream(info.name.decode(), _BITS[names[info.dtype]], info.numel))
        return tuple(found)
    finally:
        calls.onepass_streams_destroy(listed)


class Given(typing.NamedTuple):
    """Memory for a stream, and whether it holds numbers to go on with."""

    name: str
    tensor: torch.Tensor  # With the stream's elements in their order.
    present: bool


def scales_of(codes):
    """Returns the scales of a state of 8 bits, or None. They stay beside the codes: keys of the state are torch's."""
    return getattr(codes, "_onepass_scales", None)


def with_scales(codes, scales):
    """Puts scales beside codes and returns the codes."""
    codes._onepass_scales = scales
    return codes


class Keeper:
    """Finds or makes the tensors of one parameter's state. `portable`: the state was read from a state dict, so that a
    square_avg is torch's, where formats below 32 bits keep the variance of a centered RMSprop."""

    def __init__(self, seat, portable=False):
        self.seat, self.state, self.value, self.portable = seat, seat.state, seat.value, portable
        self.shard = _codecs.Shard(seat.value.numel(), *seat.shard)

    def like(self, dtype):
        """Returns an uninitialised state of the parameter's shape that lies as steps read the parameter, a DTensor for
        a DTensor."""
        parameter = self.seat.parameter
        if local(parameter) is parameter:
            return in_huge_pages(torch.empty_like(self.value, dtype=dtype))
        return in_huge_pages(torch.empty_like(parameter.detach(), dtype=dtype, memory_format=torch.contiguous_format))

    def fits(self, tensor, dtype):
        memory = local(tensor)
        return memory.dtype == dtype and memory.device == self.value.device and memory.shape == self.value.shape \
            and memory.stride() == self.value.stride()

    def filled(self, dtype, flat):
        """Returns a state with the given elements, in the order of memory."""
        tensor = self.like(dtype)
        flat_of(local(tensor)).copy_(flat)
        return tensor

    def keep(self, streams):
        """Returns a Given for each stream; the state has its tensors after that."""
        given, scales = [self.step()], _scales_among(streams)
        for stream in streams:
            if stream.name == "step":
                continue
            if stream.name in SCALARS:
                self.state[stream.name] = self.scalar(stream.name)
                given.append(Given(stream.name, self.state[stream.name], True))
            elif stream.name in self.seat.lines:
                given.append(self.line(stream))
            elif stream.name in ("master", "remainder"):
                given.append(self.master(stream))
            elif not stream.name.endswith(".scales"):
                given += self.of_rule(stream, scales.get(stream.name))
        return given

    def adopt(self, streams):
        """Brings what a state dict had into the formats of the streams. Makes nothing that it had not. A remainder is
        made by the next step: the parameter, whose lower bits it has, may be loaded after the optimizer."""
        scales, changed = _scales_among(streams), {}
        for stream in streams:
            key = "master" if stream.name == "remainder" else stream.name
            if key not in self.state or key == "step":
                continue
            if key in SCALARS:
                changed[key] = self.scalar(key)
            elif key in self.seat.lines:
                changed[key] = self.line_of(key, self.state[key])
            elif key != "master":
                changed[key] = self.converted(stream, self.state[key], scales.get(key))
            elif stream.dtype == torch.float32:
                changed[key] = self.master_of(stream, self.state[key])
            elif self.state[key].is_floating_point():
                self.floats(key, self.state[key])  # Raises an error if it does not fit.
        self.state.update(changed)

    def step(self):
        """The counter: a float32 on the parameter's device. Where the state has no "step", as torch's SGD, the counter
        is the seat's own and says whether the state has begun."""
        step = self.state.get("step", self.seat.began) if self.seat.keeps_step else self.seat.began
        if not (torch.is_tensor(step) and step.dtype == torch.float32 and step.device == self.value.device
                and step.dim() == 0):
            step = torch.tensor(float(step or 0), dtype=torch.float32, device=self.value.device)
        if self.seat.keeps_step:
            self.state["step"] = step
        self.seat.counter = step
        return Given("step", step, True)

    def scalar(self, name):
        """Returns a number that the library carries for the parameter; 0 if there is none yet."""
        present = self.state.get(name, 0.0)
        if torch.is_tensor(present) and present.dtype == torch.float64 and present.device == self.value.device:
            return present
        return torch.tensor(float(present), dtype=torch.float64, device=self.value.device)

    def line(self, stream):
        present = self.state.get(stream.name)
        shape = self.seat.lines[stream.name](self.value.shape)
        tensor = self.whole(torch.empty(shape, dtype=stream.dtype, device=self.value.device)) if present is None else \
            self.line_of(stream.name, present)
        self.state[stream.name] = tensor
        return Given(stream.name, local(tensor), present is not None)

    def line_of(self, name, present):
        """Returns a state of rows or columns as steps keep it: float32 numbers in their order."""
        memory, shape = local(present), self.seat.lines[name](self.value.shape)
        if tuple(memory.shape) != tuple(shape):
            raise ValueError(f"{name} of parameter {self.seat.name} has the shape {tuple(memory.shape)}, but of a "
                             f"parameter of {tuple(self.value.shape)} it must have {tuple(shape)}")
        if memory.dtype == torch.float32 and memory.device == self.value.device and memory.is_contiguous():
            return present
        return self.whole(memory.to(self.value.device, torch.float32).contiguous())

    def whole(self, memory):
        """Returns numbers that every rank has, as a DTensor for a DTensor."""
        parameter = self.seat.parameter
        if local(parameter) is parameter:
            return memory
        from torch.distributed.tensor import DTensor, Replicate

        mesh = parameter.device_mesh
        return DTensor.from_local(memory, mesh, [Replicate()] * mesh.ndim, run_check=False)

    def of_rule(self, stream, scales):
        present = self.state.get(stream.name)
        tensor = self.like(stream.dtype) if present is None else self.converted(stream, present, scales)
        if scales is not None and present is None:
            with_scales(tensor, torch.empty(scales.numel, dtype=torch.bfloat16, device=self.value.device))
        self.state[stream.name] = tensor
        given = [Given(stream.name, local(tensor), present is not None)]
        if scales is not None:
            given.append(Given(scales.name, scales_of(tensor), present is not None))
        return given

    def converted(self, stream, present, scales):
        """Returns a state in the format that steps need."""
        held = scales_of(present)
        becomes_variance = self.portable and self.seat.keeps_variance and stream.name == "square_avg" \
            and stream.dtype != torch.float32 and held is None
        was_stored = stream.name in STORED and (held is not None or not self.portable and
                                                local(present).dtype != torch.float32)
        is_stored = stream.name in STORED and stream.dtype != torch.float32
        if self.fits(present, stream.dtype) and not becomes_variance and was_stored == is_stored and (
                scales is None or held is not None and held.numel() == scales.numel
                and held.device == self.value.device):
            return present
        number = self.floats(stream.name, present)
        if becomes_variance and "grad_avg" in self.state:
            number = (number - self.floats("grad_avg", self.state["grad_avg"]) ** 2).clamp(min=0)
        if was_stored != is_stored:
            number = (STORED[stream.name].kept if is_stored else STORED[stream.name].restored)(number)
        if scales is None:
            return self.filled(stream.dtype, number)
        codes, made = _codecs.encode8(number, self.shard, stream.name in SIGNED)
        return with_scales(self.filled(torch.uint8, codes), made)

    def floats(self, name, present):
        """Returns a state as float32 numbers in the order of memory."""
        memory = local(present).to(self.value.device)
        if memory.shape != self.value.shape:
            raise ValueError(f"{name} of parameter {self.seat.name} has the shape {tuple(memory.shape)}, but the "
                             f"parameter has {tuple(self.value.shape)}")
        held = scales_of(present)
        if held is not None:
            return _codecs.decode8(flat_of(memory), held.to(memory.device), self.shard, name in SIGNED)
        if not memory.is_floating_point():
            raise ValueError(f"{name} of parameter {self.seat.name} has the dtype {memory.dtype} and no scales; it "
                             "must have floating point numbers")
        return flat_of(as_laid_out(memory.float(), self.value))

    def master(self, stream):
        present = self.state.get("master")
        tensor = self.like(stream.dtype) if present is None else self.master_of(stream, present)
        self.state["master"] = tensor
        return Given(stream.name, local(tensor), present is not None)

    def master_of(self, stream, present):
        """Returns a master or remainder in the format of the stream."""
        if self.fits(present, stream.dtype):
            return present
        number = self.master_floats(present)
        return self.filled(stream.dtype, number if stream.dtype == torch.float32 else
                           _codecs.split(flat_of(self.value), number, stream.dtype))

    def master_floats(self, present):
        """Returns a master, or what a remainder makes of the parameter, as float32 in the order of memory."""
        memory = local(present).to(self.value.device)
        if memory.is_floating_point():
            return self.floats("master", present)
        return _codecs.join(flat_of(self.value), flat_of(as_laid_out(memory, self.value)))


def in_huge_pages(tensor):
    """Asks the system for huge pages for a large new tensor on the CPU, which nobody has touched, and returns it:
    steps beyond the cache then look up fewer addresses of pages."""
    memory = local(tensor)
    begin, end = memory.data_ptr(), memory.data_ptr() + memory.numel() * memory.element_size()
    first, last = -(-begin // HUGE) * HUGE, end // HUGE * HUGE
    if memory.device.type == "cpu" and last - first >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        # If the system refuses, the pages stay small.
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_HUGEPAGE)
    return tensor


def _scales_among(streams):
    """Returns the streams of scales by the name of their state."""
    return {stream.name.removesuffix(".scales"): stream for stream in streams if stream.name.endswith(".scales")}


def as_laid_out(tensor, like):
    """Returns the tensor with the strides of another one of its shape."""
    if tensor.shape == like.shape and tensor.stride() != like.stride():
        return torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
    return tensor


def flat_of(tensor):
    """Returns a one-dimensional view of a dense tensor, in the order of memory."""
    return tensor.as_strided((tensor.numel(),), (1,))


def refresh(master, value):
    """Makes a float32 master follow its parameter where somebody has written the parameter. Returns the master."""
    return master.copy_(torch.where(_codecs.stale(value, master), value.float(), master))
