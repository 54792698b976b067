"""plain_test.py - the classes that torch.optim lacks give, in float64, the numbers of other packages' optimizers:
tests/optimizers/golden has them, those of matrices in a folder of its own. The library is held to the same files
(tests/optimizers/golden_test.cpp)."""

import pathlib
import typing

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
BETAS, EPS = ("beta1", "beta2", "beta3"), ("eps1", "eps2")
OVER_MODEL = {ours._spelling.name for ours in OPTIMIZERS if ours._spelling.over_model}
SPELLINGS = {ours._spelling.name: ours._spelling for ours in OPTIMIZERS if issubclass(ours, plain.Plain)}


def value_of(text):
    try:
        return float(text)
    except ValueError:
        return text


class Case(typing.NamedTuple):
    folder: pathlib.Path
    rule: str
    name: str
    settings: dict
    rates: dict  # New learning rates by their step.
    shapes: dict  # Of tensors that are no vectors.
    rows: list  # (step, tensor, stream, numbers)

    def first(self):
        """Returns the number of elements of the tensor whose gradients come first in a line."""
        return next(len(numbers) for step, tensor, stream, numbers in self.rows if (tensor, stream) == ("early", "p"))

    def gradients(self, tensor):
        """Returns the gradients of each step of a tensor, rounded to float32; None where it takes no part."""
        for line in (self.folder / "gradients.txt").read_text().splitlines():
            numbers = torch.tensor([float(word) for word in line.split()], dtype=torch.float32).double()
            part = numbers[:self.first()] if tensor == "early" else numbers[self.first():]
            yield part.reshape(self.shapes.get(tensor, -1)) if len(part) else None


def cases(file):
    found = []
    for line in file.read_text().splitlines():
        first, *words = line.split()
        if first == "case":
            found.append(Case(file.parent, file.stem, words[0], {}, {}, {}, []))
        elif first == "settings":
            found[-1].settings.update((name, value_of(value)) for name, value in (word.split("=") for word in words))
        elif first == "preset":
            found[-1].settings["preset"] = words[0]
        elif first == "lr":
            found[-1].rates[int(words[0])] = float(words[1])
        elif first == "shape":
            found[-1].shapes[words[0]] = tuple(map(int, words[1:]))
        elif first not in ("source", "defaults"):
            numbers = torch.tensor([float(word) for word in words[2:]], dtype=torch.float64)
            found[-1].rows.append((int(first), words[0], words[1], numbers))
    return found


FILES = [folder / f"{rule}.txt" for rule, spelling in SPELLINGS.items()
         for folder in (GOLDEN, *([GOLDEN / "matrices"] if spelling.lines else []))]
CASES = [case for file in FILES for case in cases(file)]


def made(rule, settings, parameters):
    """Returns the optimizer of a case: betas come in one argument, but for Prodigy's third, which is no moment's."""
    names = BETAS[:2] if rule == "Prodigy" else BETAS
    tuples = {"betas": tuple(settings[name] for name in names if name in settings),
              "eps": tuple(settings[name] for name in EPS if name in settings)}
    arguments = {name: value for name, value in settings.items() if name not in (*names, *EPS, "preset")}
    if "preset" in settings:
        arguments = arguments_of(SPELLINGS[rule], settings["preset"]) | arguments
    for name in FLAGS:
        if name in arguments:
            arguments[name] = bool(arguments[name])
    return SPELLINGS[rule].base(parameters, **arguments, **{key: value for key, value in tuples.items() if value})


@pytest.mark.parametrize("tensor", ["early", "late"])
@pytest.mark.parametrize("case", CASES, ids=[f"{one.folder.stem}-{one.rule}-{one.name}" for one in CASES])
def test_equals_the_optimizers_of_other_packages(case, tensor):
    parameters, starts = {}, {}
    for one in ("early", "late") if case.rule in OVER_MODEL else (tensor,):
        starts[one] = {stream: numbers for step, name, stream, numbers in case.rows if step == 0 and name == one}
        parameters[one] = torch.nn.Parameter(starts[one].pop("p").clone().reshape(case.shapes.get(one, -1)))
    optimizer, parameter = made(case.rule, case.settings, list(parameters.values())), parameters[tensor]
    if starts[tensor]:
        optimizer.state[parameter].update({"step": torch.tensor(0.0), **starts[tensor]})
    compared = 0
    for step, given in enumerate(zip(*map(case.gradients, parameters)), 1):
        optimizer.param_groups[0]["lr"] = case.rates.get(step, optimizer.param_groups[0]["lr"])
        for one, gradient in zip(parameters.values(), given):
            one.grad = gradient
        optimizer.step()
        streams = {"p": parameter.detach(), **optimizer.state[parameter]}
        if "z_minus_y" in streams:
            streams["z"] = streams["p"] + streams["z_minus_y"]
        for at, name, stream, numbers in case.rows:
            if (at, name) == (step, tensor):
                torch.testing.assert_close(streams[stream].reshape(-1), numbers, rtol=1e-11, atol=0)
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
