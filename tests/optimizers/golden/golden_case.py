"""A case that make_golden.py asks another package's optimizer: the class, with the library's names for its arguments and
states."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

Settings = dict[str, float | str]


@dataclass
class Case:
    """One optimizer with certain settings."""

    name: str
    source: str
    settings: Settings
    make: Callable  # make(parameters, settings): the optimizer
    names: dict[str, str]  # the class's name of each state by the library's
    start: dict[str, dict[str, tuple]] = field(default_factory=dict)  # states by tensor before the first step
    halves: bool = True  # the learning rate on the way
    over_model: bool = False  # one optimizer for all tensors
    preset: str = ""  # of the library
    defaults: Settings = field(default_factory=dict)  # learning rate and decay that the class has if it is not told
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of the tensors that are no vectors

    def states(self, optimizer, parameter):
        """Returns the states by the library's names."""
        return {ours: optimizer.state[parameter][theirs] for ours, theirs in self.names.items()}

    @staticmethod
    def set_states(optimizer, parameter, start):
        optimizer.state[parameter].update({"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(parameter), **start})


def source(package, cls):
    """Returns "timm 1.0.31, timm.optim.lion.Lion"."""
    version = importlib.metadata.version(package).partition("+")[0]
    return f"{package} {version}, {cls.__module__}.{cls.__qualname__}"


def same(*names):
    """Returns the names of states that the library and the class call alike."""
    return {name: name for name in names}


def cases(package, cls, make, names, base, **changes):
    """Returns a case for each change of the base settings: coupled={...}, decoupled={...}. `names` are the names of the
    states, or a function that makes them of the settings. The learning rate of a case "constant" stays."""
    def one(name, settings):
        return Case(name, source(package, cls), settings, make=lambda p, s: make(cls, p, s),
                    names=names(settings) if callable(names) else names, halves=name != "constant")
    return [one(name, base | change) for name, change in changes.items()]


def betas(s, count=2):
    return tuple(s[f"beta{i}"] for i in range(1, count + 1))


def decoupled(s):
    return s["weight_decay_mode"] == "decoupled"


def common(s):
    """Returns the arguments that most classes share."""
    return {"lr": s["lr"], "weight_decay": s["weight_decay"], "maximize": s["maximize"], "foreach": False}


def decay(mode, weight_decay=0.1):
    return {"weight_decay": weight_decay, "weight_decay_mode": mode, "maximize": False}


COUPLED = decay("coupled", 0.01)
DECOUPLED = decay("decoupled")
MAXIMIZE = {"maximize": True}
RESCALED = {"caution": "rescaled"}
MOMENTS = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6}
USUAL = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
