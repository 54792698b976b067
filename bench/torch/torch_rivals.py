"""torch_rivals.py - PyTorch's optimizers and onepass over the same tensors, and the check that their steps agree."""

import dataclasses
import math
import random
import sys
import pathlib

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
import onepass
from onepass._interface import POOLS

ONEPASS = "onepass"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
UNIT = {"float32": 2.0**-24, "bfloat16": 2.0**-8}  # relative error of rounding to nearest


@dataclasses.dataclass
class Rule:
    """A rule with its PyTorch optimizer, its onepass name and the hyperparameters of both."""

    make: object
    library: str
    numbers: dict
    states: int
    fused: bool = True

    def onepass_numbers(self):
        """Returns onepass's hyperparameters, by name."""
        numbers = {name: value for name, value in self.numbers.items() if name != "betas"}
        if "betas" in self.numbers:
            numbers["beta1"], numbers["beta2"] = self.numbers["betas"]
        if self.library == "RMSProp":
            numbers["epsilon"] = "outside_root"  # as in PyTorch
        return numbers

    def ways(self):
        """Returns the arguments that select each of PyTorch's implementations, by name."""
        ways = {"for-loop": dict(foreach=False), "foreach": dict(foreach=True)}
        return ways | ({"fused": dict(fused=True)} if self.fused else {})


ADAM = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
RULES = {
    "sgd": Rule(torch.optim.SGD, "SGD", dict(lr=0.1), 0),
    "momentum": Rule(torch.optim.SGD, "SGD", dict(lr=0.1, momentum=0.9), 1),
    "rmsprop": Rule(torch.optim.RMSprop, "RMSProp", dict(lr=1e-3, alpha=0.99, eps=1e-8), 1, fused=False),
    "adam": Rule(torch.optim.Adam, "Adam", dict(ADAM, weight_decay=0.0), 2),
    "adamw": Rule(torch.optim.AdamW, "AdamW", dict(ADAM, weight_decay=1e-2), 2),
}


class Model:
    """PyTorch parameters and gradients, each tensor allocated by PyTorch."""

    def __init__(self, sizes, dtype, device):
        self.device, self.dtype = torch.device(device), dtype
        generator = torch.Generator(self.device).manual_seed(7)

        def uniform(size):
            return torch.rand(size, generator=generator, device=self.device)

        self.parameters = []
        for size in sizes:
            # Parameters are as large as some steps, so that rounding the parameter does not hide a wrong step.
            value = uniform(size).mul_(0.02).sub_(0.01).to(DTYPES[dtype])
            one = torch.nn.Parameter(value)
            sign = uniform(size).round_().mul_(2.0).sub_(1.0)
            one.grad = uniform(size).mul_(0.015).add_(0.005).mul_(sign).to(DTYPES[dtype])
            self.parameters.append(one)

    def tensors(self):
        code = onepass.DTYPES[self.dtype]
        return [onepass.Parameter(value=one.data_ptr(), grad=one.grad.data_ptr(), numel=one.numel(), dtype=code, grad_dtype=code)
                for one in self.parameters]

    def scale_gradients(self, factor):
        for one in self.parameters:
            one.grad.mul_(factor)


@dataclasses.dataclass
class Contestant:
    name: str
    step: object
    owner: object  # the optimizer, kept alive for `step`


def onepass_contestant(rule, model, threads, pool="best", **changes):
    """Returns onepass over the model's memory. Its states have the type of the parameters, like PyTorch's. `pool` says
    whose threads step on the CPU."""
    numbers = rule.onepass_numbers() | changes
    states = "bfloat16" if model.dtype == "bfloat16" and rule.states > 0 else "float32"
    options = onepass.Options(threads=threads, pool=POOLS[pool],
                              storage=onepass.Storage(states=onepass.STATES[states]))
    is_cpu = model.device.type == "cpu"
    device = onepass.CPU if is_cpu else model.device.index
    optimizer = onepass.Optimizer(rule.library, model.tensors(), device, options, **numbers)
    if is_cpu:
        return Contestant(ONEPASS, optimizer.step, optimizer)
    stream = torch.cuda.current_stream(model.device).cuda_stream or None
    return Contestant(ONEPASS, lambda: optimizer.step(stream), optimizer)


def package_contestant(rule, model):
    """Returns the class of onepass.torch that has the place of PyTorch's, over the same parameters."""
    import onepass.torch

    optimizer = getattr(onepass.torch, rule.make.__name__)(model.parameters, **rule.numbers)
    return Contestant(ONEPASS, optimizer.step, optimizer)


def torch_contestants(rule, model):
    made = []
    for name, way in rule.ways().items():
        optimizer = rule.make(model.parameters, **rule.numbers, **way)
        made.append(Contestant(name, optimizer.step, optimizer))
    return made


FACTORS = (1.0, 0.5, 4.0)  # scale the gradients before each checked step: exactly, and so that all moments matter
RESTORED = 0.5
# The relative error of a step, in units of one rounding. No sum in a step cancels, because gradients keep their sign
# and no coupled weight decay is added to them. The average of gradients has 4 roundings per step (weight, product,
# difference, sum). The average of squares has 5 per step, which the root halves, and the root has 1. The bias
# corrections have 4; the sum with eps, quotient and product have 6. For three steps: 12 + 7.5 + 1 + 4 + 6.
STEP_ROUNDINGS = 32
# The relative error of the parameter: one rounding for the decay and one for the difference.
PARAMETER_ROUNDINGS = 2
WINDOW = 4096


def windows(sizes):
    """Returns the compared ranges of each tensor: all of a small tensor, else head, tail and a random place."""
    chosen = random.Random(7)
    ranges = []
    for tensor, size in enumerate(sizes):
        if size <= 3 * WINDOW:
            ranges.append((tensor, 0, size))
            continue
        for begin in (0, chosen.randrange(WINDOW, size - 2 * WINDOW + 1), size - WINDOW):
            ranges.append((tensor, begin, begin + WINDOW))
    return ranges


def taken(tensors, ranges):
    """Returns a copy of the windows, one after the other, in double on the CPU."""
    pieces = [tensors[tensor].detach().view(-1)[begin:end] for tensor, begin, end in ranges]
    return torch.cat(pieces).to("cpu", torch.float64)


class Mismatch(Exception):
    pass


def check(contestant, rule, model):
    """Takes the contestant's first steps and compares them with PyTorch's for-loop in double. Returns the number of
    compared elements. Raises Mismatch if one differs by more than the allowed rounding error."""
    ranges = windows([one.numel() for one in model.parameters])
    reference = torch.nn.Parameter(taken(model.parameters, ranges))
    exact = rule.make([reference], **rule.numbers, foreach=False)
    unit = UNIT[model.dtype]
    allowed = torch.zeros_like(reference.detach())
    for factor in FACTORS:
        model.scale_gradients(factor)
        before = reference.detach().clone()
        reference.grad = taken([one.grad for one in model.parameters], ranges)
        exact.step()
        contestant.step()
        largest = torch.maximum(before.abs(), reference.detach().abs())
        moved = (reference.detach() - before).abs()
        relative = (1.0 + unit) ** STEP_ROUNDINGS - 1.0
        allowed += PARAMETER_ROUNDINGS * unit * largest + relative * moved
    model.scale_gradients(RESTORED)
    off = ((taken(model.parameters, ranges) - reference.detach()).abs() / allowed).max().item()
    if not (off <= 1.0 and math.isfinite(off)):
        raise Mismatch(f"{contestant.name} differs from the step in double by {off:.3g} times the allowed rounding error")
    return reference.numel()
