"""_plan.py - who steps which parameter. A plan is made at the first step and whenever lists, states, formats or
addresses have changed; it keeps no numbers, so that dropping it loses none."""

import typing

import torch

from . import _distributed
from ._engine import Engine
from ._formats import Keeper, streams_of
from ._seats import Seat, is_ours
from ._walk import OTHER, STEPPED, local, walker


def key_of(optimizer):
    """Returns what, besides objects and addresses, a plan depends on."""
    kept = optimizer._spelling.kept
    return [(id(group), kept(group), group.get("master"), group.get("states"), group.get("rounding"),
             group.get("differentiable")) for group in optimizer.param_groups], \
        optimizer._arguments, torch.get_num_threads()


def seats_of(optimizer):
    """Returns a seat for each parameter, in torch's order, as if nobody stepped it yet. The optimizer may be
    torch's."""
    seats, spelling = [], getattr(optimizer, "_spelling", None)
    lines = spelling.lines if spelling else {}
    for number, group in enumerate(optimizer.param_groups):
        names = group.get("param_names")
        for place, parameter in enumerate(group["params"]):
            index = len(seats)
            seats.append(Seat(parameter, number, index, names[place] if names else str(index)))
            seats[-1].lines = lines
            if lines:
                _distributed.require_whole(type(optimizer).__name__, seats[-1])
    return seats


def streams_for(optimizer, seat):
    """Returns the streams that the library keeps for a seat, in the order of torch's keys."""
    group = optimizer.param_groups[seat.group]
    spelling = optimizer._spelling
    selecting = tuple(pair for pair in spelling.settings(group) if pair[0] in spelling.selecting)
    lookahead = optimizer._arguments.lookahead
    if lookahead is not None and seat.value.dtype != torch.float32 and seat.storage[0] not in ("float32", "split"):
        raise ValueError("lookahead needs parameters of float32, or with master 'split' or 'float32', but "
                         f"{seat.name!r} is {seat.value.dtype} with master {seat.storage[0]!r}")
    streams = streams_of(spelling.name, selecting, seat.value.dtype, seat.storage, seat.value.numel(),
                         seat.shard, seat.shape_of_matrices(), lookahead)
    place = {key: number for number, key in enumerate(spelling.keys)}
    return sorted(streams, key=lambda stream: place.get(stream.name.removesuffix(".scales"), len(place)))


def take(optimizer, seat):
    """Gives a seat to the library if it steps such parameters."""
    group = optimizer.param_groups[seat.group]
    if group.get("differentiable") or optimizer._is_refused(seat.parameter) or not is_ours(seat.parameter):
        return
    seat.keeps_variance = bool(group.get("centered"))
    storage = optimizer._arguments.choice().of_group(group).storage(seat.parameter.dtype)
    counts = "step" in optimizer._spelling.keys or optimizer._arguments.lookahead is not None
    seat.take(optimizer.state, storage, counts)


class Plan:
    """Seats, the engines that step them, and a walker that sees what has changed."""

    def __init__(self, optimizer):
        self.key = key_of(optimizer)
        self.seats = seats_of(optimizer)
        self.reduction = _distributed.Reduction([seat.parameter for seat in self.seats],
                                                 optimizer._arguments.process_group)
        self.engines, given = {}, []
        for seat in self.seats:
            take(optimizer, seat)
            if seat.kind == STEPPED:
                streams = Keeper(seat).keep(streams_for(optimizer, seat))
                given += [one.tensor for one in streams]
                if seat.state:
                    optimizer.state[seat.parameter] = seat.state
                self._engine(optimizer, seat).add(seat, streams)
        self.engines = list(self.engines.values())
        for engine in self.engines:
            engine.make()
        self.handling = None  # Of the last step.
        self.stepped = [seat for seat in self.seats if seat.kind == STEPPED]
        self.all_stepped = [seat.parameter for seat in self.stepped]
        self.others = [seat.parameter for seat in self.seats if seat.kind == OTHER]
        self.shadowed = [seat for seat in self.seats if seat.shadow is not None]
        self.mastered = [seat for seat in self.stepped if seat.storage[0] == "float32"]
        self.distributed = [seat for seat in self.stepped if _distributed.is_distributed(seat.parameter)]
        self.versions = {}
        self.walker = walker(self.seats, given, roots_of(optimizer))

    def _engine(self, optimizer, seat):
        counted = self.reduction.is_counted(seat.parameter)
        key = (seat.value.device, counted)
        if key not in self.engines:
            self.engines[key] = Engine(seat.value.device, counted, optimizer)
        return self.engines[key]

    def holds(self, optimizer):
        """Returns whether the plan still describes the optimizer. If so, it has read the gradients."""
        return self.key == key_of(optimizer) and self.walker.holds(*roots_of(optimizer))

    def stepped_parameters(self):
        """Returns the parameters that have a gradient and are stepped by the library."""
        if self.walker.gradients == len(self.stepped):
            return self.all_stepped
        return [seat.parameter for seat in self.stepped if seat.gradient.data]


def roots_of(optimizer):
    """Returns the lists and dicts whose contents a plan depends on."""
    lists = [group["params"] for group in optimizer.param_groups]
    return [params if type(params) is list else list(params) for params in lists], optimizer.state


class Handling(typing.NamedTuple):
    """What a step does with gradients before the rule."""

    max_norm: float | None
    per_parameter: bool
    skips: bool
    exact: bool  # The norm has the same bits for every cut into shards.
    found_inf: torch.Tensor | None
    grad_scale: torch.Tensor | None

    def on(self, device):
        """Returns the same for a device: pointers in place of tensors."""
        return OnDevice(self, device)

    def measures(self):
        return self.max_norm is not None or self.skips

    def clips_each(self):
        """Returns whether the measure has that of each parameter."""
        return self.max_norm is not None and self.per_parameter


class OnDevice:
    """A Handling with its tensors on a device, which it keeps alive."""

    def __init__(self, handling, device):
        self.max_norm, self.per_parameter = handling.max_norm, handling.per_parameter
        self.skips, self.exact = handling.skips, handling.exact
        self.tensors = [None if tensor is None else local(tensor).detach().to(device, torch.float32)
                        for tensor in (handling.found_inf, handling.grad_scale)]
        self.found_inf, self.grad_scale = (None if tensor is None else tensor.data_ptr() for tensor in self.tensors)
