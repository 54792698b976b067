"""gpu_targets.py - what a GPU's figures are held against, and the worst of what they came to."""

import typing

LARGE = 64_000_000  # parameters from which the memory decides
MANY_TENSORS = "2000x1000"


class Target(typing.NamedTuple):
    """A figure of some rows that is to be at least, or at most, what was aimed at."""
    text: str
    aimed_at: float
    at_most: bool
    applies: typing.Callable  # whether a row counts
    figure: typing.Callable  # its figure; None where it has none


def of_copy(row):
    return row["timings"]["copy"]["over_onepass"]["median"]


def large(row):
    return row["parameters"] >= LARGE and not row["clips"]


def fused(row):
    way = row["contestants"].get("fused")
    return way and way["over_onepass"]["median"]


def is_adamw(row):
    return row["rule"] == "adamw" and row["dtype"] == "float32"


BENCH = [
    Target("share of a copy from 64e6 parameters on, formats from 20 bytes up", 0.90, False,
           lambda row: large(row) and row["bytes_per_parameter"] >= 20, of_copy),
    Target("share of a copy from 64e6 parameters on, compact", 0.75, False,
           lambda row: large(row) and row["format"] == "compact", of_copy),
    Target("host's microseconds of a step of 2,000 tensors", 10.0, True,
           lambda row: row["layout"] == MANY_TENSORS,
           lambda row: row["timings"]["onepass"]["host_microseconds"]["median"]),
]
TORCH = [
    Target("PyTorch's fused AdamW in float32, its time over onepass's", 1.3, False,
           lambda row: is_adamw(row) and row["layout"] != MANY_TENSORS, fused),
    Target("the same for 2,000 tensors of 1,000 elements", 5.0, False,
           lambda row: is_adamw(row) and row["layout"] == MANY_TENSORS, fused),
]


def where(row):
    return " ".join(str(row[key]) for key in ("rule", "format", "dtype", "layout", "parameters", "caches") if key in row)


def line(target, rows):
    """Which row is the worst, and all that miss the target."""
    found = [(target.figure(row), row) for row in rows if target.applies(row)]
    found = sorted(((figure, where(row)) for figure, row in found if figure is not None), reverse=target.at_most)
    bound = f"at {'most' if target.at_most else 'least'} {target.aimed_at:g}"
    if not found:
        return f"| {target.text} | {bound} | not measured | | |"
    missed = [one for one in found if (one[0] > target.aimed_at if target.at_most else one[0] < target.aimed_at)]
    verdict = "met" if not missed else "missed by " + ", ".join(f"{place} ({figure:.3g})" for figure, place in missed)
    return f"| {target.text} | {bound} | {found[0][0]:.3g} | {found[0][1]} | {verdict} |"


def table(bench_rows, torch_rows):
    """Lines of Markdown."""
    lines = ["| what | aimed at | worst | where | verdict |", "|---|---|---|---|---|"]
    return lines + [line(target, rows) for targets, rows in ((BENCH, bench_rows), (TORCH, torch_rows)) for target in targets]
