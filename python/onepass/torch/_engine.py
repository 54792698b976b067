"""_engine.py - one optimizer of the library over tensors of one device."""

import ctypes
import weakref

import torch

from .. import _interface
from .._library import library
from .._optimizer import dims_of, settings_of
from ._formats import lookahead_struct, storage_struct
from ._rules import rescales
from ._walk import DTYPES, device_number

MEASURE = 22  # Integers of the measure of an L2 norm.
SUMS = 67  # Integers of the sums over a tensor, or over the model.

_CODES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16", torch.int16: "uint16",
          torch.uint8: "uint8", torch.int64: "int64", torch.float64: "float64"}


def stream_of(device):
    """Returns the handle of torch's current CUDA stream on a device, or None on the CPU."""
    return torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else None


def _has_tensor(value):
    return torch.is_tensor(value) or isinstance(value, tuple) and any(map(torch.is_tensor, value))


class Engine:
    """Steps seats. States, masters and step counters are tensors of torch, so that an engine can be dropped at any time
    and made anew from them."""

    def __init__(self, device, counted, optimizer):
        self.device, self.counted, self.spelling = device, counted, optimizer._spelling
        self.number = _interface.CPU if device.type == "cpu" else device_number(device)
        self.seats, self.given = [], []
        self.groups = optimizer.param_groups  # Of torch: those that have a seat here are the library's, in their order.
        self.sent, self.read, self.handling, self.kept_alive = {}, {}, None, None
        self.seed, self.lookahead = optimizer._arguments.seed, optimizer._arguments.lookahead
        self.handle, self.prepared = None, False

    def add(self, seat, given):
        self.seats.append(seat)
        self.given.append(given)

    def make(self):
        """Makes the library's optimizer, which initialises the states that do not hold numbers yet."""
        self.calls = library().calls
        self.used = sorted({seat.group for seat in self.seats})
        self.places = [seat.index for seat in self.seats]  # Among the parameters of all ranks.
        made = [settings_of(dict(self._settings(number))) for number in self.used]
        groups = (_interface.Group * len(made))(*(
            _interface.Group(rule=self.spelling.name.encode(), settings=settings, setting_count=len(settings))
            for settings in made))
        self.gradients = (_interface.Tensor * len(self.seats))()
        parameters = (_interface.Parameter * len(self.seats))(*map(self._parameter, range(len(self.seats))))
        options = _interface.Options(seed=self.seed % (1 << 64), threads=torch.get_num_threads(),
                                     lookahead=lookahead_struct(self.lookahead))
        handle = _interface.HANDLE()
        library().check(self.calls.onepass_create(groups, len(groups), parameters, len(parameters), self.number,
                                                  options,
                                                  handle))
        self.handle = handle
        self.destroy = weakref.finalize(self, self.calls.onepass_destroy, handle)
        for seat, gradient in zip(self.seats, self.gradients):
            gradient.size, gradient.numel = ctypes.sizeof(gradient), seat.value.numel()
            gradient.dtype, seat.gradient = DTYPES[seat.value.dtype], gradient

    def _parameter(self, index):
        seat = self.seats[index]
        dtype = DTYPES[seat.value.dtype]
        streams = (_interface.GivenStream * len(self.given[index]))(*(
            _interface.GivenStream(name=one.name.encode(), dtype=_interface.DTYPES[_CODES[one.tensor.dtype]],
                                   data=one.tensor.data_ptr() or seat.stand_in(), numel=one.tensor.numel(),
                                   contents=int(one.present))
            for one in self.given[index]))
        return _interface.Parameter(
            dtype=dtype, grad_dtype=dtype, name=seat.name.encode(), value=seat.value.data_ptr() or seat.stand_in(),
            numel=seat.value.numel(), group=self.used.index(seat.group), storage=storage_struct(seat.storage),
            streams=streams, stream_count=len(streams), **dims_of(seat.shape_of_matrices()), **seat.shard._asdict())

    def _settings(self, number):
        """Returns the hyperparameters of a group, which the library has after this."""
        group = self.groups[number]
        self.sent[number] = settings = self.spelling.settings(group)
        read = [group.get(key) for key in self.spelling.read]
        # A tensor may change in place, so it is read in each step.
        self.read[number] = None if any(map(_has_tensor, read)) else read
        return settings

    def send_settings(self, stream):
        """Sends the hyperparameters that have changed since the last step."""
        for index, number in enumerate(self.used):
            group = self.groups[number]
            if self.read[number] == [group.get(key) for key in self.spelling.read]:
                continue
            settings = self.spelling.settings(group)
            changed = settings_of(dict(new for new, old in zip(settings, self.sent[number]) if new != old))
            if len(changed):
                library().check(self.calls.onepass_set_several(self.handle, index, changed, len(changed), stream))
            self._settings(number)

    def send_handling(self, handling, stream):
        """Sends what steps do with the gradients before the rule: a Handling."""
        if handling is self.handling:
            return
        wanted = handling.on(self.device)
        clip = None if wanted.max_norm is None else _interface.ClipGradNorm(
            norm_type=_interface.NORMS["l2"], max_norm=wanted.max_norm, exact=int(wanted.exact),
            per_parameter=int(wanted.per_parameter))
        library().check(self.calls.onepass_set_gradient_handling(self.handle, _interface.GradientHandling(
            nonfinite=_interface.NONFINITE["error" if wanted.skips else "propagate"], clip_norm=clip,
            found_inf=wanted.found_inf, grad_scale=wanted.grad_scale), stream))
        self.handling, self.kept_alive = handling, wanted

    def prepare(self, stream, changed):
        """Hands the gradients of this step to the library, if any has changed since the last."""
        if not changed and self.prepared:
            return
        self.prepared = True
        library().check(self.calls.onepass_set_gradients(self.handle, self.gradients, len(self.gradients), stream))

    def step(self, stream):
        library().check(self.calls.onepass_step(self.handle, stream))

    def sweep(self, name, stream):
        library().check(self.calls.onepass_sweep(self.handle, name.encode(), stream))

    def measure(self, stream):
        """Returns what combines with the measures of other engines by a sum: a tensor of int64 on the device."""
        numel = _interface.LONG()
        library().check(self.calls.onepass_measure_numel(self.handle, numel))
        into = torch.empty(numel.value, dtype=torch.int64, device=self.device)
        library().check(self.calls.onepass_measure(
            self.handle, ctypes.cast(into.data_ptr(), ctypes.POINTER(_interface.LONG)), numel.value, stream))
        return into

    def step_measured(self, measure, stream):
        measure = measure.to(self.device)
        library().check(self.calls.onepass_step_measured(
            self.handle, ctypes.cast(measure.data_ptr(), ctypes.POINTER(_interface.LONG)), measure.numel(), stream))

    def takes_sums(self):
        """Returns whether steps take sums over tensors."""
        return self.spelling.sums or any(rescales(self.groups[number]) for number in self.used)

    def perturb(self, sam, stream):
        """Moves the parameters as `sam` says, an _interface.Sam."""
        library().check(self.calls.onepass_perturb(self.handle, sam, stream))

    def measure_perturbation(self, sam, stream):
        """Returns what combines with the measures of other engines by a sum, as measure() does."""
        into = torch.empty(MEASURE, dtype=torch.int64, device=self.device)
        library().check(self.calls.onepass_measure_perturbation(self.handle, sam, into.data_ptr(), MEASURE, stream))
        return into

    def perturb_measured(self, sam, measure, stream):
        measure = measure.to(self.device)
        library().check(self.calls.onepass_perturb_measured(self.handle, sam, measure.data_ptr(), MEASURE, stream))

    def restore(self, stream):
        library().check(self.calls.onepass_restore(self.handle, stream))

    def begin_step(self, measure, stream):
        """Returns the sums over this rank's part of each tensor, a row for each seat and then one for the model if the
        rule has such sums. They combine with those of other ranks by a sum. finish_step() ends the step. `measure`: as
        for step_measured(), or None."""
        rows = len(self.seats) + self.spelling.over_model
        into = torch.empty(rows, SUMS, dtype=torch.int64, device=self.device)
        measure = torch.empty(0, dtype=torch.int64) if measure is None else measure.to(self.device)
        library().check(self.calls.onepass_begin_step(
            self.handle, measure.data_ptr() or None, measure.numel(), into.data_ptr(), into.numel(), stream))
        return into

    def finish_step(self, sums, stream):
        sums = sums.to(self.device).contiguous()
        library().check(self.calls.onepass_finish_step(self.handle, sums.data_ptr(), sums.numel(), stream))

    def grad_norm(self, stream):
        norm = _interface.DOUBLE()
        library().check(self.calls.onepass_grad_norm(self.handle, -1, stream, norm))
        return norm.value

    def skipped_steps(self, stream):
        steps = _interface.LONG()
        library().check(self.calls.onepass_skipped_steps(self.handle, stream, steps))
        return steps.value

    def nonfinite(self, stream):
        """Returns a sentence about the first gradient that was not finite since the last call, or None."""
        status = self.calls.onepass_check(self.handle, stream)
        if status == _interface.STATUSES["nonfinite_gradient"]:
            return self.calls.onepass_last_error().decode()
        library().check(status)
        return None
