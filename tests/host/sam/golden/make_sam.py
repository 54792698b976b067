"""Writes sam.txt: runs of SAM and ASAM around SGD with momentum, in float64.

    python3 make_sam.py

The loop is that of users of the package `sam` (davda54): first_step() moves the parameters along the gradients, and
second_step() puts them back and steps by the gradients there. Here its formulas stand beside those of torch.optim.SGD,
both written out in Python's floats. The model is y = w2 * (w1 . x) with a squared error, whose gradients are polynomials:
the test computes them too.

A line of sam.txt is a case (rho, adaptive, eta), or "step NUMBER w1 w1 w1 w2" with the parameters after a step.
"""

import math
import pathlib

LR, MOMENTUM, STEPS = 0.02, 0.9, 20
DATA = (((1.0, -0.5, 0.25), 0.75), ((-1.5, 0.5, 1.0), -0.25), ((0.5, 2.0, -1.0), 1.5), ((0.25, -1.0, -0.5), 0.0))
START = [[0.5, -0.25, 1.0], [0.75]]
CASES = ((0.05, False, 0.0), (0.5, True, 0.0), (1.0, True, 0.01))


def gradients(params):
    w1, (w2,) = params
    of_w1, of_w2 = [0.0, 0.0, 0.0], 0.0
    for x, target in DATA:
        hidden = sum(w * one for w, one in zip(w1, x))
        error = w2 * hidden - target
        of_w2 += error * hidden
        of_w1 = [g + error * w2 * one for g, one in zip(of_w1, x)]
    return [of_w1, [of_w2]]


def moved(params, grads, rho, adaptive, eta):
    """first_step(): the size of a parameter multiplies its gradient once in the norm, and twice where it moves."""
    size = [[abs(p) + eta if adaptive else 1.0 for p in row] for row in params]
    norm = math.sqrt(sum((t * g) ** 2 for ts, gs in zip(size, grads) for t, g in zip(ts, gs)))
    scale = rho / (norm + 1e-12)
    return [[p + t * t * g * scale for p, t, g in zip(*rows)] for rows in zip(params, size, grads)]


def run(rho, adaptive, eta):
    params, buffers = START, None
    for step in range(1, STEPS + 1):
        there = moved(params, gradients(params), rho, adaptive, eta)
        grads = gradients(there)
        buffers = grads if buffers is None else [[MOMENTUM * b + g for b, g in zip(*rows)] for rows in zip(buffers, grads)]
        params = [[p - LR * b for p, b in zip(*rows)] for rows in zip(params, buffers)]
        yield step, [p for row in params for p in row]


if __name__ == "__main__":
    lines = []
    for rho, adaptive, eta in CASES:
        lines.append(f"case {rho!r} {int(adaptive)} {eta!r}")
        lines += [f"step {step} " + " ".join(map(repr, values)) for step, values in run(rho, adaptive, eta)]
    (pathlib.Path(__file__).resolve().parent / "sam.txt").write_text("\n".join(lines) + "\n")
