"""_rules.py - how a parameter group of torch.optim spells the rule of the library that steps it."""

import typing

import torch


class Spelling(typing.NamedTuple):
    """A rule of the library, as a group of torch.optim has it."""

    name: str  # Of the library's rule.
    base: type  # The class of torch that has these groups.
    settings: typing.Callable  # Group -> tuple of (hyperparameter, value), in an order that never changes.
    read: tuple  # Keys of the group that `settings` reads.
    kept: typing.Callable  # Group -> tuple that selects the states; the optimizer is planned anew when it changes.
    keys: tuple  # Of a parameter's state, in torch's order. A rule without "step" among them counts for itself.


def number(value):
    """Returns a hyperparameter as a float. torch allows tensors of one element."""
    return float(value)


def _decay(group):
    return "decoupled" if group.get("decoupled_weight_decay") else "coupled"


def _numbers(group, *names):
    return tuple((name, number(group[name])) for name in names)


def _flags(group, *names):
    return tuple((name, bool(group[name])) for name in names)


def _adam(group):
    betas = tuple((name, number(beta)) for name, beta in zip(("beta1", "beta2"), group["betas"]))
    return (*_numbers(group, "lr", "eps", "weight_decay"), *betas, ("weight_decay_mode", _decay(group)),
            *_flags(group, "amsgrad", "maximize"))


def _sgd(group):
    return _numbers(group, "lr", "momentum", "dampening", "weight_decay") + _flags(group, "nesterov", "maximize")


def _rmsprop(group):
    return (*_numbers(group, "lr", "alpha", "eps", "weight_decay", "momentum"), ("epsilon", "outside_root"),
            *_flags(group, "centered", "maximize"))


ADAM = Spelling(
    "Adam", torch.optim.Adam, _adam,
    ("lr", "betas", "eps", "weight_decay", "decoupled_weight_decay", "amsgrad", "maximize"),
    lambda group: (bool(group["amsgrad"]),), ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"))
ADAMW = ADAM._replace(name="AdamW", base=torch.optim.AdamW)
SGD = Spelling(
    "SGD", torch.optim.SGD, _sgd, ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"),
    lambda group: (group["momentum"] != 0,), ("momentum_buffer",))
RMSPROP = Spelling(
    "RMSProp", torch.optim.RMSprop, _rmsprop,
    ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize"),
    lambda group: (group["momentum"] != 0, bool(group["centered"])),
    ("step", "square_avg", "momentum_buffer", "grad_avg"))
