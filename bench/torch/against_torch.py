#!/usr/bin/env python3
"""against_torch.py - times a step of onepass against torch.optim's for-loop, foreach and fused, on the same tensors.

All contestants work on PyTorch's own memory with the same number of threads; each has its own states. Before timing the
program checks that all take the same step. Each round takes one sample of each contestant in a new random order, and
ratios are formed from samples of the same round. docs/benchmarks.md says more.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NO_TORCH = 77  # exit status without PyTorch
WAYS = ("for-loop", "foreach", "fused")


def spread_of(values):
    """Returns median and quartiles."""
    if len(values) == 1:
        return {"median": values[0], "low": values[0], "high": values[0]}
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


class CpuClock:
    def time(self, step, repeats):
        """Returns the seconds of a step and of its call, which are equal on the CPU."""
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        each = (time.perf_counter() - start) / repeats
        return each, each

    def rest(self):
        """Waits until the threads of the previous contestant have stopped spinning."""
        time.sleep(0.005)


class CudaClock:
    """Times steps on the current CUDA device."""

    def __init__(self, cuda):
        self.cuda = cuda
        self.start, self.end = (cuda.Event(enable_timing=True) for _ in range(2))

    def time(self, step, repeats):
        """Returns the seconds of a step on the GPU and of its call. The steps are queued behind an uncounted step, like
        a step behind the backward pass, so the GPU's time contains Python's launch time only if that is longer."""
        step()
        self.start.record()
        begin = time.perf_counter()
        for _ in range(repeats):
            step()
        host = (time.perf_counter() - begin) / repeats
        self.end.record()
        self.end.synchronize()
        return 1e-3 * self.start.elapsed_time(self.end) / repeats, host

    def rest(self):
        self.cuda.synchronize()


def repeats_of(clock, contestant, seconds):
    """Returns the number of steps that fill a sample."""
    clock.time(contestant.step, 1)
    each = min(clock.time(contestant.step, 1)[0] for _ in range(3))
    return max(1, round(seconds / max(each, 1e-7)))


def sample(clock, contestants, options):
    """Returns each contestant's seconds and host seconds, one of each per round."""
    repeats = [repeats_of(clock, one, options.seconds) for one in contestants]
    seconds, host = ([[] for _ in contestants] for _ in range(2))
    order = list(range(len(contestants)))
    for _ in range(options.rounds):
        random.shuffle(order)
        for i in order:
            clock.rest()
            for _ in range(2):  # wakes the threads and leaves the caches as the work does
                contestants[i].step()
            taken = [clock.time(contestants[i].step, repeats[i]) for _ in range(options.best_of)]
            seconds[i].append(min(one[0] for one in taken))
            host[i].append(min(one[1] for one in taken))
    return seconds, host


def row_of(case, contestants, samples):
    """Returns the report of a case."""
    seconds, host = samples
    own = [one.name for one in contestants].index("onepass")
    row = dict(case, contestants={})
    for one, times, calls in zip(contestants, seconds, host):
        row["contestants"][one.name] = {
            "ns_per_parameter": spread_of([1e9 * time / case["parameters"] for time in times]),
            "host_microseconds": spread_of([1e6 * time for time in calls]),
            "over_onepass": spread_of([time / mine for time, mine in zip(times, seconds[own])])}
    return row


@contextlib.contextmanager
def clock_of(torch, device):
    """Yields the clock of a device and makes the device current. Frees PyTorch's cached memory afterwards."""
    if device == "cpu":
        yield CpuClock()
        return
    with torch.cuda.device(device):
        yield CudaClock(torch.cuda)
    torch.cuda.empty_cache()


def measure(torch, rivals, case, sizes, options):
    """Builds a case, checks every contestant, and takes its samples."""
    with clock_of(torch, case["device"]) as clock:
        return measure_by(clock, torch, rivals, case, sizes, options)


def measure_by(clock, torch, rivals, case, sizes, options):
    torch.manual_seed(7)
    torch.set_num_threads(case["threads"])
    rule = rivals.RULES[case["rule"]]
    model = rivals.Model(sizes, case["dtype"], case["device"])
    contestants = [rivals.onepass_contestant(rule, model, case["threads"])]
    contestants += rivals.torch_contestants(rule, model)
    case["compared"] = sum(rivals.check(one, rule, model) for one in contestants)
    row = row_of(case, contestants, sample(clock, contestants, options))
    contestants[0].owner.close()
    return row


def needed(rivals, rule, dtype, parameters):
    """Returns the bytes of a case: parameters, gradients, the states of each contestant, foreach's temporaries and the
    temporaries of building the model."""
    bytes_each = 4 if dtype == "float32" else 2
    contestants = 1 + len(rivals.RULES[rule].ways())
    return parameters * (bytes_each * (2 + contestants * rivals.RULES[rule].states + 2) + 8)


def available(torch, device):
    """Returns the free bytes of the device's memory. A case may use half of them by default."""
    if device != "cpu":
        return torch.cuda.mem_get_info(device)[0]
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return 4 << 30


def cases(rivals, torch, options):
    """Returns every case that fits the memory, and a sentence for each case that does not."""
    import torch_layouts

    fits, left_out = [], []
    for device in options.device:
        memory = options.memory * 2**30 if options.memory else available(torch, device) / 2
        for name in options.layout:
            sizes = torch_layouts.layout(name)
            for rule in options.rule:
                for dtype in options.dtype:
                    if needed(rivals, rule, dtype, sum(sizes)) > memory:
                        left_out.append(f"{rule} {dtype} {name} on {device}: does not fit {memory / 2**30:.1f} GiB")
                        continue
                    for threads in options.threads if device == "cpu" else options.threads[:1]:
                        fits.append((dict(rule=rule, dtype=dtype, layout=name, tensors=len(sizes),
                                          parameters=sum(sizes), device=device, threads=threads), sizes))
    return fits, left_out


def text(spread):
    return f"{spread['median']:.2f} ({spread['low']:.2f} to {spread['high']:.2f})"


def markdown(run):
    lines = [f"Machine: {run['machine']}. PyTorch: {run['torch']}. Commit: {run['commit']}. Date: {run['date']}.",
             f"Command: `{run['command']}`.", "",
             "PyTorch's time over onepass's: medians of ratios within a round, and their quartiles. Host us: until the "
             "call returns.", "",
             "| rule | type | layout | tensors | parameters | on | onepass, ns each | for-loop | foreach | fused | "
             "onepass, host us | fused or foreach, host us |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in run["rows"]:
        made = row["contestants"]
        ratios = [text(made[way]["over_onepass"]) if way in made else "" for way in WAYS]
        best = made.get("fused", made["foreach"])
        where = row["device"] if row["device"] != "cpu" else f"cpu, {row['threads']} thread{'s' * (row['threads'] > 1)}"
        hosts = [f"{one['host_microseconds']['median']:.1f}" for one in (made["onepass"], best)]
        lines.append(f"| {row['rule']} | {row['dtype']} | {row['layout']} | {row['tensors']} | {row['parameters']} | "
                     f"{where} | {made['onepass']['ns_per_parameter']['median']:.4g} | " + " | ".join(ratios + hosts) +
                     " |")
    lines += [f"\n{what}: {sentence}" for what, key in (("Left out", "left_out"), ("Failed", "failed"))
              for sentence in run[key]]
    return "\n".join(lines) + "\n"


def write(run, options):
    """Writes the files. Called after each case, so that a later crash loses no measurement."""
    if options.json:
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(run))


def commit():
    found = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True,
                           text=True)
    return found.stdout.strip() or "unknown"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(": ", 1)[1]
    return platform.machine()


def read_options():
    def listed(kind=str):
        return lambda given: [kind(one) for one in given.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(" - ")[1])
    add = parser.add_argument
    add("--library", default=ROOT / "build/release/c/libonepass_c.so", type=pathlib.Path,
        help="the shared library onepass_c")
    add("--rule", type=listed(), default=["adamw", "adam", "momentum", "sgd", "rmsprop"])
    add("--dtype", type=listed(), default=["float32", "bfloat16"])
    add("--layout", type=listed(), default=["1e4", "1e6", "1e8", "resnet50", "gpt2", "1000x1000"])
    add("--device", type=listed(), help="cpu, cuda:0 and so on; default: cpu, and cuda:0 if it exists")
    add("--threads", type=listed(int), default=[1, 2])
    add("--rounds", type=int, default=15)
    add("--best-of", type=int, default=5, help="a sample is the shortest of this many")
    add("--seconds", type=float, default=1e-3, help="shortest duration of a sample: shorter steps are repeated")
    add("--memory", type=float, help="GiB that a case may use; default: half of the free memory")
    add("--quick", action="store_true", help="checks every rule and type on small layouts; times are rough")
    add("--json", type=pathlib.Path, help="file for all measured values")
    add("--markdown", type=pathlib.Path, help="file for the table; default: the standard output")
    options = parser.parse_args()
    if options.quick:
        options.layout, options.rounds, options.best_of, options.seconds = ["20001", "50x100"], 2, 1, 1e-6
    if not options.library.exists():
        parser.error(f"{options.library} does not exist: build the target onepass_c, or pass --library")
    return parser, options


def checked(parser, options, rivals, torch):
    """Returns cases(). Exits with a message if an option names an unknown rule, type, device or layout."""
    if options.device is None:
        options.device = ["cpu"] + (["cuda:0"] if torch.cuda.is_available() else [])
    known = {"rule": list(rivals.RULES), "dtype": list(rivals.DTYPES)}
    known["device"] = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    for option, names in known.items():
        for name in getattr(options, option):
            if name not in names:
                parser.error(f"--{option} {name}: unknown; choose from {', '.join(names)}")
    if min(options.threads) < 1 or options.rounds < 1 or options.best_of < 1:
        parser.error("--threads, --rounds and --best-of must be at least 1")
    try:
        return cases(rivals, torch, options)
    except ValueError as error:
        parser.error(f"--layout: {error}")


def main():
    parser, options = read_options()
    try:
        import torch
    except ImportError:
        print("PyTorch cannot be imported, so there is nothing to compare with", file=sys.stderr)
        return NO_TORCH
    import torch_rivals

    todo, left_out = checked(parser, options, torch_rivals, torch)
    os.environ["ONEPASS_LIBRARY"] = str(options.library)
    machine = processor()
    if any(device != "cpu" for device in options.device):
        machine += ", " + torch.cuda.get_device_name([d for d in options.device if d != "cpu"][0])
    run = dict(machine=machine, torch=torch.__version__, commit=commit(), date=datetime.date.today().isoformat(),
               command=" ".join(["bench/torch/against_torch.py"] + sys.argv[1:]), rows=[], left_out=left_out, failed=[])
    for number, (case, sizes) in enumerate(todo, 1):
        what = " ".join(str(case[key]) for key in ("rule", "dtype", "layout", "device", "threads"))
        print(f"{number}/{len(todo)}: {what}", file=sys.stderr)
        try:
            run["rows"].append(measure(torch, torch_rivals, case, sizes, options))
        except (torch_rivals.Mismatch, torch_rivals.onepass.Error, RuntimeError) as wrong:  # also out of memory
            run["failed"].append(f"{what}: {wrong}")
            print(f"against_torch: {run['failed'][-1]}", file=sys.stderr)
        write(run, options)
    write(run, options)
    if not options.markdown:
        print(markdown(run), end="")
    return 1 if run["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
