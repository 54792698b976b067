"""_state.py - state dicts that torch's optimizers, other formats and other numbers of ranks can load, and the way
back."""

import torch

from . import _plan
from ._formats import SCALARS, STORED, Keeper, scales_of, with_scales
from ._seats import is_ours, place_of
from ._walk import local

_SCALES = "_scales"  # "exp_avg_scales", in a dict of checkpoint="exact".
_EXACT = "_exact"  # "mu_product_exact", on the way through torch's load_state_dict().


class _Raw:
    """A tensor of a state dict on its way through torch's load_state_dict(), which would round it to the parameter's
    dtype: float32 moments and masters of bfloat16 parameters would lose 16 bits."""

    def __init__(self, tensor):
        self.tensor = tensor


def _seat_of(optimizer, seat):
    """Completes a seat for a parameter whose state is converted outside of steps. Returns it, or None if the library
    does not step such parameters."""
    group = optimizer.param_groups[seat.group]
    if not is_ours(seat.parameter):
        return None
    memory = local(seat.parameter.detach())
    seat.value = memory if seat.is_read(memory) else memory.contiguous()
    seat.storage = optimizer._arguments.choice().of_group(group).storage(seat.parameter.dtype)
    seat.shard, seat.keeps_variance = place_of(seat.parameter), bool(group.get("centered"))
    return seat


def save(optimizer, torch_save):
    """Returns torch's state dict with the compressed formats decoded. Hooks of users see the decoded one."""
    handle = optimizer.register_state_dict_post_hook(_decoded, prepend=True)
    try:
        return torch_save()
    finally:
        handle.remove()


def _decoded(optimizer, state_dict):
    for seat in _plan.seats_of(optimizer):
        state = state_dict["state"].get(seat.index)
        if not state and optimizer._spelling.starts:
            group = optimizer.param_groups[seat.group]
            state_dict["state"][seat.index] = optimizer._spelling.starts(group, seat.parameter)
        elif state and any(_is_compressed(key, tensor) for key, tensor in state.items()):
            state_dict["state"][seat.index] = state = _decoded_state(optimizer, seat, state)
        if state and optimizer._spelling.completed:
            group = optimizer.param_groups[seat.group]
            state_dict["state"][seat.index] = optimizer._spelling.completed(group, state)
    return state_dict


def _is_compressed(key, tensor):
    return scales_of(tensor) is not None or key == "master" and not tensor.is_floating_point() or \
        (key == "square_avg" or key in STORED) and tensor.dtype == torch.bfloat16


def _decoded_state(optimizer, seat, state):
    if _seat_of(optimizer, seat) is None:
        return state
    seat.state, made = state, {}
    keeper = Keeper(seat)
    for key, tensor in state.items():
        scales = scales_of(tensor)
        if scales is not None and optimizer._arguments.checkpoint == "exact":
            made[key], made[key + _SCALES] = _alias(tensor), scales
        elif scales is not None or tensor.dtype != torch.float32 and (
                key == "square_avg" and seat.keeps_variance or key in STORED):
            made[key] = keeper.filled(_decoded_type(optimizer, tensor), _number(keeper, key, tensor))
        elif key == "master" and not local(tensor).is_floating_point() and optimizer._arguments.checkpoint != "exact":
            made[key] = keeper.filled(torch.float32, keeper.master_floats(tensor))
        else:
            made[key] = tensor
    return made


def _alias(tensor):
    """Returns a tensor of the same memory without attributes of ours."""
    return tensor.detach()


def _decoded_type(optimizer, tensor):
    return torch.float32 if optimizer._arguments.checkpoint == "float32" else torch.bfloat16


def _number(keeper, key, tensor):
    """Returns a state as torch has it. Formats below 32 bits keep the variance of a centered RMSprop, torch
    square_avg, and what STORED says."""
    number = keeper.floats(key, tensor)
    if key in STORED:
        return STORED[key].restored(number)
    if key == "square_avg" and keeper.seat.keeps_variance and "grad_avg" in keeper.state:
        number = number + keeper.floats("grad_avg", keeper.state["grad_avg"]) ** 2
    return number


def load(optimizer, torch_load, state_dict):
    """Loads a state dict of torch's optimizer or of one of these; one that does not fit changes nothing. Hooks of users
    see tensors."""
    handle = optimizer.register_load_state_dict_pre_hook(_wrapped)
    before = optimizer.state, optimizer.param_groups
    try:
        torch_load(state_dict)
    except Exception:
        optimizer.state, optimizer.param_groups = before
        raise
    finally:
        handle.remove()


def _wrapped(optimizer, state_dict):
    states = {key: _wrapped_state(state) if isinstance(state, dict) else state
              for key, state in state_dict["state"].items()}
    return {**state_dict, "state": states}


def _wrapped_state(state):
    wrapped = {}
    for name, value in state.items():
        if name in SCALARS or name == "mu":  # torch looks at these.
            wrapped[name], wrapped[name + _EXACT] = float(value), _Raw(torch.as_tensor(value))
        else:
            wrapped[name] = _Raw(value) if torch.is_tensor(value) and name != "step" else value
    return wrapped


def unwrap(optimizer):
    """Brings the states that load_state_dict() has wrapped into the formats that steps keep."""
    states = optimizer.state
    wrapped = [seat for seat in _plan.seats_of(optimizer) if isinstance(state := states.get(seat.parameter), dict)
               and any(isinstance(value, _Raw) for value in state.values())]
    for seat in wrapped:
        states[seat.parameter] = _loaded(optimizer, seat, states[seat.parameter])


def _loaded(optimizer, seat, state):
    parameter = seat.parameter
    ours = _seat_of(optimizer, seat) is not None
    plain = {}
    for key, value in state.items():
        tensor = value.tensor if isinstance(value, _Raw) else value
        if isinstance(value, _Raw):
            narrows = not ours and parameter.is_floating_point() and tensor.is_floating_point() \
                and not key.endswith(_EXACT)
            tensor = tensor.to(parameter.device, parameter.dtype if narrows else None)
        plain[key] = tensor
    for key in [key for key in plain if key.endswith(_EXACT)]:
        plain[key.removesuffix(_EXACT)] = plain.pop(key)
    for key in [key for key in plain if key.endswith(_SCALES)]:
        codes = plain.get(key.removesuffix(_SCALES))
        if codes is not None:
            plain[key.removesuffix(_SCALES)] = with_scales(codes.clone(), plain.pop(key))
    if ours:
        seat.state = plain
        Keeper(seat, portable=True).adopt(_plan.streams_for(optimizer, seat))
    return plain



def make_portable(optimizer):
    """Brings the states of an optimizer into the formats that torch's optimizers have."""
    saved = optimizer.state_dict()["state"]
    for seat in _plan.seats_of(optimizer):
        if seat.index in saved:
            optimizer.state[seat.parameter] = dict(saved[seat.index])


def adopt(optimizer):
    """Brings states in the formats of torch's optimizers into those that steps keep."""
    for seat in _plan.seats_of(optimizer):
        state = optimizer.state.get(seat.parameter)
        if state and _seat_of(optimizer, seat) is not None:
            seat.state = state
            Keeper(seat, portable=True).adopt(_plan.streams_for(optimizer, seat))
