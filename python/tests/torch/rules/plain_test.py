"""plain_test.py - the classes that torch.optim lacks give, in float64, the numbers of other packages' optimizers:
tests/optimizers/golden has them. The library is held to the same files (tests/optimizers/golden_test.cpp)."""

import pathlib

import pytest
import torch

from onepass._interface import LONG
from onepass._library import library
from onepass.torch import OPTIMIZERS
from onepass.torch._engine import SUMS
from onepass.torch._rules.presets import arguments_of
from onepass.torch._rules import plain

GOLDEN = pathlib.Path(__file__).resolve().parents[4] / "tests/optimizers/golden"
STEPS = 100
FLAGS = ("maximize", "nesterov", "rectify", "clip", "bias_correction", "grad_averaging", "always_adapt", "trust_clip",
         "use_bias_correction", "safeguard_warmup")
BETAS = ("beta1", "beta2", "beta3")
OVER_MODEL = {ours._spelling.name for ours in OPTIMIZERS if ours._spelling.over_model}
SPELLINGS = {ours._spelling.name: ours._spelling for ours in OPTIMIZERS if issubclass(ours, plain.Plain)}


def value_of(text):
    try:
        return float(text)
    except ValueError:
        return text


def cases():
    """Returns (rule, case, settings, rates, rows) of each case: new learning rates by their step, and rows (step,
    tensor, stream, numbers)."""
    found = []
    for rule in SPELLINGS:
        for line in (GOLDEN / f"{rule}.txt").read_text().splitlines():
            first, *words = line.split()
            if first == "case":
                found.append((rule, words[0], {}, {}, []))
            elif first == "settings":
                found[-1][2].update((name, value_of(value)) for name, value in (word.split("=") for word in words))
            elif first == "preset":
                found[-1][2]["preset"] = words[0]
            elif first == "lr":
                found[-1][3][int(words[0])] = float(words[1])
            elif first not in ("source", "defaults"):
                numbers = torch.tensor([float(word) for word in words[2:]], dtype=torch.float64)
                found[-1][4].append((int(first), words[0], words[1], numbers))
    return found


CASES = cases()


def gradients(tensor):
    """Returns the gradients of each step of a tensor, rounded to float32; None where it takes no part."""
    for line in (GOLDEN / "gradients.txt").read_text().splitlines():
        numbers = torch.tensor([float(word) for word in line.split()], dtype=torch.float32).double()
        part = numbers[:5] if tensor == "early" else numbers[5:]
        yield part if len(part) else None


def made(rule, settings, parameters):
    """Returns the optimizer of a case: betas come in one argument, but for Prodigy's third, which is no moment's."""
    names = BETAS[:2] if rule == "Prodigy" else BETAS
    betas = tuple(settings[name] for name in names if name in settings)
    arguments = {name: value for name, value in settings.items() if name not in (*names, "preset")}
    if "preset" in settings:
        arguments = arguments_of(SPELLINGS[rule], settings["preset"]) | arguments
    for name in FLAGS:
        if name in arguments:
            arguments[name] = bool(arguments[name])
    return SPELLINGS[rule].base(parameters, **arguments, **({"betas": betas} if betas else {}))


@pytest.mark.parametrize("tensor", ["early", "late"])
@pytest.mark.parametrize("rule, case, settings, rates, rows", CASES, ids=[f"{one[0]}-{one[1]}" for one in CASES])
def test_equals_the_optimizers_of_other_packages(rule, case, settings, rates, rows, tensor):
    parameters, starts = {}, {}
    for one in ("early", "late") if rule in OVER_MODEL else (tensor,):
        starts[one] = {stream: numbers for step, name, stream, numbers in rows if step == 0 and name == one}
        parameters[one] = torch.nn.Parameter(starts[one].pop("p").clone())
    optimizer, parameter = made(rule, settings, list(parameters.values())), parameters[tensor]
    if starts[tensor]:
        optimizer.state[parameter].update({"step": torch.tensor(0.0), **starts[tensor]})
    compared = 0
    for step, given in enumerate(zip(*map(gradients, parameters)), 1):
        optimizer.param_groups[0]["lr"] = rates.get(step, optimizer.param_groups[0]["lr"])
        for one, gradient in zip(parameters.values(), given):
            one.grad = gradient
        optimizer.step()
        streams = {"p": parameter.detach(), **optimizer.state[parameter]}
        if "z_minus_y" in streams:
            streams["z"] = streams["p"] + streams["z_minus_y"]
        for at, name, stream, numbers in rows:
            if (at, name) == (step, tensor):
                torch.testing.assert_close(streams[stream], numbers, rtol=1e-11, atol=0)
                compared += 1
    assert step == STEPS and compared >= 3


@pytest.mark.parametrize("ours", OPTIMIZERS, ids=lambda ours: ours.__name__)
def test_the_library_takes_sums_just_if_the_spelling_says_so(ours):
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    optimizer = ours([parameter])
    optimizer.step()
    engine, = optimizer._plan.engines
    numel = LONG()
    library().check(library().calls.onepass_sums_numel(engine.handle, numel))
    rows = 1 + ours._spelling.over_model if ours._spelling.sums else 0
    assert numel.value == SUMS * rows
