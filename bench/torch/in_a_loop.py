#!/usr/bin/env python3
"""in_a_loop.py - times AdamW inside a training loop of PyTorch: onepass.torch's step against torch.optim's fused one.

Steps in a row, as against_torch.py times them, find threads awake and gradients in the caches. In a loop, a forward and
a backward pass lie between two steps. Here each contestant trains a perceptron of its own, from the same numbers: draws
a batch, goes forward and backward, and takes a step, which alone is timed. Each round has one such step of every
contestant, in a new random order. Before timing the program checks that all take the same step. docs/benchmarks.md says
more.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import sys
import time

import against_torch

BATCH, INPUTS, CLASSES = 64, 784, 10
RULE = "adamw"
WARM_UP = 20  # rounds that are not counted: memory is touched first, and threads are started


def widths_of(hidden):
    return [INPUTS, hidden, hidden, CLASSES]


def make_loop(torch, rivals, hidden, threads):
    """Returns a perceptron as a rivals.Model, whose pass() leaves the gradients of a fresh batch."""

    class Loop(rivals.Model):
        def __init__(self):
            self.device, self.dtype = torch.device("cpu"), "float32"
            torch.manual_seed(7)
            widths, layers = widths_of(hidden), []
            for inputs, outputs in zip(widths, widths[1:]):
                layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
            self.network = torch.nn.Sequential(*layers[:-1])
            self.parameters = list(self.network.parameters())
            self.go()

        def go(self):
            """Forward and backward. The gradients stay where they are, as the C interface has their addresses."""
            self.network.zero_grad(set_to_none=False)
            images, labels = torch.randn(BATCH, INPUTS), torch.randint(CLASSES, (BATCH,))
            torch.nn.functional.cross_entropy(self.network(images), labels).backward()

    torch.set_num_threads(threads)
    return Loop()


def make_contestants(torch, rivals, hidden, threads):
    """Returns pairs of a loop and what steps it. Each has been checked."""
    rule, made = rivals.RULES[RULE], []
    for name, count, pool in (("C interface, 1 thread", 1, "best"), ("C interface, own threads", threads, "own"),
                              ("onepass", threads, None), ("torch fused", threads, None)):
        loop = make_loop(torch, rivals, hidden, threads)
        if name == "onepass":
            one = rivals.package_contestant(rule, loop)
        elif pool is None:
            one = next(rival for rival in rivals.torch_contestants(rule, loop) if rival.name == "fused")
        else:
            one = rivals.onepass_contestant(rule, loop, count, pool)
        one.name = name
        rivals.check(one, rule, loop)
        made.append((loop, one))
    return made


def sample(contestants, rounds):
    """Returns the seconds of each contestant's steps, one for each round."""
    seconds = [[] for _ in contestants]
    order = list(range(len(contestants)))
    for number in range(WARM_UP + rounds):
        random.shuffle(order)
        for i in order:
            loop, one = contestants[i]
            loop.go()
            begin = time.perf_counter()
            one.step()
            taken = time.perf_counter() - begin
            if number >= WARM_UP:
                seconds[i].append(taken)
    return seconds


def row_of(case, names, seconds):
    """Returns the report of a case. Ratios are formed within a round."""
    torch_seconds = seconds[names.index("torch fused")]
    row = dict(case, contestants={})
    for name, times in zip(names, seconds):
        row["contestants"][name] = {
            "microseconds": against_torch.spread_of([1e6 * one for one in times]),
            "torch_over_it": against_torch.spread_of([theirs / one for theirs, one in zip(torch_seconds, times)])}
    return row


def markdown(run):
    names = list(run["rows"][0]["contestants"]) if run["rows"] else []
    lines = [f"Machine: {run['machine']}. PyTorch: {run['torch']}. Commit: {run['commit']}. Date: {run['date']}.",
             f"Command: `{run['command']}`.", "",
             f"AdamW in float32, a step after forward and backward of a batch of {BATCH}: microseconds, medians of "
             f"{run['rounds']} and quartiles. PyTorch's passes have {run['threads']} threads.", "",
             "| parameters | " + " | ".join(names) + " | torch's time over onepass's |",
             "|---" * (len(names) + 2) + "|"]
    for row in run["rows"]:
        cells = [f"{one['microseconds']['median']:.0f} ({one['microseconds']['low']:.0f} to "
                 f"{one['microseconds']['high']:.0f})" for one in row["contestants"].values()]
        lines.append(f"| {row['parameters']} | " + " | ".join(cells) +
                     f" | {against_torch.text(row['contestants']['onepass']['torch_over_it'])} |")
    return "\n".join(lines) + "\n"


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(" - ")[1])
    add = parser.add_argument
    add("--library", default=against_torch.ROOT / "build/release/python/onepass/_lib/libonepass.so",
        type=pathlib.Path, help="the library of the Python package")
    add("--hidden", type=lambda given: [int(one) for one in given.split(",")], default=[256, 1024, 2048, 3000],
        help="widths of the two hidden layers; the defaults give 0.27e6, 1.9e6, 5.8e6 and 11.4e6 parameters")
    add("--threads", type=int, help="of PyTorch and of onepass; default: as many as PyTorch takes")
    add("--rounds", type=int, default=100)
    add("--json", type=pathlib.Path, help="file for all measured values")
    add("--markdown", type=pathlib.Path, help="file for the table; default: the standard output")
    options = parser.parse_args()
    if min(options.hidden) < 1 or options.rounds < 1 or (options.threads or 1) < 1:
        parser.error("--hidden, --threads and --rounds must be at least 1")
    if not options.library.exists():
        parser.error(f"{options.library} does not exist: build the target onepass_python, or pass --library")
    return options


def main():
    options = read_options()
    try:
        import torch
    except ImportError:
        print("PyTorch cannot be imported, so there is no loop to measure in: skipped", file=sys.stderr)
        return against_torch.NO_TORCH
    import torch_rivals

    os.environ["ONEPASS_LIBRARY"] = str(options.library)
    threads = options.threads or torch.get_num_threads()
    run = dict(machine=against_torch.processor(), torch=torch.__version__, commit=against_torch.commit(),
               date=datetime.date.today().isoformat(), rounds=options.rounds, threads=threads,
               command=" ".join(["bench/torch/in_a_loop.py"] + sys.argv[1:]), rows=[])
    for hidden in options.hidden:
        contestants = make_contestants(torch, torch_rivals, hidden, threads)
        parameters = sum(one.numel() for one in contestants[0][0].parameters)
        print(f"{parameters} parameters", file=sys.stderr)
        seconds = sample(contestants, options.rounds)
        run["rows"].append(row_of(dict(hidden=hidden, parameters=parameters), [one.name for _, one in contestants],
                                  seconds))
        if options.json:
            options.json.write_text(json.dumps(run, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(run))
    else:
        print(markdown(run), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
