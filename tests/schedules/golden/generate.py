"""Writes schedules.txt and plateau.txt: the results of PyTorch's schedulers, which onepass is tested against.

    python3 -m venv env && env/bin/pip install torch && env/bin/python generate.py

schedules.txt: "schedule NAME BASE_LR", then lines "STEP LR [MOMENTUM]". If PyTorch has a closed form
(_get_closed_form_lr), the rates are its results; otherwise the script calls step() repeatedly. Names and
parameters are those of golden_schedules.hpp.
plateau.txt: "plateau NAME", then lines "METRIC FIRST_LR SECOND_LR BEST BAD_EPOCHS COOLDOWN_COUNTER": the metric
that step() received, and the state after it.
"""

import math
import pathlib
import random
import warnings

import torch
from torch.optim import lr_scheduler as s

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
LAST = 10_000
BASE_LR = 0.3


def sgd(lr=BASE_LR):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


def samples(events, last=LAST):
    """Returns the sampled steps: all of the first steps and around every event, else about every 160th."""
    steps = set(range(24)) | {last} | set(range(0, last, 157))
    for event in events:
        steps |= {event - 2, event - 1, event, event + 1, event + 2}
    return sorted(step for step in steps if 0 <= step <= last)


def stepped(make, steps):
    optimizer = sgd()
    scheduler = make(optimizer)
    group = optimizer.param_groups[0]
    rows = {}
    for step in range(max(steps) + 1):
        rows[step] = (group["lr"], group["momentum"])
        if step < max(steps):
            optimizer.step()
            scheduler.step()
    return rows


def closed(make, steps):
    scheduler = make(sgd())
    rows = {}
    for step in steps:
        scheduler.last_epoch = step
        rows[step] = (scheduler._get_closed_form_lr()[0], None)
    return rows


def sequence(milestones, *makers):
    return lambda o: s.SequentialLR(o, [make(o) for make in makers], milestones)


def chain(*makers):
    return lambda o: s.ChainedScheduler([make(o) for make in makers])


def one_minus_sqrt(step):
    if step < 500:
        return 0.1 + 0.9 * step / 500
    return 1.0 if step < 6000 else 0.05 + 0.95 * (1 - math.sqrt(min(step - 6000, 3000) / 3000))


def user_function(step):
    return 1 / (1 + min(step, 2999) / 50)


MULTI = [0, 5, 30, 30, 80, 1000, 5000, 9999]
RESTARTS_2 = [10 * (2**n - 1) for n in range(1, 11)]
RESTARTS_3 = [7 * (3**n - 1) // 2 for n in range(1, 8)]
CYCLE = [o + n for n in (0, 2500, 5000, 7500) for o in (0, 700, 2500)]

SCHEDULES = {
    "step": (lambda o: s.StepLR(o, 30), [30 * n for n in range(1, 12)]),
    "step_slow": (lambda o: s.StepLR(o, 1, 0.9995), []),
    "step_growing": (lambda o: s.StepLR(o, 1000, 1.5), [1000, 2000, 9000]),
    "multi_step": (lambda o: s.MultiStepLR(o, MULTI, 0.5), MULTI),
    "multi_step_default": (lambda o: s.MultiStepLR(o, [30, 80]), [30, 80]),
    "exponential": (lambda o: s.ExponentialLR(o, 0.999), []),
    "exponential_fast": (lambda o: s.ExponentialLR(o, 0.95), []),
    "constant": (lambda o: s.ConstantLR(o), [5]),
    "constant_half": (lambda o: s.ConstantLR(o, 0.5, 400), [400]),
    "linear": (lambda o: s.LinearLR(o), [5]),
    "linear_down": (lambda o: s.LinearLR(o, 0.9, 0.0, 5000), [5000]),
    "warm_up": (lambda o: s.LinearLR(o, 0.001, 1.0, 700), [700]),
    "polynomial": (lambda o: s.PolynomialLR(o), [5]),
    "polynomial_root": (lambda o: s.PolynomialLR(o, 9000, 0.5), [9000]),
    "polynomial_power": (lambda o: s.PolynomialLR(o, 10000, 3.7), [10000]),
    "cosine": (lambda o: s.CosineAnnealingLR(o, 10000), [10000]),
    "cosine_min": (lambda o: s.CosineAnnealingLR(o, 5000, 0.01), [5000]),
    "cosine_period": (lambda o: s.CosineAnnealingLR(o, 37, 0.02), [37, 74, 111, 148, 37 * 270]),
    "cosine_one": (lambda o: s.CosineAnnealingLR(o, 1), []),
    "restarts": (lambda o: s.CosineAnnealingWarmRestarts(o, 50), [50 * n for n in range(1, 8)]),
    "restarts_2": (lambda o: s.CosineAnnealingWarmRestarts(o, 10, 2, 0.003), RESTARTS_2),
    "restarts_3": (lambda o: s.CosineAnnealingWarmRestarts(o, 7, 3), RESTARTS_3),
    "one_cycle": (lambda o: s.OneCycleLR(o, 0.5, LAST + 1), [3000, 10000]),
    "one_cycle_linear": (lambda o: s.OneCycleLR(o, 0.5, LAST + 1, anneal_strategy="linear"), [3000, 10000]),
    "one_cycle_three": (
        lambda o: s.OneCycleLR(o, 1.0, LAST + 1, pct_start=0.4, three_phase=True, base_momentum=0.8,
                               max_momentum=0.99, div_factor=10.0, final_div_factor=1e3),
        [4000, 7999, 8000, 10000]),
    "one_cycle_still": (
        lambda o: s.OneCycleLR(o, 0.5, 10_500, pct_start=0.0, cycle_momentum=False), [1]),
    "cyclic": (lambda o: s.CyclicLR(o, 0.01, 0.2), [2000, 4000, 6000, 8000]),
    "cyclic_2": (lambda o: s.CyclicLR(o, 0.01, 0.2, 700, 1800, mode="triangular2"), CYCLE),
    "cyclic_exp": (
        lambda o: s.CyclicLR(o, 0.0, 0.2, 300, mode="exp_range", gamma=0.9994, base_momentum=0.7,
                             max_momentum=0.95), [300, 600, 900, 1200]),
    "cyclic_still": (lambda o: s.CyclicLR(o, 0.01, 0.2, 11, 5, cycle_momentum=False), [11, 16, 27]),
    "lambda": (lambda o: s.LambdaLR(o, user_function), [2999]),
    "wsd_linear": (
        sequence([500, 6000], lambda o: s.LinearLR(o, 0.1, 1.0, 500), lambda o: s.ConstantLR(o, 1.0, 1),
                 lambda o: s.LinearLR(o, 1.0, 0.05, 3000)), [500, 6000, 9000]),
    "wsd_cosine": (
        sequence([500, 6000, 9000], lambda o: s.LinearLR(o, 0.1, 1.0, 500), lambda o: s.ConstantLR(o, 1.0, 1),
                 lambda o: s.CosineAnnealingLR(o, 3000, 0.05 * BASE_LR),
                 lambda o: s.ConstantLR(o, 0.05, 100_000)), [500, 6000, 9000]),
    "wsd_sqrt": (lambda o: s.LambdaLR(o, one_minus_sqrt), [500, 6000, 9000]),
    "sequence": (
        sequence([20, 520, 3000], lambda o: s.ConstantLR(o, 0.1, 20), lambda o: s.ExponentialLR(o, 0.99),
                 lambda o: s.CosineAnnealingWarmRestarts(o, 100, 2),
                 lambda o: s.MultiStepLR(o, [1000, 2000], 0.3)), [20, 520, 620, 820, 3000, 4000, 5000]),
    "chain": (
        chain(lambda o: s.ConstantLR(o, 0.1, 20), lambda o: s.ExponentialLR(o, 0.999),
              lambda o: s.StepLR(o, 500, 0.9)), [20, 500, 1000]),
    # PyTorch cannot nest these: a chain in a sequence fails, and a sequence in a chain drops the other factors
    # at its milestones. The factors are therefore written out.
    "sequence_of_chains": (
        lambda o: s.LambdaLR(o, lambda t: (0.5 + 0.5 * t / 100 if t < 100 else
                                           0.999 ** (t - 100) * (0.25 if t < 150 else 1))), [100, 150]),
    "chain_of_sequences": (
        lambda o: s.LambdaLR(o, lambda t: 0.9999**t * (0.5 + 0.5 * t / 100 if t < 100 else
                                                       0.5 ** ((t - 100) // 1000))), [100, 1100]),
}

# onepass follows the closed forms. The script prints how far the recursive forms drift from them.
CLOSED = ("StepLR", "MultiStepLR", "ExponentialLR", "ConstantLR", "LinearLR", "PolynomialLR", "CosineAnnealingLR")


def write_schedules():
    lines = []
    for name, (make, events) in SCHEDULES.items():
        steps = samples(events)
        rows = stepped(make, steps)
        if type(make(sgd())).__name__ in CLOSED:
            exact = closed(make, steps)
            drift = max(abs(rows[step][0] - exact[step][0]) for step in steps) / BASE_LR
            print(f"{name}: the recursive form drifts by {drift:.1e} of the base rate")
            rows = exact
        cycles = any(part in name for part in ("cycle", "cyclic")) and "still" not in name
        lines.append(f"schedule {name} {BASE_LR!r}")
        for step in steps:
            lr, momentum = rows[step]
            lines.append(f"{step} {float(lr)!r}" + (f" {float(momentum)!r}" if cycles else ""))
    (HERE / "schedules.txt").write_text("\n".join(lines) + "\n")


def noisy_fall(seed, count=220):
    random.seed(seed)
    return [round(2.0 * math.exp(-step / 40) + 0.5 + 0.05 * random.random(), 6) for step in range(count)]


NAN, INF = math.nan, math.inf
ODD = [INF, NAN, 3.0, 3.0, NAN, 2.0, 2.0, 2.0, -INF, -INF, NAN, 1.0, 0.0, -0.0, 1e300, -1e300] * 3
PLATEAUS = {
    "default": (dict(), noisy_fall(1)),
    "impatient": (dict(patience=0, factor=0.5), noisy_fall(2)),
    "abs": (dict(patience=3, factor=0.5, threshold=0.02, threshold_mode="abs"), noisy_fall(3)),
    "cooldown": (dict(patience=2, factor=0.7, cooldown=5), noisy_fall(4)),
    "min_lr": (dict(patience=1, factor=0.3, min_lr=[0.01, 0.002]), noisy_fall(5)),
    "eps": (dict(patience=0, factor=0.9, eps=1e-2), noisy_fall(6)),
    "max": (dict(mode="max", patience=4, factor=0.5), [-value for value in noisy_fall(7)]),
    "max_rel": (dict(mode="max", patience=2, factor=0.5, threshold=0.01), [round(3 - v, 6) for v in noisy_fall(8)]),
    "max_abs": (dict(mode="max", patience=2, factor=0.5, threshold=0.01, threshold_mode="abs", cooldown=1),
                [round(3 - v, 6) for v in noisy_fall(9)]),
    "ties": (dict(patience=2, threshold=0.0, factor=0.5), [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5] * 4),
    "odd": (dict(patience=1, factor=0.5), ODD),
    "odd_max": (dict(mode="max", patience=1, factor=0.5, threshold_mode="abs"), ODD),
    "whole_threshold": (dict(patience=1, factor=0.5, threshold=1.0), [1.0, 0.5, -0.5, -1.0, 2.0] * 4),
    "zero_factor": (dict(patience=0, factor=0.0, min_lr=0.001), [1.0, 2.0, 3.0, 0.5, 4.0]),
    "infinite_start": (dict(patience=2, factor=0.5), [INF, INF, INF, INF, NAN, 1.0, 2.0, 2.0, 2.0, 2.0]),
}


def write_plateaus():
    lines = []
    for name, (options, metrics) in PLATEAUS.items():
        weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.3}, {"params": weights[1:], "lr": 0.07}])
        scheduler = s.ReduceLROnPlateau(optimizer, **options)
        lines.append(f"plateau {name}")
        for metric in metrics:
            scheduler.step(metric)
            first, second = (group["lr"] for group in optimizer.param_groups)
            lines.append(f"{metric!r} {float(first)!r} {float(second)!r} {float(scheduler.best)!r} "
                         f"{scheduler.num_bad_epochs} {scheduler.cooldown_counter}")
    (HERE / "plateau.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    print(f"PyTorch {torch.__version__}")
    write_schedules()
    write_plateaus()
