"""bench.py - times steps over a model's own shapes beside torch's optimizers: python -m onepass bench --model
timm:resnet50

Every round takes some steps with each optimizer, in turn, so that a slow moment of the machine meets all of them; the
table has medians of the rounds. With one step a round (--steps 1) no optimizer finds anything in the cache. Before it
is timed, each optimizer takes three steps that are compared with torch's.
"""

import importlib
import json
import statistics
import time

import torch

from . import AdamW

# The benchmark times these: a name, and a function from parameters to an optimizer.
COMPETITORS = {
    "torch for-loop": lambda p: torch.optim.AdamW(p, foreach=False),
    "torch foreach": lambda p: torch.optim.AdamW(p, foreach=True),
    "torch fused": lambda p: torch.optim.AdamW(p, fused=True),
    "onepass": lambda p: AdamW(p),
    "onepass, clipped": lambda p: AdamW(p, max_grad_norm=1e9),
    "onepass, bfloat16 states": lambda p: AdamW(p, states="bfloat16"),
    "onepass, 8-bit states": lambda p: AdamW(p, states="8bit"),
}
CLIPPED = {"torch fused + clip_grad_norm_": "torch fused"}  # torch clips in passes of its own.


def shapes_of(text):
    """Returns the shapes that an argument names: "1000x16" for 1,000 tensors of 16 elements, "timm:NAME", or
    "MODULE:FUNCTION" for a model that a function returns."""
    count, _, numel = text.partition("x")
    if count.isdigit() and numel.isdigit():
        return [(int(numel),)] * int(count)
    module, _, name = text.partition(":")
    if not name:
        raise SystemExit(f'--model is {text!r}; it must be "1000x16", "timm:NAME" or "MODULE:FUNCTION"')
    with torch.device("meta"):
        made = importlib.import_module("timm").create_model(name) if module == "timm" else \
            getattr(importlib.import_module(module), name)()
    return [tuple(parameter.shape) for parameter in made.parameters()]


def parameters_of(shapes, device):
    generator = torch.Generator().manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape, generator=generator).to(device)) for shape in shapes]
    for parameter in made:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(device)
    return made


def check(make, device):
    """Compares three steps with torch's: no element is off by half of its way, and on average they are off by a
    twentieth at most. States of 8 bits need that much room; the others are equal but for rounding."""
    mine, other = (parameters_of([(33, 5), (7,)], device) for _ in range(2))
    steps = make(mine), torch.optim.AdamW(other, foreach=False)
    for _ in range(3):
        for optimizer in steps:
            optimizer.step()
    for one, two in zip(mine, other):
        off = (one - two).abs().detach() / (3 * 1e-3)
        if off.max() > 0.5 or off.mean() > 0.05:
            raise SystemExit(f"an optimizer is off by {off.max():.3f} of its way at most, {off.mean():.3f} on average")


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(shapes, device, rounds, steps, names):
    """Returns the median milliseconds of a step, by name."""
    made = {name: COMPETITORS[CLIPPED.get(name, name)](parameters_of(shapes, device)) for name in names}
    times = {name: [] for name in names}
    for turn in range(rounds + 2):  # The first two rounds make states.
        for name, optimizer in made.items():
            wait(device)
            begin = time.perf_counter()
            for _ in range(steps):
                if name in CLIPPED:
                    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1e9)
                optimizer.step()
            wait(device)
            if turn >= 2:
                times[name].append((time.perf_counter() - begin) * 1e3 / steps)
    return {name: statistics.median(of) for name, of in times.items()}


def table(times, numel):
    fused = times["torch fused"]
    width = max(map(len, times))
    lines = [f"{'optimizer'.ljust(width)}  {'ms a step':>10}  {'ns/parameter':>12}  times torch fused's speed"]
    lines += [f"{name.ljust(width)}  {ms:10.3f}  {ms * 1e6 / numel:12.3f}  {fused / ms:25.2f}"
              for name, ms in times.items()]
    return "\n".join(lines)


def picture(times, title):
    """Returns bars of the times as SVG."""
    longest, rows = max(times.values()), []
    for row, (name, ms) in enumerate(times.items()):
        y, color = 40 + 26 * row, "#2a7" if name.startswith("onepass") else "#999"
        rows.append(f'<text x="200" y="{y + 13}" text-anchor="end">{name}</text>'
                    f'<rect x="208" y="{y}" width="{400 * ms / longest:.1f}" height="18" fill="{color}"/>'
                    f'<text x="{214 + 400 * ms / longest:.1f}" y="{y + 13}">{ms:.3f} ms</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{52 + 26 * len(times)}" '
            'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
            f"""<text x="10" y="22" font-size="14">{title}</text>{''.join(rows)}</svg>\n""")


def names_of(only):
    """Returns the optimizers to time: all, or those of a list with semicolons. torch's fused one is always there."""
    known = [*COMPETITORS, *CLIPPED]
    chosen = known if only is None else [name.strip() for name in only.split(";")]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise SystemExit(f"--only names {unknown[0]!r}; it knows {'; '.join(known)}")
    return [name for name in known if name in chosen or name == "torch fused"]


def run(model, device=None, rounds=30, steps=10, threads=None, only=None, out=None, as_json=False):
    """Times the optimizers over the shapes of a model, prints a table or JSON, and writes a picture to `out`."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if threads:
        torch.set_num_threads(threads)
    shapes = shapes_of(model)
    names = names_of(only)
    for name in names:
        check(COMPETITORS[CLIPPED.get(name, name)], device)
    times = measure(shapes, device, rounds, steps, names)
    numel = sum(torch.Size(shape).numel() for shape in shapes)
    title = (f"AdamW over {model}: {len(shapes)} tensors, {numel:,} parameters, {device}, "
             f"{torch.get_num_threads()} threads")
    print(json.dumps({"model": model, "device": str(device), "threads": torch.get_num_threads(), "numel": numel,
                      "tensors": len(shapes), "ms": times}) if as_json else f"{title}\n{table(times, numel)}")
    if out:
        with open(out, "w", encoding="utf-8") as file:
            file.write(picture(times, title))
    return times
