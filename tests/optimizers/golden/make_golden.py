"""Writes the golden values of the rules: what other people's optimizers make of the same tensors in float64.

    python3 -m venv env && env/bin/pip install -r requirements.txt && env/bin/python make_golden.py [RULE ...]

It writes the files of these rules, or of all if it is given none. RULE.txt holds the cases of one rule. A case has
lines of these forms:

    case NAME
    source PACKAGE VERSION, CLASS
    preset NAME                                of the library: the class has its own defaults, but for the settings
    defaults lr=0.001 weight_decay=0.0         of the class, where it has them; after a preset alone
    settings lr=0.02 weight_decay=0.1 ...      the library's names; the others keep their defaults
    shape TENSOR SIZE SIZE ...                 of a tensor that is no vector
    lr STEP VALUE                              the learning rate from this step on
    STEP TENSOR STREAM VALUE VALUE ...         the numbers after a step, in Python's repr; step 0: before the first

STREAM is "p", or a state by the library's name; of Schedule-Free also "z", the sum of the library's p and
z_minus_y. Each tensor has an optimizer of its own, so that it counts its own steps; those of a case that is over the
model share one. The tensor "early" takes part in all steps, "late" from step LATE on.

gradients.txt has a line for each step: the gradients of "early", then of "late" if it takes part. All of them, and the
values at the start, are rounded to float32, so that the library gets the same numbers.

golden_test.cpp reads both, and matrices_golden_test.cpp those in the folder matrices/: what rules with numbers for rows
and columns make of tensors of two dimensions or more. The classes of other packages are in golden_sources.py, those of
rules with sums in golden_sums.py, those of rules with rows and columns in golden_factored.py, and those that presets
are named after in preset_sources.py.
"""

import pathlib
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from golden_factored import MATRICES
from golden_sources import EXAMPLES, RULES
from preset_sources import PRESETS

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "build/new_rule"
STEPS = 100
LATE = 4
HALVED = 7
WRITTEN = {"early": (1, 2, 3, 10, STEPS), "late": (LATE, 10, STEPS)}


@dataclass
class Model:
    """The tensors of the cases in a folder."""

    folder: pathlib.Path
    start: dict[str, tuple]
    scales: dict[str, tuple]  # of the gradients
    still: Callable  # still(tensor, step): the elements whose gradients are 0 on a step of the tensor's own


def still_element(tensor, step):
    return {"early": [2], "late": [1]}[tensor] if step <= 5 else []


def still_row(tensor, step):
    """Returns a row for three steps and on every eighth step, and an element of another one for five steps."""
    rows, columns = {"early": (3, 4), "late": (4, 5)}[tensor]
    row = 1 if step <= 3 else step // 8 % rows if step % 8 == 0 else None
    elements = [] if row is None else range(row * columns, (row + 1) * columns)
    return [*elements, *[2 * columns] * (step <= 5)]


def products(rows, columns):
    return tuple(row * column for row in rows for column in columns)


VECTORS = Model(
    HERE, {"early": (0.5, -1.25, 0.0, 2.0, -0.375), "late": (-0.75, 0.0, 1.5, -2.5, 0.0625)},
    {"early": (4.0, 0.5, 1.0, 0.05, 0.003), "late": (0.02, 2.0, 3.0, 0.2, 0.4)}, still_element)
ROWS_AND_COLUMNS = Model(
    HERE / "matrices",
    {"early": (0.5, -1.25, 0.0, 2.0, -0.375, 1.75, -0.875, 0.25, 1.5, -0.0625, 0.75, -2.25),
     "late": (-0.75, 0.0, 1.5, -2.5, 0.0625, 1.0, -0.5, 0.625, 2.0, -1.5,
              0.3125, -1.75, 0.875, 0.125, -0.25, 2.25, -1.0, 0.4375, -0.6875, 1.25)},
    {"early": products((2.0, 0.1, 0.6), (1.0, 0.3, 2.0, 0.1)),
     "late": products((0.3, 2.0, 0.05, 1.0), (0.5, 3.0, 1.0, 0.2, 0.8))}, still_row)


def draw(scale, generator):
    """Returns a gradient with three digits: 0, or of a magnitude from 0.001 to 10."""
    if generator.random() < 0.15:
        return 0.0
    g = scale * (0.4 + generator.gauss(0.0, 1.0))
    return float(f"{min(max(g, -10.0), 10.0):.3g}") if abs(g) >= 1e-3 else 0.0


def make_gradients(model):
    """Returns, for each step, the gradients of each tensor that takes part."""
    generator = random.Random(4)
    steps = []
    for step in range(1, STEPS + 1):
        rows = {}
        for tensor, scales in model.scales.items():
            own_step = step if tensor == "early" else step - LATE + 1
            row = [draw(scale, generator) for scale in scales]
            for element in model.still(tensor, own_step):
                row[element] = 0.0
            if own_step > 0:
                rows[tensor] = row
        steps.append(rows)
    return steps


def write_gradients(model, steps):
    lines = (" ".join(f"{g:g}" for row in rows.values() for g in row) for rows in steps)
    (model.folder / "gradients.txt").write_text("".join(f"{line}\n" for line in lines))


def float32(values):
    """Returns a float64 tensor of the float32 numbers that are nearest to the values."""
    return torch.tensor(values, dtype=torch.float32).double()


class Run:
    """One tensor, and the optimizer that steps it."""

    def __init__(self, case, tensor, parameter, optimizer):
        self.case, self.tensor, self.parameter, self.optimizer = case, tensor, parameter, optimizer
        self.start = {name: float32(values[tensor]) for name, values in case.start.items()}

    def rows(self, step, streams):
        for name, values in streams.items():
            yield f"{step} {self.tensor} {name} {' '.join(repr(x) for x in values.flatten().tolist())}\n"

    def rows_at_start(self):
        yield from self.rows(0, {"p": self.parameter.detach(), **self.start})

    def take(self, gradient):
        # Some classes write their gradients.
        self.parameter.grad = float32(gradient).reshape(self.parameter.shape).clone()
        if self.start:
            self.case.set_states(self.optimizer, self.parameter, self.start)
            self.start = {}

    def rows_after(self, step):
        states = self.case.states(self.optimizer, self.parameter)
        yield from self.rows(step, {"p": self.parameter.detach(), **states})


def runs_of(case, model):
    """Returns a run of each tensor."""
    parameters = {tensor: torch.nn.Parameter(float32(values).reshape(case.shapes.get(tensor, (-1,))))
                  for tensor, values in model.start.items()}
    if case.over_model:
        optimizers = dict.fromkeys(parameters, case.make(list(parameters.values()), case.settings))
    else:
        optimizers = {tensor: case.make([parameter], case.settings) for tensor, parameter in parameters.items()}
    return [Run(case, tensor, parameters[tensor], optimizers[tensor]) for tensor in parameters]


def shown(settings):
    return " ".join(f"{name}={int(value) if isinstance(value, bool) else value}" for name, value in settings.items())


def rows_of(case, model, steps):
    """Yields the lines of a case."""
    yield from (f"case {case.name}\n", f"source {case.source}\n")
    if case.preset:
        yield f"preset {case.preset}\n"
    if case.defaults:
        yield f"defaults {shown(case.defaults)}\n"
    yield f"settings {shown(case.settings)}\n"
    yield from (f"shape {tensor} {' '.join(map(str, shape))}\n" for tensor, shape in case.shapes.items())
    if case.halves:
        yield f"lr {HALVED} {case.settings['lr'] / 2}\n"
    runs = runs_of(case, model)
    for run in runs:
        yield from run.rows_at_start()
    for step, gradients in enumerate(steps, 1):
        stepping = [run for run in runs if run.tensor in gradients]
        for run in stepping:
            run.take(gradients[run.tensor])
        for optimizer in dict.fromkeys(run.optimizer for run in runs):
            for group in optimizer.param_groups if case.halves and step == HALVED else ():
                group["lr"] *= 0.5
        for optimizer in dict.fromkeys(run.optimizer for run in stepping):
            optimizer.step()
        for run in stepping:
            if step in WRITTEN[run.tensor]:
                yield from run.rows_after(step)


def main(rules):
    torch.set_default_dtype(torch.float64)  # also for numbers that a class keeps beside its states
    with_presets = {rule: cases + PRESETS.get(rule, []) for rule, cases in RULES.items()}
    for model, folder, cases_of in ((VECTORS, HERE, with_presets), (VECTORS, EXAMPLE, EXAMPLES),
                                    (ROWS_AND_COLUMNS, ROWS_AND_COLUMNS.folder, MATRICES)):
        steps = make_gradients(model)
        write_gradients(model, steps)
        for rule in [rule for rule in cases_of if not rules or rule in rules]:
            text = "".join(row for case in cases_of[rule] for row in rows_of(case, model, steps))
            (folder / f"{rule}.txt").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
